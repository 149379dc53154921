"""``bp predict``: predictions for rows without targets, in their order, however many."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.stream import ordered_inputs, row_names, stream_inputs
from backprop_cli.errors import UsageError
from backprop_cli.nn.class_name import spelled
from backprop_cli.nn.metric import Predictions
from backprop_cli.run.output import opened
from backprop_cli.session.trained_network import TrainedNetwork, open_network

FORMATS = ("csv", "jsonl", "npz")
CHUNK = 4096
"""Rows in memory at once."""


@dataclass(frozen=True)
class Rows:
    """Predictions of some rows: a column a target, and with ``--proba`` a column a class."""

    predictions: dict[str, Array]
    probabilities: dict[str, Array]


def predict(
    checkpoint: Path | str,
    source: Path | BinaryIO,
    output: Path | BinaryIO,
    *,
    input_format: str | None = None,
    format: str | None = None,
    proba: bool = False,
    plugins: Sequence[Path | str] = (),
) -> int:
    """Predict every row of ``source`` and write one row each to ``output``; returns how many.

    ``format`` is csv, jsonl or npz; by default as the output's name ends, else csv. Classes are named as in the
    training data, numbers are in the target's own unit. A file is written under a temporary name and renamed when it
    is complete. ``source`` is read in pieces: it may be larger than memory, except where rows of a series are put in
    order. A series gives a row for each row that ends a window; the columns for time and groups that ``data.window``
    names come first, with a ``_`` after a name that the predictions have, too. ``plugins``: files with code that the
    network needs.

    Raises:
        UsageError: a format that is not known, probabilities of a regression, an output that cannot be written, a
            plugin that is missing.
        CheckpointError: the checkpoint is missing or damaged.
        DataError: a row that does not fit what the network was trained on.

    """
    kind = _format(format, output)
    if isinstance(source, Path) and isinstance(output, Path) and output.exists() and output.samefile(source):
        raise UsageError(f"{output}: is the input; write the predictions to another file")
    saved = open_network(Path(checkpoint), plugins=plugins)
    if proba:
        _require_probabilities(saved)
    if saved.transform.text is not None:
        raise UsageError(
            f"predict: {saved.path} goes on with texts, and predicts no rows; use: bp generate {saved.path}"
        )
    precision = saved.loaded.config.training.precision
    transform = saved.transform
    labels: Mapping[str, Sequence[str | None]] = {}
    if transform.window is not None and transform.window.order:
        found = ordered_inputs(source, transform, dtype=precision, chunk_rows=CHUNK, format=input_format)
        batches, labels = found.batches, found.labels
    else:
        batches = stream_inputs(source, transform, dtype=precision, chunk_rows=CHUNK, format=input_format)
        names = row_names(source, input_format)
        labels = labels if names is None else {"file": names}
    rows = _labelled((_rows(saved, outputs, proba) for outputs in _outputs(saved, batches)), labels)
    with closing(batches), opened(output) as stream, saved.threads():
        return _WRITERS[kind](stream, rows)


def _require_probabilities(saved: TrainedNetwork) -> None:
    """Raise UsageError where there is no probability a row."""
    loss = saved.recipe.loss
    if loss.task.has_unit:
        raise UsageError(f"--proba: {loss.type} predicts numbers, not classes")
    if loss.task.has_positions:
        raise UsageError(f"--proba: {loss.type} predicts a token for each position, not one class a row")
    if not loss.gives_probabilities:
        raise UsageError(f"--proba: {loss.type} predicts classes by scores, which are no probabilities; leave it out")


def _format(given: str | None, output: Path | BinaryIO) -> str:
    kind = given or (output.suffix.lstrip(".").lower() if isinstance(output, Path) else "") or "csv"
    if kind not in FORMATS:
        what = f"--format {kind}: unknown" if given else f"{output}: unknown suffix '{Path(str(output)).suffix}'"
        raise UsageError(f"{what}; predictions are written as {', '.join(FORMATS)}: name one with --format")
    return kind


def _outputs(saved: TrainedNetwork, batches: Iterator[Array]) -> Iterator[Array]:
    """What the network predicts, batch by batch; of no rows one batch without any, which still has its columns."""
    found = False
    for outputs in saved.evaluator().predict(batches):
        found = True
        yield outputs
    if not found:
        yield np.empty((0, *saved.recipe.model.output_shape), saved.recipe.model.dtype)


def _rows(saved: TrainedNetwork, outputs: Array, proba: bool) -> Rows:
    task, names = saved.recipe.loss.task, saved.recipe.loss.output_names(saved.transform.target_names)
    if task.has_unit:
        return Rows({name: outputs[:, k] for k, name in enumerate(_columns(names, outputs.shape[1]))}, {})
    labels = Predictions(task, outputs, outputs).labels
    labels = labels if labels.ndim == 2 else labels[:, None]
    classes = _classes(saved, labels.shape[1])
    columns = _columns(() if task.has_positions else names, labels.shape[1])
    found = {name: _named(labels[:, k], classes[k]) for k, name in enumerate(columns)}
    if not proba:
        return Rows(found, {})
    if task.is_multiclass:
        return Rows(found, {name: outputs[:, k] for k, name in enumerate(_told_apart(classes[0]))})
    if len(columns) == 1:
        off, on = _told_apart(classes[0])
        return Rows(found, {off: 1.0 - outputs[:, 0], on: outputs[:, 0]})
    return Rows(found, {name: outputs[:, k] for k, name in enumerate(names)})


def _told_apart(classes: Sequence[Any]) -> list[str]:
    """A name a class: where JSON has the number 1 and the text "1", the text is quoted."""
    texts = [spelled(name) for name in classes]
    return [
        json.dumps(text, ensure_ascii=False) if texts.count(text) > 1 and isinstance(name, str) else text
        for name, text in zip(classes, texts, strict=True)
    ]


def _classes(saved: TrainedNetwork, columns: int) -> Sequence[Sequence[Any]]:
    """What the labels of each column are called: of an autoencoder's outputs and numbered tokens their numbers."""
    known = saved.transform.target.classes
    if saved.recipe.loss.task.has_positions:
        return (known[0] if known else range(saved.recipe.model.output_shape[-1]),) * columns
    return known or ((0, 1),) * columns


def _labelled(rows: Iterator[Rows], labels: Mapping[str, Sequence[str | None]]) -> Iterator[Rows]:
    """The rows, with labels in their first columns: the file of each row, or its time and group."""
    done = 0
    for chunk in rows:
        count = len(next(iter(chunk.predictions.values())))
        names = _free(labels, [*chunk.predictions, *map(_probability, chunk.probabilities), *_KEYS])
        own = {name: _objects(texts[done : done + count]) for name, texts in zip(names, labels.values(), strict=True)}
        yield Rows({**own, **chunk.predictions}, chunk.probabilities)
        done += count


_KEYS = ("probability", "classes")
"""What probabilities are called in JSON lines and arrays."""


def _free(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The names, each with a ``_`` behind it for every time that it is taken."""
    used, found = set(taken), list[str]()
    for name in names:
        while name in used:
            name += "_"
        used.add(name)
        found.append(name)
    return found


def _objects(values: Sequence[Any]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _named(labels: Array, classes: Sequence[Any]) -> Array:
    named: Array = _objects(list(classes))[labels]
    return named


def _columns(names: Sequence[str], width: int) -> list[str]:
    """One prediction is called ``prediction``; several are ``prediction_<target>``."""
    if width == 1:
        return ["prediction"]
    return [f"prediction_{names[k] if k < len(names) else k}" for k in range(width)]


class _Writer(Protocol):
    def __call__(self, stream: BinaryIO, rows: Iterator[Rows]) -> int: ...


def _plain(value: Any) -> Any:
    """A Python number that prints shortest and reads back equal in the precision it was computed in."""
    if isinstance(value, np.floating):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def _probability(name: str) -> str:
    """The column of a class's probabilities."""
    return f"probability_{name}"


def _columns_of(rows: Rows) -> tuple[list[str], list[list[Any]]]:
    columns = {**rows.predictions, **{_probability(name): array for name, array in rows.probabilities.items()}}
    return list(columns), [[_plain(value) for value in array] for array in columns.values()]


def _write_csv(stream: BinaryIO, rows: Iterator[Rows]) -> int:
    count = 0
    for chunk in rows:
        header, columns = _columns_of(chunk)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if count == 0:
            writer.writerow(header)
        writer.writerows([map(spelled, row) for row in zip(*columns, strict=True)])
        stream.write(text.getvalue().encode())
        count += len(columns[0])
    return count


def _write_jsonl(stream: BinaryIO, rows: Iterator[Rows]) -> int:
    count = 0
    for chunk in rows:
        named = {name: [_plain(v) for v in array] for name, array in chunk.predictions.items()}
        probable = {name: [_plain(v) for v in array] for name, array in chunk.probabilities.items()}
        size = len(next(iter(named.values())))
        for k in range(size):
            row: dict[str, Any] = {name: values[k] for name, values in named.items()}
            if probable:
                row["probability"] = {name: values[k] for name, values in probable.items()}
            stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        count += size
    return count


def _write_npz(stream: BinaryIO, rows: Iterator[Rows]) -> int:
    chunks = list(rows)
    arrays = {
        name: _storable(np.concatenate([chunk.predictions[name] for chunk in chunks])) for name in chunks[0].predictions
    }
    if chunks[0].probabilities:
        names = list(chunks[0].probabilities)
        stacked = [np.stack([chunk.probabilities[name] for name in names], axis=1) for chunk in chunks]
        arrays |= {"probability": np.concatenate(stacked), "classes": np.array(names)}
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return len(arrays[next(iter(chunks[0].predictions))])


def _storable(values: Array) -> Array:
    """Class names as text or numbers: an array of objects would have to be pickled."""
    return np.array(values.tolist()) if values.dtype == object else values


_WRITERS: dict[str, _Writer] = {"csv": _write_csv, "jsonl": _write_jsonl, "npz": _write_npz}
