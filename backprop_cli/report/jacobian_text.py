"""What ``bp jacobian`` found, as text for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backprop_cli.errors import listing, plural
from backprop_cli.number_text import number
from backprop_cli.report.explain_text import unsearched
from backprop_cli.report.tables import fits, table
from backprop_cli.visible import terminal_width

Json = Mapping[str, Any]

_MOST_LINES = 40
_SHOWN = 10
"""Rows of data that are listed, those with the largest gradients first."""


def derivatives_text(result: Json) -> str:
    """A line that says of what and where; a table, whole where it fits, else of the largest entries; what it took."""
    parts = _PARTS[result["kind"]](result)
    written = [f"written to {result['output']}"] if result.get("output") else []
    return "\n\n".join([headline(result), *parts, *written])


def headline(result: Json) -> str:
    """The derivative, the rows, its shape, and the units if there is a choice; two to four lines."""
    of, by = result["of"]["name"], result["by"]["name"]
    vector = "a random vector" if result.get("vector") == "random" else result.get("vector")
    what = {
        "jacobian": f"Jacobian of {of} by {by}",
        "hessian": f"Hessian of {of} by {by}",
        "hvp": f"Hessian of {of} by {by}, times {vector}",
        "eigenvalues": f"Largest eigenvalues of the Hessian of {of} by {by}",
        "per_example": f"Gradient of {of} by {by}, row by row",
    }[result["kind"]]
    shape = f", shape {_shape(result['shape'])}" if "shape" in result else ""
    return f"{what}\n{_place(result['data'])}{shape}{_units(result)}"


_UNITS = {
    ("predictions", "data"): "in the target's own unit",
    ("predictions", "probability"): "as probabilities",
    ("inputs", "data"): "in the data's own units",
    ("inputs", "network"): "after the transform",
}


def _units(result: Json) -> str:
    """The line on units; empty if all values are the network's own."""
    sides = {side["name"]: side for side in (result["of"], result["by"])}
    if sides.keys().isdisjoint(("predictions", "inputs")):
        return ""
    named = [f"{name} {_UNITS.get((name, side['unit']), 'as the network computes')}" for name, side in sides.items()]
    coded = listing(result["by"].get("categories", ()), 4)
    categories = f"\ncategories have no unit: derivatives by the network's numbers for {coded}" if coded else ""
    return f"\nunits: {', '.join(named)}{categories}"


def _place(data: Json) -> str:
    rows, where = data["rows"], f"the {data['split']} split" if "split" in data else data["file"]
    return f"at row {rows[0]} of {where}" if len(rows) == 1 else f"at {plural(len(rows), 'row')} of {where}"


def _shape(shape: Sequence[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _jacobian(result: Json) -> list[str]:
    order = result["order"]
    if order["executed"] == "none":
        return [f"all 0: {result['of']['name']} does not depend on {result['by']['name']}"]
    return [_matrix(result, result["of"]["name"], result["by"]["name"]), _order(order)]


def _order(order: Json) -> str:
    costs = order["multiplications"]
    if costs is None:
        return f"executed: {order['executed']}; the network is too large to compare orders"
    listed = table(["order", "multiplications"], list(costs.items()))
    found = order["method"] if order["method"] in costs else f"found by {order['method']}"
    proof = "proved optimal" if order["proved_optimal"] else "not proved optimal"
    lines = [listed, f"executed: {order['executed']}; best is {found}, {proof}"]
    return "\n".join([*lines, unsearched(order["limit"])] if "limit" in order else lines)


def _hessian(result: Json) -> list[str]:
    name, ends = result["by"]["name"], result["eigenvalues"]
    shown = [_matrix(result, name, name)]
    if ends is not None:
        shown.append(f"eigenvalues from {number(ends['least'])} to {number(ends['largest'])}")
    return shown


def _matrix(result: Json, of: str, by: str) -> str:
    """The whole matrix, or turned, where that fits; else its largest entries."""
    if result["labels"] is not None and result["values"] is not None:
        rows, columns = result["labels"]
        values = _flat(result["values"])
        matrix = [values[k * len(columns) : (k + 1) * len(columns)] for k in range(len(rows))]
        turned = [list(column) for column in zip(*matrix, strict=True)]
        for corner, down, across, cells in (
            (f"{of} \\ {by}", rows, columns, matrix),
            (f"{by} \\ {of}", columns, rows, turned),
        ):
            if len(down) <= _MOST_LINES and len(across) * 3 < terminal_width():
                shown = [corner, *across], [[name, *row] for name, row in zip(down, cells, strict=True)]
                if fits(*shown):
                    return table(*shown)
    return _largest(result, {"of": of, "by": by})


def _largest(result: Json, names: Mapping[str, str]) -> str:
    """``names``: of what ``of`` and ``by`` of an entry are elements; a number has no column."""
    entries = result["largest"]
    keys = [key for key, name in names.items() if entries[0][key] != name]
    listed = table([*(names[key] for key in keys), "value"], [[*(e[key] for key in keys), e["value"]] for e in entries])
    rest = "" if result.get("output") else "; --output FILE.npz writes all"
    return f"{listed}\nthe largest entries{rest}"


def _flat(values: Any) -> list[float]:
    if not isinstance(values, list):
        return [values]
    return [number for value in values for number in _flat(value)]


def _hvp(result: Json) -> list[str]:
    curvature = f"curvature along the vector, v'Hv / v'v: {number(result['curvature'])}"
    lengths = f"|v| {number(result['vector_norm'])}, |Hv| {number(result['product_norm'])}"
    return [_largest(result, {"by": result["by"]["name"]}), f"{curvature}\n{lengths}"]


def _eigenvalues(result: Json) -> list[str]:
    rate, limit = result["learning_rate"], result["limit"]
    header = ["", "eigenvalue", "residual", "learning rate times it"]
    keys = ("value", "residual", "learning_rate_times_value")
    rows = [[k, *(entry[key] for key in keys)] for k, entry in enumerate(result["eigenvalues"], 1)]
    largest = rows[0][-1]
    is_beyond = largest is not None and largest > limit
    lines = [
        f"least eigenvalue {number(result['least']['value'])}; {plural(result['products'], 'Hessian-vector product')}"
        + ("" if result["converged"] else "; not converged: see the residuals"),
        f"learning rate {number(rate)} times eigenvalue: {number(largest)}, limit {number(limit)}: "
        + ("steps grow along that direction" if is_beyond else "stable"),
        f"(the limit is that of plain gradient descent; this run trained with {result['optimizer']})",
    ]
    return [table(header, rows), "\n".join(lines)]


def _per_example(result: Json) -> list[str]:
    every = result["examples"]
    ordered = sorted(every, key=lambda example: -example["norm"])[:_SHOWN]
    listed = table(
        ["row", "loss", "gradient norm", "cosine to the mean"],
        [[str(row), *rest] for row, *rest in (example.values() for example in ordered)],
    )
    against = sum(example["cosine"] is not None and example["cosine"] < 0 for example in every)
    lines = [
        f"norm of the batch gradient, their mean: {number(result['batch_gradient_norm'])}",
        f"{plural(against, 'row')} of {len(every):,} against it (cosine below 0)",
    ]
    if len(every) > _SHOWN:
        lines.insert(0, f"the {_SHOWN} largest of {len(every):,}; --json has all")
    return [listed, "\n".join(lines)]


_PARTS = {
    "jacobian": _jacobian,
    "hessian": _hessian,
    "hvp": _hvp,
    "eigenvalues": _eigenvalues,
    "per_example": _per_example,
}
