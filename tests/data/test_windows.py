"""Windows behave as the array of all of them would, without being one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.data.examples import Windows

INT64 = np.dtype(np.int64)


@given(st.integers(1, 5), st.lists(st.integers(0, 15), min_size=1, max_size=9), st.sampled_from([(), (3,), (2, 2)]))
def test_they_are_the_array_of_all_of_them(length: int, starts: list[int], rest: tuple[int, ...]) -> None:
    values = np.arange(20 * int(np.prod(rest))).reshape(20, *rest).astype(np.int32)
    windows = Windows(values, np.array(starts), length, (length, *rest), INT64)
    expected = np.stack([values[start : start + length] for start in starts]).astype(np.int64)
    assert (len(windows), windows.shape, windows.ndim) == (len(starts), expected.shape, expected.ndim)
    for key in (slice(None), slice(1, 4), slice(None, None, -1), np.array([0, len(starts) - 1, 0]), 0, -1):
        found = windows[key]
        np.testing.assert_array_equal(found, expected[key])
        assert found.dtype == INT64
        assert found.flags.c_contiguous
    np.testing.assert_array_equal(np.asarray(windows), expected)
    assert np.asarray(windows, np.float32).dtype == np.float32


def test_take_fills_the_array_it_is_given_as_an_array_does() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    windows = Windows(values, np.arange(40), 4, (8,), values.dtype)
    index, out = np.array([7, 39, 7, 0]), np.full((4, 8), np.nan)
    assert windows.take(index, 0, out, "clip") is out
    np.testing.assert_array_equal(out, np.asarray(windows).take(index, 0))
    np.testing.assert_array_equal(out[1], values[39:43].ravel())


def test_short_windows_are_filled_up() -> None:
    windows = Windows(np.arange(9), np.array([0, 3, 5]), 3, (3,), INT64, lengths=np.array([1, 3, 2]), fill=-1)
    assert windows[:].tolist() == [[0, -1, -1], [3, 4, 5], [5, 6, -1]]


def test_overlapping_windows_take_no_memory() -> None:
    values = np.zeros(1_000_000, np.int32)
    tracemalloc.start()
    windows = Windows(values, np.arange(0, 900_000, 1000), 1000, (1000,), INT64)
    out = np.empty((8, 1000), np.int64)
    tracemalloc.clear_traces()
    windows.take(np.arange(8), 0, out, "clip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * out.nbytes


def test_a_window_that_leaves_the_array_is_refused() -> None:
    windows = Windows(np.arange(9), np.array([0, 7]), 3, (3,), INT64)
    with pytest.raises(IndexError):
        windows[1]
