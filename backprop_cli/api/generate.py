"""``bp generate``: text from a network that was trained to tell the next token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.tokenizer import NEWLINE, Tokenizer
from backprop_cli.errors import CheckpointError, DataError, UsageError, listing
from backprop_cli.json_object import JsonObject
from backprop_cli.session.trained_network import TrainedNetwork, open_network
from backprop_cli.training.token_reader import Reader, reader

OnText = Callable[[str], None]


@dataclass(frozen=True)
class Generation(JsonObject):
    """A generated text: ``text`` comes after the ``prompt`` and has ``tokens`` tokens."""

    checkpoint: Path
    prompt: str
    text: str
    tokens: int
    temperature: float
    top_k: int | None
    seed: int


def generate(
    checkpoint: Path | str,
    *,
    prompt: str = "",
    tokens: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
    on_text: OnText | None = None,
    plugins: Sequence[Path | str] = (),
) -> Generation:
    """Continue ``prompt`` by ``tokens`` tokens, drawn one after the other; ``on_text`` gets each as it is drawn.

    Scores are divided by ``temperature`` before they become probabilities: below 1 the probable ones gain. At 0 the
    most probable token is taken, the first of equals. ``top_k``: only that many of the most probable are drawn from.
    Same seed, same text.

    Raises:
        UsageError: an option out of range, or a prompt with tokens that the network does not know.
        CheckpointError: the checkpoint is missing or damaged, or its network was not trained on a text.

    """
    _check(tokens, temperature, top_k, seed)
    saved = open_network(Path(checkpoint), plugins=plugins)
    tokenizer = _tokenizer(saved)
    given = _encoded(tokenizer, prompt)
    pieces = []
    with saved.threads():
        draw = _Draw(saved.path, tokenizer, temperature, top_k, np.random.default_rng(seed))
        source = _drawn(reader(saved.recipe, saved.vectors), tokenizer, given, draw)
        for _, token in zip(range(tokens), source, strict=False):
            pieces.append(tokenizer.vocabulary[token])
            if on_text is not None:
                on_text(pieces[-1])
    return Generation(saved.path, prompt, "".join(pieces), len(pieces), temperature, top_k, seed)


def _check(tokens: int, temperature: float, top_k: int | None, seed: int) -> None:
    if tokens < 0:
        raise UsageError(f"--tokens {tokens}: must be 0 or greater")
    if not 0 <= temperature < math.inf:
        raise UsageError(f"--temperature {temperature:g}: must be 0 (the most probable token) or a number above it")
    if top_k is not None and top_k < 1:
        raise UsageError(f"--top-k {top_k}: must be 1 or greater")
    if seed < 0:
        raise UsageError(f"--seed {seed}: must be 0 or greater")


def _tokenizer(saved: TrainedNetwork) -> Tokenizer:
    tokenizer = saved.transform.text
    if tokenizer is None:
        columns = listing(saved.transform.input_columns)
        raise CheckpointError(f"{saved.path}: its network was trained on {columns}, not on a text; use one that was")
    return tokenizer


def _encoded(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The tokens of the prompt, or what stands before a text: a newline if there is one."""
    try:
        given: list[int] = tokenizer.encode(prompt, "--prompt").tolist()
    except DataError as error:
        raise UsageError(str(error)) from error
    if tokenizer.boundary is not None:
        return [tokenizer.boundary, *given]
    return given or [tokenizer.numbers.get(NEWLINE, 0)]


def _drawn(source: Reader, tokenizer: Tokenizer, given: list[int], draw: _Draw) -> Iterator[int]:
    """Tokens without end."""
    source.start()
    for token in given[:-1]:
        _read(source, tokenizer, token)
    token = given[-1]
    while True:
        token = draw(_read(source, tokenizer, token))
        yield token


def _read(source: Reader, tokenizer: Tokenizer, token: int) -> Array:
    """Where lines are examples, a newline begins another one."""
    if token == tokenizer.boundary:
        source.start()
    return source.read(token)


class _Draw:
    """Draws a token by the scores of all."""

    def __init__(
        self, path: Path, tokenizer: Tokenizer, temperature: float, top_k: int | None, rng: np.random.Generator
    ):
        self._path, self._unknown = path, tokenizer.unknown
        self._temperature, self._top_k, self._rng = temperature, top_k, rng

    def __call__(self, outputs: Array) -> int:
        scores = outputs.astype(np.float64)
        if not np.isfinite(scores).all():
            raise CheckpointError(f"{self._path}: its network's outputs are not finite; use another checkpoint")
        if self._unknown is not None:  # stands for no text
            scores[self._unknown] = -math.inf
        if self._temperature == 0:
            return int(np.argmax(scores))
        if self._top_k is not None and self._top_k < len(scores):
            scores[np.argsort(-scores, kind="stable")[self._top_k :]] = -math.inf
        with np.errstate(over="ignore"):  # minus infinity, of a temperature next to 0, is a weight of 0
            weights = np.exp((scores - scores.max()) / self._temperature)
        total = np.cumsum(weights)
        # The first whose share reaches the number drawn, which is below 1: one of weight 0 is never taken.
        return int(np.searchsorted(total, self._rng.random() * total[-1], side="right"))
