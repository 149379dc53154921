"""Events and results for people to read: lines, tables, the progress bar."""
