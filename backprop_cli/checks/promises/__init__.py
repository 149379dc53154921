"""What an op promises besides its gradient, each promise checked by numbers."""
