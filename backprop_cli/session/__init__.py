"""A configured run from its data to its last checkpoint: preparing, starting, resuming, training, saving."""
