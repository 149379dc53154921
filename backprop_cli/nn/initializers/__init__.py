"""Initializers, one file each: distributions of starting values."""
