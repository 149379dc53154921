"""The results of ``bp jacobian`` as text for a terminal of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from backprop_cli.errors import listing, plural
from backprop_cli.inspection.jacobian_result import (
    DataRows,
    Eigenvalues,
    Entry,
    Hessian,
    HessianProduct,
    Jacobian,
    JacobianOrder,
    JacobianResult,
    MatrixResult,
    RowGradients,
)
from backprop_cli.number_text import number
from backprop_cli.report.explain_text import proof, unsearched
from backprop_cli.report.tables import fits, shape_text, table
from backprop_cli.visible import terminal_width

_MOST_LINES = 40
_SHOWN = 10
"""Most rows of data that are listed, largest gradient first."""


def jacobian_text(result: JacobianResult) -> str:
    """The derivative and where it is taken; a table, whole if it fits, else of the largest entries; the costs."""
    written = [f"written to {result.output}"] if result.output is not None else []
    return "\n\n".join([headline(result), *_parts(result), *written])


def _parts(result: JacobianResult) -> list[str]:
    match result:
        case Jacobian():
            return _jacobian(result)
        case Hessian():
            return _hessian(result)
        case HessianProduct():
            return _product(result)
        case Eigenvalues():
            return _eigenvalues(result)
        case RowGradients():
            return _row_gradients(result)
    raise TypeError(f"no text for {type(result).__name__}")


def headline(result: JacobianResult) -> str:
    """The derivative, the rows, its shape, and the units if there is a choice; two to four lines."""
    derivative = _derivative(result, result.of.name, result.by.name)
    shape = f", shape {shape_text(result.shape)}" if isinstance(result, MatrixResult) else ""
    return f"{derivative}\n{_place(result.data)}{shape}{_units(result)}"


def _derivative(result: JacobianResult, of: str, by: str) -> str:
    match result:
        case Jacobian():
            return f"Jacobian of {of} by {by}"
        case HessianProduct():
            vector = "a random vector" if result.vector == "random" else result.vector
            return f"Hessian of {of} by {by}, times {vector}"
        case Eigenvalues():
            return f"Largest eigenvalues of the Hessian of {of} by {by}"
        case RowGradients():
            return f"Gradient of {of} by {by}, row by row"
    return f"Hessian of {of} by {by}"


_UNITS = {
    ("predictions", "data"): "in the target's own unit",
    ("predictions", "probability"): "as probabilities",
    ("inputs", "data"): "in the data's own units",
    ("inputs", "network"): "after the transform",
}


def _units(result: JacobianResult) -> str:
    """The line on units; empty if all values are the network's own."""
    sides = {side.name: side for side in (result.of, result.by)}
    if sides.keys().isdisjoint(("predictions", "inputs")):
        return ""
    own = "in the network's units"
    named = [f"{name} {_UNITS.get((name, side.unit), own)}" for name, side in sides.items()]
    coded = listing(result.by.categories, 4)
    categories = f"\nnot linear in the data: derivatives by the network's numbers for {coded}" if coded else ""
    return f"\nunits: {', '.join(named)}{categories}"


def _place(data: DataRows) -> str:
    rows, where = data.rows, f"the {data.split} split" if data.split is not None else data.file
    return f"at row {rows[0]} of {where}" if len(rows) == 1 else f"at {plural(len(rows), 'row')} of {where}"


def _jacobian(result: Jacobian) -> list[str]:
    if result.order.executed == "none":
        return [f"all 0: {result.of.name} does not depend on {result.by.name}"]
    return [_matrix(result, result.of.name, result.by.name), _order(result.order)]


def _order(order: JacobianOrder) -> str:
    costs = order.multiplications
    if costs is None:
        return f"computed with order {order.executed}; the network is too large to compare orders"
    rows = [["forward", costs.forward], ["reverse", costs.reverse], ["best", costs.best]]
    best = proof(order.method, order.proved_optimal)
    lines = [
        table(["order", "multiplications"], rows),
        f"computed with order {order.executed}; the best order was {best}",
    ]
    return "\n".join(lines if order.limit is None else [*lines, unsearched(order.limit)])


def _hessian(result: Hessian) -> list[str]:
    name, ends = result.by.name, result.eigenvalues
    shown = [_matrix(result, name, name)]
    if ends is not None:
        shown.append(f"eigenvalues from {number(ends.least)} to {number(ends.largest)}")
    return shown


def _matrix(result: MatrixResult, of: str, by: str) -> str:
    """The whole matrix, or its transpose, if that fits; else its largest entries."""
    if result.labels is not None:
        rows, columns = result.labels
        matrix = result.matrix.tolist()
        transpose = [list(column) for column in zip(*matrix, strict=True)]
        for corner, down, across, cells in (
            (f"{of} \\ {by}", rows, columns, matrix),
            (f"{by} \\ {of}", columns, rows, transpose),
        ):
            if len(down) <= _MOST_LINES and len(across) * 3 < terminal_width():
                shown = [corner, *across], [[name, *row] for name, row in zip(down, cells, strict=True)]
                if fits(*shown):
                    return table(*shown)
    return _largest(result, result.largest, {"of": of, "by": by})


def _largest(result: JacobianResult, entries: Sequence[Entry], names: Mapping[str, str]) -> str:
    """``names``: the values that ``of`` and ``by`` of an entry belong to; a scalar has no column."""
    keys = [key for key, name in names.items() if getattr(entries[0], key) != name]
    rows = [[*(getattr(entry, key) for key in keys), entry.value] for entry in entries]
    rest = "" if result.output is not None else "; --output FILE.npz writes all"
    return f"{table([*(names[key] for key in keys), 'value'], rows)}\nthe largest entries{rest}"


def _product(result: HessianProduct) -> list[str]:
    curvature = f"curvature along the vector, v'Hv / v'v: {number(result.curvature)}"
    lengths = f"|v| {number(result.vector_norm)}, |Hv| {number(result.product_norm)}"
    return [_largest(result, result.largest, {"by": result.by.name}), f"{curvature}\n{lengths}"]


def _eigenvalues(result: Eigenvalues) -> list[str]:
    header = ["", "eigenvalue", "residual", "learning rate times it"]
    rows = [
        [k, found.value, found.residual, found.learning_rate_times_value]
        for k, found in enumerate(result.eigenvalues, 1)
    ]
    largest, limit = result.eigenvalues[0].learning_rate_times_value, result.limit
    effort = plural(result.products, "Hessian-vector product")
    unconverged = "" if result.converged else "; not converged: see the residuals"
    stability = "steps grow along that direction" if largest > limit else "stable"
    lines = [
        f"least eigenvalue {number(result.least.value)}; {effort}{unconverged}",
        f"learning rate {number(result.learning_rate)} times eigenvalue: {number(largest)}, limit {number(limit)}: "
        + stability,
        f"(the limit is for plain gradient descent; this run trained with {result.optimizer})",
    ]
    return [table(header, rows), "\n".join(lines)]


def _row_gradients(result: RowGradients) -> list[str]:
    every = result.examples
    ordered = sorted(every, key=lambda found: -math.inf if found.norm is None else -found.norm)[:_SHOWN]
    listed = table(
        ["row", "loss", "gradient norm", "cosine to the mean"],
        [[str(found.row), found.loss, found.norm, found.cosine] for found in ordered],
    )
    against = sum(found.cosine is not None and found.cosine < 0 for found in every)
    lines = [
        f"norm of the batch gradient, their mean: {number(result.batch_gradient_norm)}",
        f"{plural(against, 'row')} of {len(every):,} against it (cosine below 0)",
    ]
    if len(every) > _SHOWN:
        lines.insert(0, f"the {_SHOWN} largest of {len(every):,}; --json has all")
    return [listed, "\n".join(lines)]
