"""Layers, one file each: functions of arrays and of their parameters."""
