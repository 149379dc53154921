"""Metrics, one file each: numbers from the predictions of a whole split."""
