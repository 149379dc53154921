"""What the data tests share."""

from collections.abc import Callable

from backprop_cli.data.examples import Dataset
from backprop_cli.data.format import FORMATS

Load = Callable[..., Dataset]
SUFFIXES = ", ".join(sorted({suffix for _, cls in FORMATS.items() for suffix in cls.suffixes}))
"""Those of all formats, as messages list them."""
