"""Schedules, one file each: the course of the learning rate."""
