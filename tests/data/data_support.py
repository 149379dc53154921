"""Types that the data tests share."""

from collections.abc import Callable

from backprop_cli.data.examples import Dataset

Load = Callable[..., Dataset]
