"""Optimizers, one file each: pure elementwise updates."""
