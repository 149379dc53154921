"""Examples from a text: windows over its tokens, with the same windows one token later as targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.examples import Dataset, Split, Windows
from backprop_cli.data.file import DataFile
from backprop_cli.data.fit import Demand
from backprop_cli.data.format import TextFormat, format_of
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.split import Indices, split_in_order, split_rows
from backprop_cli.data.target import FittedTarget
from backprop_cli.data.tokenizer import NEWLINE, Tokenizer, Tokens
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError, SettingError, plural
from backprop_cli.memory import shortage
from backprop_cli.nn.task import NO_TOKEN, TOKENS
from backprop_cli.settings import AUTO

_PADDING = 0
"""The input at positions after the end of a text; any token would do."""


def fit_text(settings: DataSettings, base: Path, demand: Demand) -> Transform:
    """Fit the vocabulary on the whole first file: token names, like class names, reveal no split.

    The network may know more or fewer tokens than the vocabulary has; a check after this one compares them.

    Raises: DataError for a text that cannot be used; SettingError if the loss is for other targets, an example does not
        have ``input_shape``, or the network does not look its inputs up.
    """
    assert settings.text is not None
    if not demand.task.has_positions:
        reason = "the targets of a text are the tokens that come next; use loss: next_token"
        raise SettingError([(("loss",), reason)])
    shape = (settings.text.context,)
    asked = demand.input_shape
    if asked is not None and asked != shape:
        reason = f"{list(asked)} is not the shape of an example, which has data.text.context: {shape[0]} tokens"
        raise SettingError([(("model", "input"), reason)])
    lacking = shortage(np.dtype(np.int64).itemsize * shape[0])
    if lacking is not None:
        reason = f"an example of {shape[0]:,} tokens would take {lacking}; make it smaller"
        raise SettingError([(("data", "text", "context"), reason)])
    file = _first(settings, base)
    tokenizer = Tokenizer.fit(read_text(file, settings.format), settings.text)
    count = len(tokenizer.vocabulary)
    if demand.tokens is None:
        reason = f"the network computes with its inputs, and {file.name} has {count:,} different tokens"
        raise SettingError([(("model", "layers"), f"{reason}; begin with an embedding with tokens: {count}")])
    nothing = np.zeros(0)
    target = FittedTarget(TOKENS, (), ("token",), (tokenizer.vocabulary,), nothing, nothing)
    return Transform((), target, shape, count if demand.tokens == AUTO else demand.tokens, tokenizer)


def load_text_dataset(settings: DataSettings, transform: Transform, *, base: Path, seed: int) -> Dataset:
    """The splits of a text.

    Running text is split in order, train first, and no example crosses from one split to another. Lines are split at
    random by ``seed``.

    Raises: DataError for a text that cannot be used, or is too short for a split.
    """
    assert transform.text is not None
    other = {"validation": settings.validation, "test": settings.test}
    own = {name for name, files in other.items() if files is not None}
    fractions = {} if settings.split is None else settings.split.model_dump(include={"validation", "test"} - own)
    file = _first(settings, base)
    numbers = transform.text.encode(read_text(file, settings.format), file.name)
    splits = _split(numbers, file.name, transform.text, fractions, seed)
    hashes = file.hashes()
    for name in own:
        file = DataFile(base / str(other[name]))
        splits[name] = load_text(file, transform, settings.format)
        hashes |= file.hashes()
    return Dataset(splits["train"], splits.get("validation"), splits.get("test"), transform, hashes)


def _first(settings: DataSettings, base: Path) -> DataFile:
    """The file of the vocabulary."""
    file = DataFile(base / str(settings.first))
    file.check_lasting()
    return file


def load_text(file: DataFile, transform: Transform, format: str | None) -> Split:
    """A whole text, each token in one example. Raises: DataError, also for a token that the network does not know."""
    assert transform.text is not None
    tokenizer = transform.text
    numbers = tokenizer.encode(read_text(file, format), file.name)
    if tokenizer.settings.lines:
        lines = _Lines(numbers, tokenizer)
        return lines.split(np.arange(len(lines.starts)))
    return _running(numbers, tokenizer, range(len(numbers)), file.name)


def read_text(file: DataFile, format: str | None) -> str:
    """The text of a file. Raises: DataError if its format is another."""
    file.check()
    chosen = format_of(file.name, format)
    if not isinstance(chosen, TextFormat):
        raise DataError(f"{file.name}: the network was trained on a text; name a .txt, or set data.format: text")
    return chosen.read(file)


def _split(
    numbers: Tokens, name: str, tokenizer: Tokenizer, fractions: Mapping[str, float], seed: int
) -> dict[str, Split]:
    settings = tokenizer.settings
    if settings.lines:
        lines = _Lines(numbers, tokenizer)
        rows = split_rows(len(lines.starts), fractions, seed=seed, labels=None, name=name)
        return {key: lines.split(chosen) for key, chosen in rows.items()}
    parts = split_in_order(len(numbers), fractions, name=name, what="token")
    splits = {key: _running(numbers, tokenizer, part, f"{name}: the {key} split") for key, part in parts.items()}
    whole, train = splits["train"], parts["train"]
    starts = np.arange(0, len(train) - settings.context, settings.stride or settings.context)
    if len(starts) and not np.array_equal(starts, settings.context * np.arange(len(whole))):
        splits["train"] = replace(_running(numbers, tokenizer, train, name, starts), apart=whole)
    return splits


def _running(numbers: Tokens, tokenizer: Tokenizer, part: range, name: str, starts: Indices | None = None) -> Split:
    """Windows over tokens ``part`` of running text, at ``starts`` (default: one after the other to the end).

    By default every token but the first is the target at exactly one position. The last window may be shorter: its
    positions after the end of the text are ignored.

    Raises: DataError if the text has no token to predict.
    """
    context, count = tokenizer.settings.context, len(part)
    if count < 2:
        raise DataError(
            f"{name} has {plural(count, 'token')}, expected at least 2: one to read and the next to "
            "predict; give more text"
        )
    starts = np.arange(0, count - 1, context) if starts is None else starts
    lengths = np.minimum(count - 1 - starts, context)
    is_whole = lengths[-1] == context
    own = np.zeros(count if is_whole else int(starts[-1]) + context + 1, np.int32)  # half the memory of int64
    own[:count] = numbers[part.start : part.stop]
    shorter = None if is_whole else lengths
    inputs, targets = (
        _windows(own, starts + shift, context, shorter, fill) for shift, fill in ((0, _PADDING), (1, NO_TOKEN))
    )
    return Split(inputs, targets, _line_numbers(numbers, tokenizer)[starts + part.start])


def _line_numbers(numbers: Tokens, tokenizer: Tokenizer) -> Indices:
    """The line, from 1, of each token."""
    ends = (numbers == tokenizer.numbers.get(NEWLINE, NO_TOKEN)).astype(np.int64)
    return np.asarray(1 + np.cumsum(ends) - ends)


class _Lines:
    """The lines of a text that are not empty. ``starts``: the indexes in ``tokens`` of the newlines before them.

    An example is a line between two newlines. A line longer than ``context`` continues in the next example.
    """

    def __init__(self, numbers: Tokens, tokenizer: Tokenizer):
        assert tokenizer.boundary is not None
        self.context, self.boundary = tokenizer.settings.context, tokenizer.boundary
        framed = np.concatenate([[self.boundary], numbers, [self.boundary]])
        newlines = np.flatnonzero(framed == self.boundary)
        filled = np.flatnonzero(np.diff(newlines) > 1)
        self.rows, self.starts, self.lengths = filled + 1, newlines[filled], np.diff(newlines)[filled]
        # The last window may reach beyond the last token; those entries are overwritten.
        self.tokens = np.pad(framed, (0, self.context)).astype(np.int32)

    def split(self, lines: Indices) -> Split:
        """The examples of these lines, in their order."""
        pieces = -(-self.lengths[lines] // self.context)
        line = np.repeat(lines, pieces)
        done = self.context * (np.arange(len(line)) - np.repeat(np.cumsum(pieces) - pieces, pieces))
        starts, lengths = self.starts[line] + done, np.minimum(self.lengths[line] - done, self.context)
        inputs = _windows(self.tokens, starts, self.context, lengths, self.boundary)
        targets = _windows(self.tokens, starts + 1, self.context, lengths, NO_TOKEN)
        return Split(inputs, targets, self.rows[line])


def _windows(
    tokens: NDArray[np.int32], starts: Indices, context: int, lengths: Indices | None = None, fill: int = 0
) -> Windows:
    return Windows(tokens, starts, context, (context,), np.dtype(np.int64), lengths, fill)
