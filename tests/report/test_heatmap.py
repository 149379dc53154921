"""``--heatmap``: what is drawn where Matplotlib is, and what is said where it is not."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from backprop_cli.errors import UsageError
from backprop_cli.report.heatmap import heatmap
from backprop_cli.report.picture import check_picture, encoded

with_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="Matplotlib is an extra")


def test_without_matplotlib_the_way_out_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        check_picture(Path("a.png"), "--heatmap")
    assert str(caught.value) == "--heatmap: Matplotlib is not installed: pip install 'backprop-cli[plot]'"


@with_matplotlib
@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_files(suffix, start):
    check_picture(Path(f"a{suffix}"), "--heatmap")
    matrix = np.array([[1.0, -2.0, np.nan]])
    figure = heatmap(matrix, "title", ("of", "by"), (["one"], ["x", "y", "z"]), (3,))
    assert encoded(figure, suffix).startswith(start)


@with_matplotlib
def test_a_matrix_with_its_labels():
    matrix = np.array([[1.0, -2.0, 0.5], [0.0, 1.5, 0.25]])
    figure = heatmap(matrix, "title", ("of", "by"), (["one", "two"], ["x", "y", "z"]), (3,))
    axis, bar = figure.axes
    (image,) = axis.get_images()
    np.testing.assert_array_equal(image.get_array(), matrix)
    assert image.get_clim() == (-2.0, 2.0)  # white is 0
    assert [text.get_text() for text in axis.get_xticklabels()] == ["x", "y", "z"]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["one", "two"]
    assert (axis.get_xlabel(), axis.get_ylabel(), figure.get_suptitle()) == ("by", "of", "title")
    assert bar.get_images() == []


@with_matplotlib
def test_pictures_are_drawn_as_pictures():
    matrix = np.arange(36.0).reshape(3, 12) - 17.0
    figure = heatmap(matrix, "title", ("of", "by"), (["a", "b", "c"], []), (1, 3, 4))
    drawn = [axis for axis in figure.axes if axis.get_images()]
    assert [axis.get_title() for axis in drawn] == ["a", "b", "c"]
    for axis, row in zip(drawn, matrix, strict=True):
        np.testing.assert_array_equal(axis.get_images()[0].get_array(), row.reshape(3, 4))


@with_matplotlib
@pytest.mark.parametrize("matrix", [np.zeros((2, 2)), np.full((2, 2), np.nan)], ids=["zeros", "nothing finite"])
def test_nothing_to_see(matrix):
    figure = heatmap(matrix, "title", ("of", "by"), ([], []), (2,))
    assert figure.axes[0].get_images()[0].get_clim() == (-1.0, 1.0)
    assert encoded(figure, ".png")
