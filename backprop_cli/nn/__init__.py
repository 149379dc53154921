"""Declared networks: the contracts of layers, losses, optimizers, schedules, initializers and metrics, and their types.

A type is a pydantic class: its fields are its keys in YAML, its docstring is its manual page. Registries find types by
the names of their files. Nothing here reads files, trains or differentiates: rules are written in ops of ``autodiff``.
Only initializers, metrics and ``draw`` of tasks and losses compute with arrays.
"""
