"""Fast ways to run an op."""
