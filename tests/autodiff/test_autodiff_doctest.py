"""The package's example is run."""

import doctest

from backprop_cli import autodiff


def test_examples_in_the_docstring():
    result = doctest.testmod(autodiff)
    assert result.attempted > 5
    assert result.failed == 0


def test_everything_public_is_there():
    assert len(set(autodiff.__all__)) == len(autodiff.__all__)
    assert all(hasattr(autodiff, name) for name in autodiff.__all__)
