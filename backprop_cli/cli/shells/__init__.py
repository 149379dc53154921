"""Completion scripts, one file a shell. Each is written once and calls no Python."""
