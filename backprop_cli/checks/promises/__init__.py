"""Numeric checks of the contract of ops beyond their gradients."""
