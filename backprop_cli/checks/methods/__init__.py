"""The methods, one a file, found by name."""
