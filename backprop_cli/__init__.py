"""``bp``: train, check and understand neural networks with nothing heavier than NumPy.

A declared network is traced once into a program of primitive ops; everything else reads that program.
A package imports only packages to its left::

    errors, registry, settings -> autodiff -> nn -> data -> training -> run -> config -> checks -> jobs -> report -> cli

``autodiff``    derivatives of array programs: ops, reverse and forward mode, passes, the plan
``nn``          declared networks: layers, blocks, activations, losses, optimizers, averages, schedules, metrics
``data``        arrays from files: tables, texts, series, images; splits, fitted transforms, augmentation
``training``    the training step as one program, and the loop that runs it and yields events
``run``         the run directory: checkpoints, journal, run.json
``config``      YAML to checked settings; problems with file, line and column
``checks``      gradient checks of a whole network
``jobs``        what a command does, one function each: the Python API
``report``      events and results for eyes
``cli``         the command line

From Python::

    import backprop_cli

    result = backprop_cli.train("configs/digits.yaml", ["optimizer.learning_rate=1e-2"])
    print(result.metrics["test/accuracy"], result.run_dir)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backprop_cli.jobs.evaluate import evaluate as evaluate
    from backprop_cli.jobs.explain import explain as explain
    from backprop_cli.jobs.find_lr import find_lr as find_lr
    from backprop_cli.jobs.generate import generate as generate
    from backprop_cli.jobs.gradcheck import gradcheck as gradcheck
    from backprop_cli.jobs.jacobian import jacobian as jacobian
    from backprop_cli.jobs.predict import predict as predict
    from backprop_cli.jobs.show import show as show
    from backprop_cli.jobs.train import train as train
    from backprop_cli.jobs.validate import validate as validate

__version__ = "0.1.0"

_JOBS = ("evaluate", "explain", "find_lr", "generate", "gradcheck", "jacobian", "predict", "show", "train", "validate")
__all__ = [
    "__version__",
    "evaluate",
    "explain",
    "find_lr",
    "generate",
    "gradcheck",
    "jacobian",
    "predict",
    "show",
    "train",
    "validate",
]


def __getattr__(name: str) -> Any:
    """What a command does is one function: ``backprop_cli.train("config.yaml")``. Imported when first asked for."""
    if name not in _JOBS:
        raise AttributeError(f"module 'backprop_cli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"backprop_cli.jobs.{name}"), name)
