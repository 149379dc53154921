"""Averages of parameters over training, one file each."""
