"""Losses, one file each: scalars to minimize."""
