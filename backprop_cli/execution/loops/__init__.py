"""Ops as loops over elements, registered for their types: all that a compiler needs to know of them."""

from backprop_cli.execution.loops import movement_loops, reduction_loops, row_loops, window_loops
from backprop_cli.execution.loops.element_loop import ElementLoop, Key, Shift, address, element_loops, name_of

__all__ = [
    "ElementLoop",
    "Key",
    "Shift",
    "address",
    "element_loops",
    "movement_loops",
    "name_of",
    "reduction_loops",
    "row_loops",
    "window_loops",
]
