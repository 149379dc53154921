"""Results of the commands as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backprop_cli.errors import listing, plural
from backprop_cli.nn.class_name import spelled
from backprop_cli.number_text import number, size
from backprop_cli.report.tables import confusion_table, pairs, shape_text, table
from backprop_cli.session.outcome import metric_line, outcome_lines
from backprop_cli.session.repeated import summary_lines

if TYPE_CHECKING:
    from backprop_cli.api.cached import CacheResult
    from backprop_cli.api.copy_examples import CopiedExamples
    from backprop_cli.api.eval import EvalResult
    from backprop_cli.api.export import ExportResult
    from backprop_cli.api.init import InitResult, ListedTemplate, ListedTemplates, Seen
    from backprop_cli.api.show import ShowResult
    from backprop_cli.api.split_files import SplitResult
    from backprop_cli.api.train import TrainResult
    from backprop_cli.api.validate import ValidateResult


def train_text(result: TrainResult) -> str:
    """The same lines that end the log."""
    if result.folds:
        return "\n".join([f"run {result.run_dir}", *summary_lines(result.folds, result.baselines)])
    compared = result.baselines, result.no_linear
    lines = outcome_lines(result.run_dir, result.checkpoints, result.best, result.metrics, *compared)
    return "\n".join(lines or [result.status])


def eval_text(result: EvalResult) -> str:
    """``<split>/<metric> value`` a line, then the confusion matrix if it was requested."""
    lines = [plural(result.examples, "example")]
    for name, value in result.metrics.items():
        ends = result.intervals.get(name)
        reach = f", 95 % interval {number(ends[0])} to {number(ends[1])}" if ends is not None else ""
        lines.append(metric_line(f"{result.split}/{name}", value, result.baselines) + reach)
    if result.confusion is not None:
        lines += ["", confusion_table([*map(spelled, result.confusion.classes)], result.confusion.counts)]
    return "\n".join(lines)


def validate_text(result: ValidateResult) -> str:
    """One ``name value`` a line, without the warnings. A text by words has thousands of classes; JSON has them all."""
    content = result.to_json()
    del content["warnings"]
    if result.classes:
        content["classes"] = listing(map(_quoted, result.classes), _MOST_CLASSES)
    return pairs(content)


_MOST_CLASSES = 100
"""Most classes that are printed: every character of a text, but not every word."""


def _quoted(name: Any) -> str:
    """A class as the file spells it (2020 is a year, not 2,020), quoted if it is invisible, such as a space."""
    text = spelled(name)
    return repr(text) if not text.isprintable() or text != text.strip() or not text else text


def show_text(result: ShowResult) -> str:
    """The table of layers, the totals, and the outcome of a run."""
    rows = [
        [
            layer.name,
            layer.type,
            ", ".join(layer.inputs),
            shape_text(layer.output_shape),
            layer.parameters,
            layer.multiplications,
        ]
        for layer in result.layers
    ]
    header = ["layer", "type", "inputs", "output", "parameters", "multiplications"]
    totals = {
        "parameters": result.parameters,
        "trainable": result.trainable,
        "memory of parameters": size(result.bytes.parameters),
        "memory of optimizer": size(result.bytes.optimizer),
        "memory of a training step": size(result.bytes.plan),
        "least it could be": size(result.bytes.plan_lower_bound),
        **({"rows are split": result.split} if result.split else {}),
        **({"every step runs on NumPy": result.numpy_only} if result.numpy_only else {}),
    }
    parts = [table(header, rows), pairs(totals), *([pairs({"run": result.run})] if result.run else [])]
    return "\n\n".join(parts)


def cache_text(result: CacheResult, *, removed: bool) -> str:
    """The folder, then a kind of files a line: how many there are, or were removed, and their size."""
    rows = {kind: f"{plural(found.files, 'file')}, {size(found.bytes)}" for kind, found in result.kinds.items()}
    kept = ": nothing is removed" if removed and result.distrust else ": empty"
    end = kept if not rows else ": removed" if removed else ""
    lines = [f"{result.folder}{end}", *([result.distrust] if result.distrust else [])]
    return "\n".join([*lines, *([pairs(rows)] if rows else [])])


def templates_text(result: ListedTemplates) -> str:
    """A template a line: what it is, and its data."""
    rows = [[each.name, each.summary, _data_text(each)] for each in result.templates]
    return table(["template", "", "data"], rows)


def _data_text(template: ListedTemplate) -> str:
    names = ", ".join(Path(name).stem for name in template.data) or "generated"
    return names if template.included else f"{names}, to download"


def examples_text(result: CopiedExamples) -> str:
    """How many files were written, and a command to begin with."""
    where = "" if result.folder == Path() else f" in {result.folder}"
    wrote = f"wrote {plural(len(result.files), 'file')}" if result.files else "nothing to write"
    return f"{wrote}: configs/ and datasets/{where} are complete\nnext: bp train {result.folder / 'configs/iris.yaml'}"


def split_text(result: SplitResult) -> str:
    """The files with their rows, and the next command."""
    lines = [f"wrote {path}, {plural(result.rows[name], 'row')}" for name, path in result.files.items()]
    return "\n".join([*lines, f"wrote {result.config}", f"next: bp train {result.config}"])


def init_text(result: InitResult) -> str:
    """What was written, the data that is missing, and the next command."""
    lines = [] if result.seen is None else _seen(result.seen, result)
    if result.config is None:
        lines.append("its first line names a schema for editors, which bp schema prints")
    else:
        lines.append(f"wrote {result.config}{f', and {result.schema} for editors' if result.schema else ''}")
    if result.missing:
        lines.append(f"missing data, to be downloaded from {result.download}")
        lines += [f"  {path}" for path in result.missing]
        lines.append(f"or, if you have it already, set {result.variable} to its folder")
    return "\n".join([*lines, f"next: {result.next}"])


def _seen(seen: Seen, result: InitResult) -> list[str]:
    """What the data is, in a few lines."""
    found = dict[str, object]()
    if seen.columns:
        chosen = f", {seen.reason}" if seen.reason else ""
        found["target"] = f"{result.target} ({result.task}){chosen}; --target and --task set others"
    if seen.classes:
        found["classes"] = listing(f"{name}: {count:,}" for name, count in seen.classes.items())
    if seen.without_target:
        found["dropped"] = f"{plural(seen.without_target, 'row')} without a target"
    found |= {kind: f"{len(names):,}: {_first(names)}" for kind, names in seen.columns.items() if names}
    if seen.gaps:
        found["missing"] = _first([f"{name}: {count:,}" for name, count in seen.gaps.items()])
    reasons = [f"{name} {reason.partition('; ')[0]}" for name, reason in seen.left_out.items()]
    if reasons:
        more = f"; and {len(reasons) - _FEW:,} more" if len(reasons) > _FEW else ""
        found["left out"] = f"{'; '.join(reasons[:_FEW])}{more}"
    if result.preset is not None:
        found["network"] = f"preset {result.preset}; --preset writes another"
    unit = {"images": "image", "text": "line"}.get(seen.kind, "row")
    return [f"{seen.source}: {plural(seen.rows, unit)}", pairs({**found, **seen.notes})]


_FEW = 4
"""Most columns that are named with the reason why they are left out."""


def _first(names: Sequence[str], most: int = 8) -> str:
    return f"{', '.join(names[:most])}{', ...' if len(names) > most else ''}"


def export_text(result: ExportResult) -> str:
    """The files, their memory and their multiplications."""
    figures = {name: size(count) for name, count in result.memory.items()}
    figures |= {name: plural(count, "multiplication") for name, count in result.multiplications.items()}
    lines = [f"wrote {path}" for path in result.files]
    return "\n".join([*lines, *([pairs(figures)] if figures else [])])
