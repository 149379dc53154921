"""Activations, one file each: functions that keep the shape."""
