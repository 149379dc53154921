"""``bp predict``: predictions for rows without targets, in their order, however many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from backprop_cli.api.arguments import one_or_many
from backprop_cli.data.stream import ordered_inputs, row_names, stream_inputs
from backprop_cli.errors import UsageError, warn
from backprop_cli.files import is_same_file
from backprop_cli.inspection.predicted_rows import labelled, predicted_outputs, predicted_rows
from backprop_cli.inspection.prediction_writers import WRITERS
from backprop_cli.run.output import opened
from backprop_cli.session.overfit import doubt
from backprop_cli.session.trained_network import TrainedNetwork, open_network

CHUNK = 4096
"""Rows in memory at once."""


@one_or_many
def predict(
    checkpoint: Path | str,
    source: Path | str | BinaryIO,
    output: Path | str | BinaryIO,
    *,
    input_format: str | None = None,
    format: str | None = None,
    proba: bool = False,
    plugins: Sequence[Path | str] = (),
) -> int:
    """Predict every row of ``source``, write one row each to ``output``, and return the number of rows.

    ``format``: csv, jsonl or npz; default: by the output's suffix, else csv. Classes have their names from the
    training data; numbers are in the target's own unit. A file gets a temporary name until it is complete. ``source``
    is read in pieces and can be larger than memory, unless the rows of a series need sorting. A series gives a row for
    each row that ends a window. The columns for time and groups that ``data.window`` names come first, with a ``_``
    appended if a prediction has the same name. ``plugins``: files with code that the network needs.

    Raises:
        UsageError: an unknown format, probabilities of a regression, an output that cannot be written, a missing
            plugin.
        CheckpointError: the checkpoint is missing or damaged.
        DataError: a row that does not fit the data that the network was trained on.

    """
    source = Path(source) if isinstance(source, str) else source
    output = Path(output) if isinstance(output, str) else output
    kind = _format(format, output)
    if isinstance(source, Path) and isinstance(output, Path) and is_same_file(output, source):
        raise UsageError(f"{output}: is the input; write the predictions to another file")
    saved = open_network(Path(checkpoint), plugins=plugins)
    for line in doubt(saved.original.config):
        warn(line)
    if proba:
        _require_probabilities(saved)
    if saved.transform.text is not None:
        raise UsageError(
            f"predict: {saved.path} is a text generator and cannot predict rows; use: bp generate {saved.path}"
        )
    precision = saved.loaded.config.training.precision
    transform = saved.transform
    labels: Mapping[str, Sequence[str | None]] = {}
    if transform.window is not None and transform.window.order:
        batches, labels = ordered_inputs(source, transform, dtype=precision, chunk_rows=CHUNK, format=input_format)
    else:
        batches = stream_inputs(source, transform, dtype=precision, chunk_rows=CHUNK, format=input_format)
        names = row_names(source, input_format)
        labels = labels if names is None else {"file": names}
    rows = labelled((predicted_rows(saved, outputs, proba) for outputs in predicted_outputs(saved, batches)), labels)
    with closing(batches), opened(output) as stream, saved.threads():
        return WRITERS[kind](stream, rows)


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
