"""The formats of data files, one file for each format or pair of related formats."""
