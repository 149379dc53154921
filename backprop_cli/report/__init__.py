"""Events and results for eyes: lines, tables, the progress bar."""
