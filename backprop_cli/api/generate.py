"""``bp generate``: text from a network that was trained to predict the next token."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from backprop_cli.api.arguments import one_or_many
from backprop_cli.data.tokenizer import Tokenizer
from backprop_cli.errors import CheckpointError, UsageError, listing, warn
from backprop_cli.inspection.token_sampling import Sampler, encode_prompt, sample_tokens
from backprop_cli.json_object import JsonObject
from backprop_cli.session.overfit import doubt
from backprop_cli.session.trained_network import TrainedNetwork, open_network
from backprop_cli.training.token_reader import reader

OnText = Callable[[str], None]


class Generation(JsonObject):
    """A generated text."""

    checkpoint: Path
    """The checkpoint that generated the text."""
    prompt: str
    """The beginning that was given."""
    text: str
    """The text that comes after the prompt."""
    tokens: int
    """Number of tokens of ``text``."""
    temperature: float
    """The temperature of the draws; 0 takes the most probable token."""
    top_k: int | None
    """Number of most probable tokens that were drawn from; null: all."""
    seed: int
    """Seed of the draws."""


@one_or_many
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
    """Continue ``prompt`` by ``tokens`` tokens, drawn one by one; ``on_text`` receives each at once.

    Scores are divided by ``temperature`` before they become probabilities: below 1 probable tokens gain. At 0 the
    most probable token is taken, the first of equals. ``top_k``: draw from that many of the most probable tokens only.
    The same seed gives the same text.

    Raises:
        UsageError: an option is out of range, or the prompt has tokens that the network does not know.
        CheckpointError: the checkpoint is missing or damaged, or its network was not trained on a text.

    """
    _check(tokens, temperature, top_k, seed)
    saved = open_network(Path(checkpoint), plugins=plugins)
    for line in doubt(saved.original.config):
        warn(line)
    tokenizer = _tokenizer(saved)
    given = encode_prompt(tokenizer, prompt)
    pieces = []
    with saved.threads():
        draw = Sampler(saved.path, tokenizer, temperature, top_k, np.random.default_rng(seed))
        source = sample_tokens(reader(saved.recipe, saved.vectors), tokenizer, given, draw)
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
