"""Layers, a file for each or for a few variants: functions of arrays and of their parameters."""
