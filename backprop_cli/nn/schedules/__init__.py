"""Schedules, one file each: the learning rate over training."""
