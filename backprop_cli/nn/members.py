"""Members of an ensemble in one network: an axis between the batch and the features of a value.

Only a layer with ``members`` sees that axis. All others map the members as if they were examples: the axis is folded
into the batch, which moves nothing.
"""

from __future__ import annotations

from backprop_cli.autodiff import Value, broadcast_to, mean, reshape


def with_members(x: Value, members: int) -> Value:
    """The same value for every member. Shapes: x (batch, ...) -> (batch, members, ...)"""
    batch, *rest = x.shape
    return broadcast_to(reshape(x, (batch, 1, *rest)), (batch, members, *rest))


def folded(x: Value) -> Value:
    """Members as examples. Shapes: x (batch, members, ...) -> (batch * members, ...)"""
    batch, members, *rest = x.shape
    return reshape(x, (batch * members, *rest))


def unfolded(x: Value, members: int) -> Value:
    """The inverse of ``folded``. Shapes: x (batch * members, ...) -> (batch, members, ...)"""
    return reshape(x, (x.shape[0] // members, members, *x.shape[1:]))


def mean_member(x: Value, members: int | None) -> Value:
    """The mean over the members; without members x itself. Shapes: x (batch, members, ...) -> (batch, ...)"""
    return x if members is None else mean(x, 1)
