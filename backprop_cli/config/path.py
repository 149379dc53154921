"""Paths inside a configuration: ``model.layers[0].units``."""

from __future__ import annotations

TreePath = tuple[str | int, ...]
"""Steps from the top of a configuration: keys of mappings, indexes of lists."""


def path_text(path: TreePath) -> str:
    """``("model", "layers", 0, "units")`` -> ``model.layers[0].units``."""
    text = ""
    for step in path:
        if isinstance(step, int) and not isinstance(step, bool):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else str(step)
    return text
