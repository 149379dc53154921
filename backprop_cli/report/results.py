"""Results of the commands as text, from the same objects that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backprop_cli.nn.class_name import spelled
from backprop_cli.report.numbers import number, plural, size
from backprop_cli.report.tables import confusion_table, pairs, table

Json = Mapping[str, Any]


def train_text(result: Json) -> str:
    """Run directory, kept checkpoint and the kept model's metrics, one ``name value`` a line.

    The metrics are those of the test split, or of the splits there are.
    """
    lines = [f"run {result['run_dir']}"] if result.get("run_dir") else []
    lines += _kept(result)
    metrics = result.get("metrics") or {}
    on_test = {name: value for name, value in metrics.items() if name.startswith("test/")}
    lines += [_metric(name, value, result) for name, value in (on_test or metrics).items()]
    return "\n".join([*lines, *([] if lines else [str(result.get("status", "done"))])])


def validate_text(result: Json) -> str:
    """One ``name value`` a line; a class is quoted where it could not be seen, as a token that is a space."""
    classes = {"classes": [_seen(name) for name in result["classes"]]} if result.get("classes") else {}
    return pairs({**result, **classes})


def _seen(name: Any) -> str:
    """A class as the file spells it: 2020 is a year, not 2,020."""
    text = spelled(name)
    return repr(text) if not text.isprintable() or text != text.strip() or not text else text


def eval_text(result: Json) -> str:
    """``<split>/<metric> value`` a line, then the confusion matrix where there is one."""
    lines = [plural(result["examples"], "example")]
    lines += [_metric(f"{result['split']}/{name}", value, result) for name, value in result["metrics"].items()]
    if confusion := result.get("confusion"):
        lines += ["", confusion_table([*map(spelled, confusion["classes"])], confusion["counts"])]
    return "\n".join(lines)


def _metric(name: str, value: float, result: Json) -> str:
    """``test/r2 0.91``, and what the baselines have where there are some: ``(last_value 0.5, seasonal 0.8)``."""
    others = {baseline: values.get(name) for baseline, values in (result.get("baselines") or {}).items()}
    beside = ", ".join(f"{baseline} {number(other)}" for baseline, other in others.items() if other is not None)
    return f"{name} {number(value)}" + (f" ({beside})" if beside else "")


def gradcheck_text(result: Json) -> str:
    """The table of checks, worst first, where and by how much those are wrong that are, and what they come to."""
    rows = [
        [
            check["name"],
            check["kind"],
            _shape(check["shape"]),
            f"{check['checked']}/{check['size']}",
            check["max_relative_error"],
            check["max_absolute_error"],
            check["verdict"],
        ]
        for check in result["checks"]
    ]
    header = ["name", "kind", "shape", "checked", "relative error", "absolute error", "verdict"]
    wrong = [check for check in result["checks"] if check["verdict"] in _WRONG and check["worst"]]
    parts = [table(header, rows)]
    if wrong:
        parts.append(_worst_entries("wrong", wrong))
    if result.get("rules"):
        parts.append(_worst_entries("wrong rule", result["rules"]))
    if mutants := result.get("mutants"):
        survivors = [f"not noticed: {survivor}" for survivor in mutants["survivors"]]
        score = f"{number(mutants['killed'])} of {plural(mutants['total'], 'broken rule')} noticed"
        parts.append("\n".join([*survivors, score]))
    return "\n\n".join([*parts, _verdict(result)])


_WRONG = {"FAIL", "NONFINITE"}


def _worst_entries(title: str, checks: Sequence[Json]) -> str:
    """Where each check is farthest off, and both numbers there."""
    rows = [
        [
            check["name"],
            check["kind"],
            _shape(check["worst"]["index"]),
            *(f"{check['worst'][key]:.10g}" for key in ("analytic", "numeric")),
            check["max_relative_error"],
        ]
        for check in checks
    ]
    return table([title, "kind", "index", "analytic", "numeric", "relative error"], rows)


_MEMORY = {
    "parameters": "memory of parameters",
    "optimizer": "memory of optimizer",
    "plan": "memory of a training step",
    "plan_lower_bound": "least it could be",
}


def show_text(result: Json) -> str:
    """The table of layers, the totals, and for a run its outcome."""
    rows = [
        [
            layer["name"],
            layer["type"],
            ", ".join(layer["inputs"]),
            _shape(layer["output_shape"]),
            layer["parameters"],
            layer["multiplications"],
        ]
        for layer in result["layers"]
    ]
    header = ["layer", "type", "inputs", "output", "parameters", "multiplications"]
    totals: dict[str, object] = {"parameters": result["parameters"], "trainable": result["trainable"]}
    totals |= {_MEMORY.get(name, name): size(count) for name, count in result["bytes"].items()}
    rest = {key: value for key, value in result.items() if key not in {"layers", "bytes", *totals}}
    return "\n\n".join(part for part in (table(header, rows), pairs(totals), pairs(rest)) if part)


def listing_text(found: Json) -> str:
    """The kinds with their counts, a kind's entries, or one entry's page with its fields."""
    if "kinds" in found:
        return table(["kind", "number"], [[kind["kind"], kind["count"]] for kind in found["kinds"]])
    entries = found["entries"]
    if len(entries) == 1 and "page" in entries[0]:
        return _page(found["kind"], entries[0])
    return table([found["kind"], ""], [[entry["name"], entry["summary"]] for entry in entries])


def _kept(result: Json) -> list[str]:
    """The line of the checkpoint that is kept: the best, or else the last."""
    checkpoints = result.get("checkpoints") or {}
    best = result.get("best") or {}
    if checkpoints.get("best"):
        at = f" (best {best['monitor']} {number(best['value'])}, epoch {best['epoch']})" if best else ""
        return [f"checkpoint {checkpoints['best']}{at}"]
    return [f"checkpoint {checkpoints['last']}"] if checkpoints.get("last") else []


def _verdict(result: Json) -> str:
    checks = result["checks"]
    wrong = sum(check["verdict"] in _WRONG for check in checks)
    of = f" of {result['tolerance_of']}" if result.get("tolerance_of") else ""
    how = f"method {result['method']}, {result['dtype']}, tolerance {number(result['tolerance'])}{of}"
    judged, checked = (sum(check[key] for check in checks) for key in ("judged", "checked"))
    count = f"{judged:,} of {checked:,} {'entry' if checked == 1 else 'entries'} judged"
    if wrong:
        return f"FAIL: {wrong} of {plural(len(checks), 'check')} wrong, {count} ({how})"
    if result["passed"]:
        return f"PASS: {plural(len(checks), 'check')}, {count} ({how})"
    if (result.get("mutants") or {}).get("survivors"):
        return f"FAIL: {plural(len(checks), 'check')} passed, but not every broken rule is noticed ({how})"
    left = plural(len(result["unjudged"]), "check")
    return f"FAIL: no entry of {left} could be judged, and --strict asks for that; {count} ({how})"


def _page(kind: str, entry: Json) -> str:
    """The manual page of one entry: its docstring, then its keys."""
    rows = []
    for field in entry["fields"]:
        default = "required" if field["required"] else _default(field["default"])
        rows.append([field["name"], field["type"], default, field["description"]])
    parts = [f"{entry['name']} ({kind})", entry["page"]]
    if rows:
        parts.append(table(["key", "value", "default", ""], rows))
    return "\n\n".join(parts)


def _default(value: object) -> str:
    """A default as it would be written in YAML."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_default(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_default, value)) + "]"
    return str(value)


def _shape(shape: object) -> str:
    return "[" + ", ".join(map(str, shape)) + "]" if isinstance(shape, list | tuple) else str(shape)
