"""What a run leaves on disk: its directory, checkpoints, journal, log, and a record of the machine it ran on."""
