"""A configuration for a text, which learns to predict its next character."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from backprop_cli.data.file import DataFile
from backprop_cli.data.text_examples import read_text
from backprop_cli.errors import plural

_LONGEST_NAME = 40
"""Most characters of nearly all lines, if each line is an example."""
_FEWEST_LINES = 100
_CONTEXT = 64


class TextFacts(NamedTuple):
    """What a text is. ``are_examples``: whether each line stands for itself, as in a list of names."""

    characters: int
    different: int
    lines: int
    are_examples: bool
    context: int


def text_facts(path: Path) -> TextFacts:
    """What a text is. Raises: DataError."""
    text = read_text(DataFile(path), None)
    lines = text.splitlines()
    lengths = np.array([len(line) for line in lines] or [0])
    usual = int(np.quantile(lengths, 0.99))
    are_examples = len(lines) >= _FEWEST_LINES and usual <= _LONGEST_NAME and bool((lengths > 0).all())
    context = usual + 1 if are_examples else min(_CONTEXT, max(1, len(text) // 50))
    return TextFacts(len(text), len(set(text)), len(lines), are_examples, context)


def draft_text(facts: TextFacts, source: str, run: str) -> str:
    """A configuration with a recurrent network. ``run``: the directory of its runs."""
    example = "a line is an example; its end counts as a character" if facts.are_examples else "characters an example"
    keys = f"lines: true, context: {facts.context}" if facts.are_examples else f"context: {facts.context}"
    examples = facts.lines if facts.are_examples else facts.characters // facts.context
    lines = [
        f"# Predicts the next character of a text with {plural(facts.characters, 'character')}. To write on:",
        f"#   bp generate {run} --tokens 200",
        "data:",
        f"  source: {source}",
        f"  text: {{{keys}}}  # {example}",
        "  split: {validation: 0.1, test: 0.1}",
        "",
        "model:",
        "  layers:",
        f"    - {{type: embedding, tokens: auto, width: 32}}  # {facts.different} different characters",
        f"    - {{type: gru, units: {128 if facts.characters < 100_000 else 256}, output: sequence}}",
        "    - {type: dropout, rate: 0.1}",
        "    - {type: dense, units: auto}",
        "",
        "loss: next_token",
        "metrics: [perplexity, bits_per_token]",
        "optimizer: {type: adamw, learning_rate: 3e-3, weight_decay: 0.01}",
        f"training: {{epochs: auto, batch_size: {64 if examples >= 10_000 else 32}, clip_norm: 1.0}}",
        "early_stopping: {patience: 3}  # epochs without a better validation/loss",
        "gradient_check: {samples: 4}",
    ]
    return "\n".join(lines) + "\n"
