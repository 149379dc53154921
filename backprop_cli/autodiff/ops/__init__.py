"""The primitives, a few files by subject; an op is one class, and every one is registered by being here."""
