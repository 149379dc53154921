"""A run from its configuration to its last checkpoint: prepare, start or resume, train, save."""
