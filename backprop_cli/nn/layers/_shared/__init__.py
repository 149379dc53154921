"""Shared by several layers; no layer is declared here."""
