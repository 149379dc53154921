"""A trained network in another format; see ``exporter``."""
