"""A small configuration to break, and how to see what was said about it."""

from pathlib import Path

import pytest

from backprop_cli.config.load import load_config
from backprop_cli.errors import ConfigError

DIGITS = """\
data:
  source: digits.csv
  target: digit
model:
  input: [64]
  layers:
    - {type: dense, units: 64, activation: relu}
    - {type: dropout, rate: 0.2}
    - {type: dense, units: 10}
loss: cross_entropy
"""


def write(folder: Path, text: str = DIGITS) -> Path:
    path = folder / "digits.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(text: str = DIGITS, *overrides: str) -> str:
    """What is said about a file `digits.yaml` in the working directory, without the closing count."""
    write(Path(), text)
    with pytest.raises(ConfigError) as caught:
        load_config(Path("digits.yaml"), overrides)
    assert caught.value.exit_code == 2
    said, _, closing = str(caught.value).rpartition("\n")
    count = len(caught.value.problems)
    assert closing == f"{count} problem{'' if count == 1 else 's'}; nothing was run."
    return said


def changed(old: str, new: str) -> str:
    """The small configuration with one passage replaced."""
    assert DIGITS.count(old) == 1
    return DIGITS.replace(old, new)
