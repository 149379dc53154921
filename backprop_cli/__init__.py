"""``bp``: train, check and understand neural networks with nothing heavier than NumPy.

A declared network is traced once into a program of primitive ops; everything else reads that program.
A package imports only packages to its left::

    errors, registry, settings -> autodiff -> execution -> accumulation -> nn -> data -> plugin -> training -> run
    -> config -> checks -> session -> inspection -> exporting -> api -> report -> cli

``autodiff``      derivatives of array programs: ops, reverse and forward mode
``execution``     how programs run fast: rewriting, plans and their memory, kernels, compiled steps, recomputation
``accumulation``  how Jacobians are multiplied out: structure, costs, orders, batches of directions
``nn``            declared networks: layers, blocks, activations, losses, optimizers, averages, schedules, metrics
``data``          arrays from files: tables, texts, series, images; splits, fitted transforms, augmentation
``plugin``        the one module that a plugin imports
``training``      the training step as one program, and the loop that runs it and yields events
``run``           a run on disk: directory, checkpoints, journal, log, lock
``config``        YAML to checked settings; problems with file, line and column
``checks``        gradient checks of a whole network
``session``       a configured run: preparing data and network, starting, resuming, training, saving
``inspection``    what is shown of a network: chain rule, derivatives at rows of data
``exporting``     a trained network in other formats, such as C
``api``           the Python API: what each command does, one function a file
``report``        events and results for eyes
``cli``           the command line

From Python::

    import backprop_cli

    result = backprop_cli.train("configs/digits.yaml", ["optimizer.learning_rate=1e-2"])
    print(result.metrics["test/accuracy"], result.run_dir)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backprop_cli.api.cached import cached as cached
    from backprop_cli.api.config_schema import config_schema as config_schema
    from backprop_cli.api.copy_examples import copy_examples as copy_examples
    from backprop_cli.api.eval import evaluate as evaluate
    from backprop_cli.api.explain import explain as explain
    from backprop_cli.api.export import export as export
    from backprop_cli.api.find_lr import find_lr as find_lr
    from backprop_cli.api.generate import generate as generate
    from backprop_cli.api.gradcheck import gradcheck as gradcheck
    from backprop_cli.api.init import init as init
    from backprop_cli.api.init import list_templates as list_templates
    from backprop_cli.api.jacobian import jacobian as jacobian
    from backprop_cli.api.list_types import list_types as list_types
    from backprop_cli.api.predict import predict as predict
    from backprop_cli.api.show import show as show
    from backprop_cli.api.split_files import split as split
    from backprop_cli.api.train import train as train
    from backprop_cli.api.validate import validate as validate

__version__ = "0.1.0"

_FILES = {"evaluate": "eval", "list_templates": "init", "split": "split_files"}
"""Files of ``api`` that are not called what their function is."""
__all__ = [
    "__version__",
    "cached",
    "config_schema",
    "copy_examples",
    "evaluate",
    "explain",
    "export",
    "find_lr",
    "generate",
    "gradcheck",
    "init",
    "jacobian",
    "list_templates",
    "list_types",
    "predict",
    "show",
    "split",
    "train",
    "validate",
]


def __getattr__(name: str) -> Any:
    """What a command does is one function: ``backprop_cli.train("config.yaml")``. Imported when first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'backprop_cli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"backprop_cli.api.{_FILES.get(name, name)}"), name)
