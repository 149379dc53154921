"""One file a command; each registers itself with ``@command`` and is found by being here."""
