"""Text to the numbers of its tokens, and back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.sections import TextSettings
from backprop_cli.data.table import show
from backprop_cli.errors import DataError, SettingError
from backprop_cli.structs import Struct

Tokens = NDArray[np.int64]

UNKNOWN = "<unknown>"
"""The token for rare tokens. In a text its letters are nine characters, or a word between marks: never one token."""
NEWLINE = "\n"
_WORDS = re.compile(r" ?\w+(?:['’]\w+)*| ?[^\w\s]+|\s")
"""A pattern of words and separators. Every character is in exactly one match, so that the tokens of a text,
joined, are the text.
"""


class Tokenizer(Struct):
    """The vocabulary, sorted by code point: a token's number is its index.

    ``settings`` define tokens. The tokens of a text, joined, are the text again.
    """

    settings: TextSettings
    vocabulary: tuple[str, ...]

    @staticmethod
    def fit(text: str, settings: TextSettings) -> Tokenizer:
        """The vocabulary of ``text``; tokens with fewer than ``minimum_count`` occurrences share one.

        Raises: SettingError if all are rarer.
        """
        pieces = text if settings.tokens == "character" else _WORDS.findall(text)
        counts = Counter(pieces)
        kept = {token for token, count in counts.items() if count >= settings.minimum_count}
        if counts and not kept:
            raise _all_rare(*counts.most_common(1)[0], settings)
        kept |= {UNKNOWN} if settings.minimum_count > 1 else set()
        kept |= {NEWLINE} if settings.lines else set()
        return Tokenizer(settings, tuple(sorted(kept)))

    @cached_property
    def unknown(self) -> int | None:
        """The number of the token ``<unknown>``, if it is in the vocabulary."""
        return self.numbers.get(UNKNOWN)

    @cached_property
    def boundary(self) -> int | None:
        """The number of the newline that begins and ends every example of ``lines``; None for running text."""
        return self.numbers[NEWLINE] if self.settings.lines else None

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Each token's number."""
        return {token: number for number, token in enumerate(self.vocabulary)}

    def encode(self, text: str, name: str) -> Tokens:
        """The numbers of a text's tokens, (tokens,); messages call the text ``name``.

        Raises: DataError with line and column of a token outside the vocabulary, unless that has ``<unknown>``.
        """
        numbers = self._characters(text) if self.settings.tokens == "character" else self._words(text)
        if len(numbers) and numbers.min() < 0:
            raise DataError(self._complaint(text, int(np.argmax(numbers < 0)), name))
        return numbers

    def decode(self, numbers: Tokens) -> str:
        """The text of these tokens."""
        return "".join(self.vocabulary[number] for number in numbers)

    def _characters(self, text: str) -> Tokens:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        numbers = self._number_by_point[np.minimum(points, len(self._number_by_point) - 1)]
        return numbers.astype(np.int64)

    @cached_property
    def _number_by_point(self) -> NDArray[np.int32]:
        """The number of each character by its code point; the last entry is for all further characters."""
        known = {ord(token): number for token, number in self.numbers.items() if len(token) == 1}
        table = np.full(max(known, default=0) + 2, -1 if self.unknown is None else self.unknown, np.int32)
        table[list(known)] = list(known.values())
        return table

    def _words(self, text: str) -> Tokens:
        other = -1 if self.unknown is None else self.unknown
        number = self.numbers.get
        return np.array([number(match, other) for match in _WORDS.findall(text)], np.int64)

    def _complaint(self, text: str, place: int, name: str) -> str:
        if self.settings.tokens == "character":
            start, token = place, text[place]
        else:
            match = [*_WORDS.finditer(text)][place]
            start, token = match.start(), match[0]
        line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
        kind = self.settings.tokens
        alone = "" if kind == "character" or token != " " else " (a word has the space before it; this one has none)"
        return (
            f"{name}:{line}:{column}: {kind} {show(token)}{alone} is not one of the {len(self.vocabulary):,} {kind}s "
            "that the network was trained on; remove it, or train with data.text.minimum_count: 2, which maps "
            "rare ones to <unknown>"
        )

    def to_json(self) -> dict[str, Any]:
        """The settings; the target stores the vocabulary as its classes."""
        return self.settings.model_dump()

    @staticmethod
    def from_json(tree: dict[str, Any], vocabulary: Sequence[Any]) -> Tokenizer:
        """The inverse of ``to_json``."""
        return Tokenizer(TextSettings.model_validate(tree), tuple(map(str, vocabulary)))


def _all_rare(token: str, count: int, settings: TextSettings) -> SettingError:
    """``token``: the most frequent one, with ``count`` occurrences."""
    reason = f"no {settings.tokens} occurs {settings.minimum_count:,} times"
    way_out = f"the most frequent, {show(token)}, occurs {count:,} times; set {count:,} or less"
    return SettingError([(("data", "text", "minimum_count"), f"{reason}: {way_out}")])
