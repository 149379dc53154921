"""``bp jacobian``: derivatives of the trained network at rows of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from backprop_cli.api.arguments import as_path, one_or_many
from backprop_cli.checks.gradients import in_float64
from backprop_cli.data.formats.npz import write_arrays
from backprop_cli.errors import UsageError, warn
from backprop_cli.inspection.differentiation import Differentiation
from backprop_cli.inspection.jacobian_result import JacobianResult
from backprop_cli.inspection.network_jacobian import Mode
from backprop_cli.inspection.point import OBJECTIVE, SCALARS, Point, check_names
from backprop_cli.inspection.selected_rows import select_rows
from backprop_cli.inspection.units import Units
from backprop_cli.inspection.vector_file import read_vector
from backprop_cli.run.output import opened
from backprop_cli.session.overfit import doubt
from backprop_cli.session.trained_network import TrainedNetwork, open_network
from backprop_cli.training.step_program import INPUTS, PARAMETERS, PREDICTIONS

RANDOM = "random"
"""In place of a vector's file: a random one of length 1."""


@one_or_many
def jacobian(
    checkpoint: Path | str,
    source: Path | str | None = None,
    *,
    of: str | None = None,
    by: str | None = None,
    rows: Sequence[str | int] = (),
    split: str = "test",
    order: Mode = "auto",
    hessian: bool = False,
    hvp: Path | str | None = None,
    eigen: int | None = None,
    per_example: bool = False,
    units: Units = "data",
    output: Path | str | None = None,
    input_format: str | None = None,
    plugins: Sequence[Path | str] = (),
) -> JacobianResult:
    """The Jacobian of ``of`` by ``by`` at rows of the file ``source`` or of a split of the network's own data.

    Instead, of the scalar ``of`` (by default the loss with regularization) by ``by`` (by default all parameters): the
    whole ``hessian``; its product ``hvp`` with a vector from a file or a random one of length 1; its ``eigen`` largest
    eigenvalues; the gradient of each row separately (``per_example``). ``output`` is an NPZ file for the arrays.

    Everything is computed in float64, whatever the training precision, with dropout off. With ``units`` data, inputs
    are columns of the data, and predictions have the units that ``bp predict`` prints; with network, both are as the
    network sees them, after the transform. A column of categories always has the network's unit.
    ``plugins``: files with code that the network needs.

    Raises:
        UsageError: names, rows or options that do not fit, or a result that is too large.
        CheckpointError: the checkpoint is missing or damaged.
        DataError: the data, or the vector, cannot be read as the network needs it.

    """
    source, output = as_path(source), as_path(output)
    kind = _kind(hessian, hvp, eigen, per_example)
    if kind != "jacobian" and order != "auto":
        raise UsageError(f"--order {order}: is for Jacobians; leave it out with {_OPTIONS[kind]}")
    if output is not None and output.suffix != ".npz":
        raise UsageError(f"--output {output}: arrays are written as .npz")
    saved = open_network(Path(checkpoint), plugins=plugins)
    for line in doubt(saved.original.config):
        warn(line)
    what, wrt = of or (PREDICTIONS if kind == "jacobian" else OBJECTIVE), by or _default_by(kind)
    _check(saved, kind, what, wrt)
    found = select_rows(
        saved,
        source,
        split=split,
        rows=[str(row) for row in rows],
        first=kind == "jacobian" and what not in SCALARS,
        with_targets=what in SCALARS,
        input_format=input_format,
    )
    network = {name: vector.astype(np.float64) for name, vector in saved.vectors.items()}
    point = Point(in_float64(saved.recipe), network, found.inputs, found.targets, found.weights)
    differentiation = Differentiation(saved, point, found, what, wrt, units)
    with saved.threads():
        result: JacobianResult
        if kind == "jacobian":
            result = differentiation.jacobian(order)
        elif kind == "hessian":
            result = differentiation.hessian()
        elif hvp is not None:
            result = differentiation.product(
                str(hvp), None if hvp == RANDOM else read_vector(Path(hvp), differentiation.by)
            )
        elif eigen is not None:
            result = differentiation.eigenvalues(eigen)
        else:
            result = differentiation.row_gradients(keep=output is not None)
    if output is None:
        return result
    with opened(output) as stream:
        write_arrays(stream, result.arrays)
    return replace(result, output=output)


_OPTIONS = {"hessian": "--hessian", "hvp": "--hvp", "eigenvalues": "--eigen", "per_example": "--per-example"}


def _kind(hessian: bool, hvp: Path | str | None, eigen: int | None, per_example: bool) -> str:
    asked = [hessian, hvp is not None, eigen is not None, per_example]
    chosen = [kind for kind, is_asked in zip(_OPTIONS, asked, strict=True) if is_asked]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(_OPTIONS[kind] for kind in chosen)}: these are different results; choose one")
    return chosen[0] if chosen else "jacobian"


def _default_by(kind: str) -> str:
    return INPUTS if kind == "jacobian" else PARAMETERS


def _check(saved: TrainedNetwork, kind: str, of: str, by: str) -> None:
    check_names(saved.recipe, of, by)
    if kind != "jacobian" and of not in SCALARS:
        raise UsageError(f"--of {of}: {_OPTIONS[kind]} needs a scalar: {' or '.join(SCALARS)}")
    if by == INPUTS and saved.recipe.model.vocabulary is not None:
        first = next(node.name for node in saved.recipe.model.nodes if node.layer.vocabulary is not None)
        raise UsageError(f"--by {INPUTS}: the network reads tokens, which have no derivative; use --by {first}")
    if kind == "per_example" and by != PARAMETERS and by not in saved.recipe.model.params:
        one = next(iter(saved.recipe.model.params), PARAMETERS)
        raise UsageError(f"--by {by}: --per-example is by {PARAMETERS}, or by one such as {one}")
