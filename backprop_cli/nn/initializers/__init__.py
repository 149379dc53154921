"""Initializers, one file each: how parameters start."""
