"""Tokens drawn one by one from a network trained on a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.tokenizer import NEWLINE, Tokenizer
from backprop_cli.errors import CheckpointError, DataError, UsageError
from backprop_cli.training.token_reader import Reader


class Sampler:
    """Draws a token, given the scores (tokens,) of all tokens."""

    def __init__(
        self, path: Path, tokenizer: Tokenizer, temperature: float, top_k: int | None, rng: np.random.Generator
    ):
        self._path, self._unknown = path, tokenizer.unknown
        self._temperature, self._top_k, self._rng = temperature, top_k, rng

    def __call__(self, outputs: Array) -> int:
        scores = outputs.astype(np.float64)
        if not np.isfinite(scores).all():
            raise CheckpointError(f"{self._path}: its network's outputs are not finite; use another checkpoint")
        if self._unknown is not None:  # it stands for no text
            scores[self._unknown] = -math.inf
        if self._temperature == 0:
            return int(np.argmax(scores))
        if self._top_k is not None and self._top_k < len(scores):
            scores[np.argsort(-scores, kind="stable")[self._top_k :]] = -math.inf
        with np.errstate(over="ignore"):  # a temperature near 0 gives -inf: a weight of 0
            weights = np.exp((scores - scores.max()) / self._temperature)
        total = np.cumsum(weights)
        # The number drawn is below 1, so that a token of weight 0 is never taken.
        return int(np.searchsorted(total, self._rng.random() * total[-1], side="right"))


def sample_tokens(source: Reader, tokenizer: Tokenizer, given: list[int], draw: Sampler) -> Iterator[int]:
    """An endless sequence of tokens after those ``given``."""
    source.start()
    for token in given[:-1]:
        _read(source, tokenizer, token)
    token = given[-1]
    while True:
        token = draw(_read(source, tokenizer, token))
        yield token


def _read(source: Reader, tokenizer: Tokenizer, token: int) -> Array:
    """Scores of the next token. If lines are examples, a newline starts a new one."""
    if token == tokenizer.boundary:
        source.start()
    return source.read(token)


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The tokens of the prompt. An empty prompt is the token before a text: a newline if it is in the vocabulary."""
    try:
        given: list[int] = tokenizer.encode(prompt, "--prompt").tolist()
    except DataError as error:
        raise UsageError(str(error)) from error
    if tokenizer.boundary is not None:
        return [tokenizer.boundary, *given]
    return given or [tokenizer.numbers.get(NEWLINE, 0)]
