"""Who is measured. A peer is one module here with a function ``build(data, variant) -> Runner``.

A runner has two methods:

``run(steps) -> int``
    train at least so many steps (a peer that compiles whole epochs rounds up), wait until they are done, say how many
``loss() -> float``
    mean cross entropy over all examples with the present weights; NaN for one that has none

and may have a third, ``use_threads(count)``: the worker then measures one thread and all processors, and keeps what is
faster, so that no peer is held back by its own default.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from benchmarks.cases import Batches


class Runner(Protocol):
    """A case, ready to be trained."""

    def run(self, steps: int) -> int:
        """Train at least ``steps`` steps; how many were done."""

    def loss(self) -> float:
        """Mean cross entropy over all examples."""


@dataclass(frozen=True)
class Peer:
    """``needs``: modules that must be installed; ``called``: what one call from Python trains, a step or an epoch."""

    title: str
    module: str
    variant: str = ""
    needs: tuple[str, ...] = ()
    called: str = "step"
    compiler: bool = False

    def missing(self) -> str:
        """Why it cannot run here; empty if it can."""
        absent = [name for name in self.needs if find_spec(name) is None]
        if absent:
            return f"not installed: {', '.join(absent)}"
        if self.compiler and not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
            return "no C++ compiler"
        return ""

    def build(self, data: Batches) -> Runner:
        """Import it and hand it the case."""
        make: Callable[[Batches, str], Runner] = import_module(f"benchmarks.peers.{self.module}").build
        return make(data, self.variant)


BP, NUMPY = "bp", "bp_numpy"
LAYERED = (BP, "bp_plan", NUMPY, "bp_numpy_plan", "torch_adam", "torch_fused")
"""Who has other layers than dense ones here."""
PEERS = {
    BP: Peer("bp: its training loop, events read", "bp_loop", called="epoch"),
    "bp_plan": Peer("bp: the plan alone, on one batch", "bp_plan", called=""),
    NUMPY: Peer("bp: its loop, training.compile: false", "bp_loop", "numpy", called="epoch"),
    "bp_numpy_plan": Peer("bp: the plan alone, not compiled", "bp_plan", "numpy", called=""),
    "gemm": Peer("bare matrix products (np.matmul with out=)", "gemm", called=""),
    "torch_adam": Peer("PyTorch, plain Adam", "pytorch", "plain", ("torch",)),
    "torch_fused": Peer("PyTorch, fused Adam", "pytorch", "fused", ("torch",)),
    "torch_compile": Peer("torch.compile of loss and optimizer", "pytorch", "compile", ("torch",), compiler=True),
    "jax_step": Peer("JAX, jit of a step", "jax_jit", "step", ("jax",)),
    "jax_scan": Peer("JAX, lax.scan over an epoch", "jax_jit", "scan", ("jax",), called="epoch"),
    "sklearn": Peer("scikit-learn MLPClassifier.fit", "scikit_learn", needs=("sklearn",), called="epoch"),
    "autograd": Peer("HIPS autograd", "hips_autograd", needs=("autograd",)),
    "mygrad": Peer("MyGrad", "my_grad", needs=("mygrad",)),
}
THREADS = {
    "one": Peer("one BLAS thread", "bp_threads", "one", called=""),
    "all": Peer("a BLAS thread a processor", "bp_threads", "all", called=""),
    "halves": Peer("two workers, half the batch each, one BLAS thread", "bp_threads", "halves", called=""),
}
"""Other values of ``training.threads``; ``bp_plan`` uses the chosen one."""

TORCH = tuple(name for name in PEERS if name.startswith("torch"))
EAGER = ("torch_adam", "torch_fused")
STEPWISE = (*(name for name, peer in PEERS.items() if peer.called == "step"), "sklearn")
"""Peers whose every step is driven from Python, scikit-learn's own loop among them; an epoch's scan is not."""
