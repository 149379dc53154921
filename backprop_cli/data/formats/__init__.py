"""The formats of data files, one file a format; the folder is the list."""
