"""Shared by several losses; no loss is declared here."""
