"""Configurations: YAML text -> checked settings; every mistake with its place."""
