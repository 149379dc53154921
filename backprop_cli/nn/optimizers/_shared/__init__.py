"""Shared by several optimizers; no optimizer is declared here."""
