"""What ``warn`` says reaches one receiver, once."""

from __future__ import annotations

import warnings

from backprop_cli.errors import warn, warnings_to


def test_each_text_comes_once():
    found: list[str] = []
    with warnings_to(found.append):
        for text in ("a", "b", "a"):
            warn(text)
    assert found == ["a", "b"]


def test_the_innermost_receiver_gets_it():
    inner: list[str] = []
    outer: list[str] = []
    with warnings_to(outer.append):
        warn("before")
        with warnings_to(inner.append):
            warn("inside")
        warn("after")
    assert (outer, inner) == (["before", "after"], ["inside"])


def test_other_warnings_go_elsewhere():
    found: list[str] = []
    others: list[str] = []
    with warnings.catch_warnings(), warnings_to(found.append, lambda message, *_: others.append(str(message))):
        warnings.simplefilter("always", UserWarning)
        warnings.warn("theirs", stacklevel=1)
        warn("ours")
    assert (found, others) == (["ours"], ["theirs"])
