"""Declared networks: what a layer, loss, optimizer, schedule, initializer or metric is, and how layers make a model.

A type is a pydantic class (its fields are its keys in YAML, its docstring its manual page) in a file of its own, found
by its registry. Nothing here knows files or loops, and nothing here differentiates: rules are written in ops of
``autodiff``, and only initializers and metrics touch arrays.
"""
