"""Programs run for many arrays at once: the same as one by one, whatever the size of the pieces."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.accumulation import batched
from backprop_cli.accumulation.batched import Batched, computed


@pytest.fixture
def function():
    """``w @ tanh(v * x)``, times a number by an integer, and the sum of it."""
    w, v, x, k = ad.input_("w", (2, 3)), ad.input_("v", (3,)), ad.input_("x", (3,)), ad.input_("k", (), np.int64)
    out = ad.sum(w * ad.tanh(v * x), 1) * ad.sum(ad.one_hot(k, 4) * np.arange(4.0))
    rng = np.random.default_rng(0)
    return [out, ad.sum(out)], (v, k), {w: rng.standard_normal((2, 3)), x: rng.standard_normal(3)}


def room_for(monkeypatch, many, pieces):
    """Set the limit so that so many arrays go at once."""
    numbers = round(batched.MOST_NUMBERS / many.at_once)
    monkeypatch.setattr(batched, "MOST_NUMBERS", pieces * numbers)


@pytest.mark.parametrize("pieces", [1, 3, 100])
def test_many_are_as_one_by_one(function, monkeypatch, pieces):
    outputs, over, feed = function
    room_for(monkeypatch, Batched(outputs, over, feed), pieces)
    rng = np.random.default_rng(1)
    vectors, numbers = rng.standard_normal((7, 3)), rng.integers(0, 4, 7)
    many = Batched(outputs, over, feed)
    assert many.at_once == pieces
    found = many(vectors, numbers)
    for k in range(7):
        one = ad.evaluate(outputs, {**feed, over[0]: vectors[k], over[1]: numbers[k]})
        for array, expected in zip(found, one, strict=True):
            np.testing.assert_allclose(array[k], expected, rtol=1e-14)


def test_unit_vectors(function, monkeypatch):
    outputs, (v, k), feed = function
    feed = {**feed, k: np.array(2)}
    room_for(monkeypatch, Batched(outputs, [v], feed), 2)
    many = Batched(outputs, [v], feed)
    assert many.at_once == 2  # and then one
    found = many.units()
    assert [array.shape for array in found] == [(3, 2), (3,)]
    for row, unit in enumerate(np.eye(3)):
        np.testing.assert_allclose(found[0][row], ad.evaluate(outputs, {**feed, v: unit})[0], rtol=1e-14)


def test_one_goes_even_where_there_is_no_room(function, monkeypatch):
    outputs, over, feed = function
    monkeypatch.setattr(batched, "MOST_NUMBERS", 1)
    assert Batched(outputs, over, feed).at_once == 1


def test_what_is_fed_is_read_at_each_call(function):
    outputs, (v, k), feed = function
    many = Batched(outputs[1:], [v, k], feed)
    vectors, numbers = np.ones((2, 3)), np.ones(2, np.int64)
    (before,) = many(vectors, numbers)
    next(iter(feed.values()))[...] *= 3.0
    np.testing.assert_allclose(many(vectors, numbers)[0], 3.0 * before, rtol=1e-14)


def test_computed_is_as_evaluated(function):
    outputs, (v, k), feed = function
    feed = {**feed, v: np.arange(3.0), k: np.array(3)}
    for array, expected in zip(computed(outputs, feed), ad.evaluate(outputs, feed), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-14)
