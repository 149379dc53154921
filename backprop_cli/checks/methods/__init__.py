"""The methods, one a file; to be here is to be known by name."""
