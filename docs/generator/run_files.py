"""``run-directory.md``: the files of a run, and the keys of those that are read by scripts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from backprop_cli.registry import snake_case
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.journal import STEP_METRICS
from backprop_cli.run.record import Record, ResumptionEntry
from backprop_cli.settings import attribute_docs
from backprop_cli.training.events import Checking, Event, Step, Warned
from generator import markdown
from generator.results import sort_of_value

_INTRODUCTION = """\
A run is a directory `runs/<name>/<UTC time>-<4 hex digits>/`, which is never reused. `runs/<name>/latest` points at the
newest run that has a checkpoint. `bp train --run-dir` names another place.

The format is stable: a file or key keeps its name, its type, its unit and its meaning. New files and keys may be added,
so a script should ignore those that it does not know."""

_JOURNAL = """\
Each line has `event` and `step`, and the keys of its event. Metrics stand next to them under their full names, such as
`validation/loss`. A number that is not finite is `null`. A run that is resumed from an earlier step takes later steps
again: lines of larger steps before its line `started` do not count. Lines `step` are written only with
`log.every_steps`."""

_CHECKPOINT = """\
A checkpoint is one [safetensors](https://github.com/huggingface/safetensors) file, written under a temporary name and
renamed. Opening it runs no code. Its tensors:

| name | tensor |
| --- | --- |
| `<layer>.<parameter>` | a parameter, or a running statistic, of the model that is kept: `dense_1.weight` |
| `optimizer.<slot>.<parameter>` | a slot of the optimizer: `optimizer.m.dense_1.weight` |
| `training.<parameter>` | the optimizer's own parameters, if an average or slow weights are kept |
| `lookahead.<parameter>` | slow weights, if an average is kept |
| `epoch.predictions`, `epoch.tokens` | what the metrics of the running epoch need, in the middle of one |

Names, shapes and orders are PyTorch's: `weight` of a dense layer is (units, inputs). The metadata are texts; each is
JSON:"""

METADATA = {
    "format_version": "1, the version of this format",
    "sha256": "checksum of everything else",
    "config": "the resolved configuration",
    "input_shape": "shape of one example, channels first",
    "classes": "names of the classes in the order of the outputs; null without classes",
    "class_weights": "weights of the classes in the loss; null without",
    "target_names": "names of the target columns",
    "transform": "the fitted transform",
    "threads": "BLAS threads, which decide the last bits of sums",
    "data": "sha256 of the data files that the run began with",
    "accepted_data": "sha256 of other data files that resumptions accepted",
    "plugins": "sha256 of the plugins",
    "calibration": "`temperature`, and `intervals` with `level` and `largest` score, if the run fitted them",
    "state": "`step`, `epoch`, `position` in the epoch, state of the random numbers, and what schedule, early stopping "
    "and the choice of the best checkpoint remember",
}
"""The metadata of a checkpoint; a test compares them with those of a run."""


def run_directory_page() -> str:
    """The page."""
    headings = ["Files", "run.json", "metrics.jsonl", "metrics.csv", "Checkpoints"]
    return markdown.page(
        "Run directory",
        _INTRODUCTION,
        markdown.contents(headings),
        "## Files",
        markdown.table(["file", "holds"], [[f"`{name}`", markdown.escaped(words)] for name, words in files().items()]),
        "## run.json",
        markdown.docstring(Record.__doc__),
        _model(Record),
        "An entry of `resumed`:",
        _model(ResumptionEntry),
        "## metrics.jsonl",
        _JOURNAL,
        *(part for event in journal_events() for part in _event(event)),
        "## metrics.csv",
        "A line for each event `epoch`: `step`, `epoch`, `seconds`, and a column for each metric under its full name. "
        "All cells are numbers; `nan` stands for a missing one.",
        "## Checkpoints",
        _CHECKPOINT,
        markdown.table(["key", "holds"], [[f"`{key}`", words] for key, words in METADATA.items()]),
    )


def files() -> dict[str, str]:
    """What each file and folder of a run holds, by its path in the directory."""
    run = RunDirectory(Path("run"))
    found: dict[Path, str] = {}
    for name, member in vars(RunDirectory).items():
        if isinstance(member, property):
            found[getattr(run, name)] = inspect.getdoc(member) or ""
    found[run.at_step(1200)] = inspect.getdoc(run.at_step) or ""
    found[run.gradient_check(100)] = inspect.getdoc(run.gradient_check) or ""
    folders = {path.parent for path in found}
    return {
        path.relative_to(run.path).as_posix() + "/" * (path in folders): words
        for path, words in sorted(found.items(), key=lambda item: (item[0].parent != run.path, item[0].parent))
    }


def _model(cls: type[BaseModel]) -> str:
    """The keys of a pydantic class."""
    hints, words = get_type_hints(cls), attribute_docs(cls)
    return _keys({key: (hints[key], words.get(key, "")) for key in cls.model_fields})


def _keys(keys: Mapping[str, tuple[Any, str]]) -> str:
    rows = [
        [f"`{key}`", sort_of_value(annotation), markdown.escaped(words)] for key, (annotation, words) in keys.items()
    ]
    return markdown.table(["key", "value", "meaning"], rows)


def journal_events() -> list[type[tuple[Any, ...]]]:
    """The events that a journal has."""
    return [event for event in get_args(Event) if event not in (Checking, Warned)]


def event_keys(event: type[tuple[Any, ...]]) -> dict[str, tuple[Any, str]]:
    """The keys of an event's line, without ``event`` and its metrics."""
    hints, words = get_type_hints(event), attribute_docs(event)
    names = STEP_METRICS if event is Step else {}
    return {names.get(key, key): (hints[key], words.get(key, "")) for key in hints if key != "metrics"}


def _event(event: type[tuple[Any, ...]]) -> Iterator[str]:
    yield f"### {snake_case(event.__name__)}"
    yield markdown.docstring(event.__doc__)
    yield _keys(event_keys(event))
