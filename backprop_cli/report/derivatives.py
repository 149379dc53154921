"""What ``bp jacobian`` found, as text for a terminal of 80 columns."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from backprop_cli.report.numbers import number, plural
from backprop_cli.report.tables import table

Json = Mapping[str, Any]

_WIDTH = 80
_MOST_LINES = 40
_SHOWN = 10
"""Rows of data that are listed, those with the largest gradients first."""


def derivatives_text(result: Json) -> str:
    """A line that says of what and where; a table, whole where it fits, else of the largest entries; what it took."""
    parts = _PARTS[result["kind"]](result)
    written = [f"written to {result['output']}"] if result.get("output") else []
    return "\n\n".join([headline(result), *parts, *written])


def headline(result: Json) -> str:
    """What it is, at which rows, and its shape; two lines."""
    of, by = result["of"]["name"], result["by"]["name"]
    what = {
        "jacobian": f"Jacobian of {of} by {by}",
        "hessian": f"Hessian of {of} by {by}",
        "hvp": f"Hessian of {of} by {by}, times {_vector(result)}",
        "eigenvalues": f"Largest eigenvalues of the Hessian of {of} by {by}",
        "per_example": f"Gradient of {of} by {by}, row by row",
    }[result["kind"]]
    shape = f", shape {_shape(result['shape'])}" if "shape" in result else ""
    return f"{what}\n{_place(result['data'])}{shape}"


def _vector(result: Json) -> str:
    return "a random vector" if result["vector"] == "random" else result["vector"]


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
    proved = "no order is cheaper" if order["proved_optimal"] else "the cheapest found"
    return f"{listed}\nexecuted: {order['executed']}; best is {proved} (by {order['method']})"


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
            if len(down) <= _MOST_LINES and len(across) * 3 < _width():
                text = table([corner, *across], [[name, *row] for name, row in zip(down, cells, strict=True)])
                if max(map(len, text.splitlines())) <= _width():
                    return text
    return _largest(result, [of, by])


def _largest(result: Json, names: Sequence[str]) -> str:
    keys = [key for key in ("of", "by") if key in result["largest"][0]]
    rows = [[*(entry[key] for key in keys), entry["value"]] for entry in result["largest"]]
    rest = "" if result.get("output") else "; --output FILE.npz writes all"
    return f"{table([*names, 'value'], rows)}\nthe largest entries{rest}"


def _width() -> int:
    return max(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)


def _flat(values: Any) -> list[float]:
    if not isinstance(values, list):
        return [values]
    return [number for value in values for number in _flat(value)]


def _hvp(result: Json) -> list[str]:
    curvature = f"curvature along the vector, v'Hv / v'v: {number(result['curvature'])}"
    lengths = f"|v| {number(result['vector_norm'])}, |Hv| {number(result['product_norm'])}"
    return [_largest(result, [result["by"]["name"]]), f"{curvature}\n{lengths}"]


def _eigenvalues(result: Json) -> list[str]:
    rate, limit = result["learning_rate"], result["limit"]
    rows = [
        [k, e["value"], e["residual"], e["learning_rate_times_value"]] for k, e in enumerate(result["eigenvalues"], 1)
    ]
    listed = table(["", "eigenvalue", "residual", f"times {number(rate)}"], rows)
    at_most = result["eigenvalues"][0]["learning_rate_times_value"]
    is_beyond = at_most is not None and at_most > limit
    says = "beyond it, it grows along that direction" if is_beyond else "within it"
    lines = [
        f"least eigenvalue {number(result['least']['value'])}; {result['products']} Hessian-vector products"
        + ("" if result["converged"] else "; not converged: see the residuals"),
        f"learning rate times eigenvalue: {number(at_most)}, limit {number(limit)}: {says}",
        f"(the limit of plain gradient descent; trained with {result['optimizer']}, learning rate {number(rate)} before its schedule)",
    ]
    return [listed, "\n".join(lines)]


def _per_example(result: Json) -> list[str]:
    every = result["examples"]
    ordered = sorted(every, key=lambda example: -example["norm"])[:_SHOWN]
    listed = table(
        ["row", "loss", "gradient norm", "cosine to the mean"], [list(example.values()) for example in ordered]
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
