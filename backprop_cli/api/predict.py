"""``bp predict``: predictions for rows without targets, in their order, however many."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

from backprop_cli.api.arguments import one_or_many
from backprop_cli.autodiff import Array
from backprop_cli.data.panel import label_columns
from backprop_cli.data.row_labels import RowLabels
from backprop_cli.data.stream import ordered_inputs, row_names, stream_inputs
from backprop_cli.errors import UsageError, warn
from backprop_cli.files import is_same_file
from backprop_cli.inspection.predicted_rows import labelled, predicted_outputs, predicted_rows
from backprop_cli.inspection.prediction_writers import WRITERS
from backprop_cli.nn.task import BINARY
from backprop_cli.run.output import opened
from backprop_cli.session.overfit import doubt
from backprop_cli.session.trained_network import TrainedNetwork, open_network

CHUNK = 4096
"""Rows in memory at once."""


@one_or_many
def predict(
    checkpoint: Path | str,
    source: Path | str | BinaryIO | Sequence[Path | str],
    output: Path | str | BinaryIO,
    *,
    input_format: str | None = None,
    format: str | None = None,
    proba: bool = False,
    threshold: float | None = None,
    keep: Sequence[str] = (),
    plugins: Sequence[Path | str] = (),
) -> int:
    """Predict every row of ``source``, write one row each to ``output``, and return the number of rows.

    ``format``: csv, jsonl, npz or parquet; default: by the output's suffix, else csv. Classes have their names from the
    training data; numbers are in the target's own unit. A file gets a temporary name until it is complete. ``source``
    is read in pieces and can be larger than memory, unless the rows of a series need sorting. Several files are
    predicted one after the other, and the first column names the file of each row. A series gives a row for each row
    that ends a window. The columns for time and groups that ``data.window`` names come first, then the columns
    ``keep`` as the input has them, with a ``_`` appended if a prediction has the same name. ``threshold``: the least
    probability of the second name of a binary target, instead of one half. ``plugins``: files with code that the
    network needs.

    Raises:
        UsageError: an unknown format, probabilities of a regression, an output that cannot be written, a missing
            plugin.
        CheckpointError: the checkpoint is missing or damaged.
        DataError: a row that does not fit the data that the network was trained on.

    """
    sources, output = _sources(source), Path(output) if isinstance(output, str) else output
    kind = _format(format, output)
    for each in sources:
        if isinstance(each, Path) and isinstance(output, Path) and is_same_file(output, each):
            raise UsageError(f"{output}: is the input; write the predictions to another file")
    saved = open_network(Path(checkpoint), plugins=plugins)
    for line in doubt(saved.original.config):
        warn(line)
    if proba:
        _require_probabilities(saved)
    if threshold is not None:
        _require_binary(saved, threshold)
    if saved.transform.text is not None:
        raise UsageError(
            f"predict: {saved.path} is a text generator and cannot predict rows; use: bp generate {saved.path}"
        )
    files = [(each, row_names(each, input_format)) for each in sources]
    window = saved.transform.window
    has_file = len(files) > 1 or files[0][1] is not None
    labels = RowLabels([*(() if window is None else label_columns(window)), *keep], file=has_file)
    batches = _batches(saved, files, input_format, keep, labels)
    outputs = predicted_outputs(saved, batches)
    rows = labelled((predicted_rows(saved, each, proba, threshold) for each in outputs), labels)
    with closing(batches), opened(output) as stream, saved.threads():
        return WRITERS[kind](stream, rows)


def _sources(source: Path | str | BinaryIO | Sequence[Path | str]) -> list[Path | BinaryIO]:
    if isinstance(source, str | Path):
        return [Path(source)]
    return [Path(each) for each in source] if isinstance(source, list | tuple) else [cast("BinaryIO", source)]


def _batches(
    saved: TrainedNetwork,
    files: Sequence[tuple[Path | BinaryIO, Sequence[str] | None]],
    format: str | None,
    keep: Sequence[str],
    labels: RowLabels,
) -> Generator[Array, None, None]:
    """The inputs of all files; ``labels`` gets the columns that go with their rows."""
    transform, dtype = saved.transform, saved.loaded.config.training.precision
    for source, names in files:
        inside = names if names is None or len(files) == 1 else [f"{source}/{name}" for name in names]
        labels.begin(str(source), inside or ())
        if transform.window is not None and transform.window.order:
            found = ordered_inputs(source, transform, dtype=dtype, chunk_rows=CHUNK, format=format, keep=keep)
            batches, columns = found
            labels.add(columns, len(next(iter(columns.values()))))
            yield from batches
        else:
            yield from stream_inputs(
                source, transform, dtype=dtype, chunk_rows=CHUNK, format=format, labels=labels, keep=keep
            )


def _require_binary(saved: TrainedNetwork, threshold: float) -> None:
    """Raise UsageError unless the network predicts the probability of the second of two names."""
    loss = saved.recipe.loss
    if loss.task != BINARY or not loss.gives_probabilities:
        raise UsageError(f"--threshold: {loss.type} predicts no probability of one of two classes; leave it out")
    if not 0 < threshold < 1:
        raise UsageError(f"--threshold: must be between 0 and 1, got {threshold:g}")


def _require_probabilities(saved: TrainedNetwork) -> None:
    """Raise UsageError unless the network predicts probabilities for each row."""
    loss = saved.recipe.loss
    if loss.task.has_unit:
        raise UsageError(f"--proba: {loss.type} predicts numbers, not classes")
    if loss.task.has_positions:
        raise UsageError(f"--proba: {loss.type} predicts a token for each position, not one class a row")
    if not loss.gives_probabilities:
        raise UsageError(f"--proba: {loss.type} predicts scores of classes, not probabilities; leave it out")


def _format(given: str | None, output: Path | BinaryIO) -> str:
    kind = given or (output.suffix.lstrip(".").lower() if isinstance(output, Path) else "") or "csv"
    if kind not in WRITERS:
        what = f"--format {kind}: unknown" if given else f"{output}: unknown suffix '{Path(str(output)).suffix}'"
        raise UsageError(f"{what}; predictions are written as {', '.join(WRITERS)}: name one with --format")
    return kind
