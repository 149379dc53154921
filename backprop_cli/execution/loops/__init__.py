"""Ops as loops over elements, registered for their types: all that a compiler needs to know of them."""

from backprop_cli.execution.loops import movement_loops, reduction_loops, row_loops, window_loops
from backprop_cli.execution.loops.element_loop import ElementLoop, Shift, element_loops

__all__ = [
    "ElementLoop",
    "Shift",
    "element_loops",
    "movement_loops",
    "reduction_loops",
    "row_loops",
    "window_loops",
]
