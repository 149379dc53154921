"""A trained network as C99; ``exporters.c`` is the entry."""
