"""Fast ways to run ops, registered for their types; an op without one runs its ``eval``."""

from backprop_cli.execution.kernels import (
    convolution_kernels,
    elementwise_kernels,
    matrix_kernels,
    reduction_kernels,
    softmax_kernels,
    window_kernels,
)
from backprop_cli.execution.kernels.kernel import Call, Calls, InTurn, bind, flat, in_turn, runs_in_place, scratch

__all__ = [
    "Call",
    "Calls",
    "InTurn",
    "bind",
    "convolution_kernels",
    "elementwise_kernels",
    "flat",
    "in_turn",
    "matrix_kernels",
    "reduction_kernels",
    "runs_in_place",
    "scratch",
    "softmax_kernels",
    "window_kernels",
]
