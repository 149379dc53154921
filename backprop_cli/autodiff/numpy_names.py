"""NumPy's names on values: ``x[0]``, ``x.sum()``, ``x > 0``, ``np.sin(x)``, ``np.where(x > 0, x, y)``.

The engine does not need them. Each is made of ops, or says in one sentence what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.errors import ShapeError, UsageError

if TYPE_CHECKING:
    from backprop_cli.autodiff.functions import Axes
    from backprop_cli.autodiff.value import Operand, Value


def _call(name: str, *arguments: Any) -> Value:
    from backprop_cli.autodiff import functions  # made of values, which have these names

    result: Value = getattr(functions, name)(*arguments)
    return result


def _has_elements(other: object) -> bool:
    return isinstance(other, NumpyNames | np.ndarray | np.generic | int | float | list | tuple)


class NumpyNames:
    """The names that ``Value`` shares with ``np.ndarray``, except arithmetic.

    ``x == y`` compares elements, as it does for arrays. The keys of dictionaries and sets differ by identity, because
    the hash does. To look for a value in a list write ``any(x is y for y in values)``.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def __getitem__(self: Any, key: Any) -> Value:
        from backprop_cli.autodiff.indexing import indexed

        return indexed(self, key)

    def __iter__(self: Any) -> Iterator[Value]:
        return (self[k] for k in range(len(self)))

    def __len__(self: Any) -> int:
        if self.ndim == 0:
            raise ShapeError(self, "a scalar has no length and no elements to iterate over")
        return int(self.shape[0])

    def __eq__(self: Any, other: Any) -> Any:
        return _call("equal", self, other) if _has_elements(other) else NotImplemented

    def __ne__(self: Any, other: Any) -> Any:
        return _call("not_equal", self, other) if _has_elements(other) else NotImplemented

    def __gt__(self: Any, other: Operand) -> Value:  # type: ignore[misc]  # of ndarray
        return _call("greater", self, other)

    def __ge__(self: Any, other: Operand) -> Value:  # type: ignore[misc]  # of ndarray
        return _call("greater_equal", self, other)

    def __lt__(self: Any, other: Operand) -> Value:  # type: ignore[misc]  # of ndarray
        return _call("less", self, other)

    def __le__(self: Any, other: Operand) -> Value:  # type: ignore[misc]  # of ndarray
        return _call("greater_equal", other, self)

    def __abs__(self: Any) -> Value:
        return _call("absolute", self)

    def __pos__(self: Any) -> Any:
        return self

    def __pow__(self: Any, exponent: float) -> Value:
        return _call("power", self, exponent)

    def __rpow__(self: Any, base: float) -> Value:
        return _call("power", base, self)

    def __matmul__(self: Any, other: Operand) -> Value:
        return _call("product", self, other)

    def __rmatmul__(self: Any, other: Operand) -> Value:
        return _call("product", other, self)

    def sum(self: Any, axis: Axes = None, keepdims: bool = False) -> Value:
        """Sum over ``axis`` (None: all)."""
        return _call("sum", self, axis, keepdims)

    def var(self: Any, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Value:
        """Mean squared distance from the mean over ``axis`` (None: all)."""
        return _call("variance", self, axis, keepdims, ddof)

    def std(self: Any, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Value:
        """Square root of ``var``."""
        return _call("sqrt", self.var(axis, ddof=ddof, keepdims=keepdims))

    def clip(self: Any, low: Operand | None = None, high: Operand | None = None) -> Value:
        """The elements moved into [low, high]; None is no bound."""
        return _call("clip", self, low, high)

    def mean(self: Any, axis: Axes = None, keepdims: bool = False) -> Value:
        """Mean over ``axis`` (None: all)."""
        return _call("mean", self, axis, keepdims)

    def max(self: Any, axis: Axes = None, keepdims: bool = False) -> Value:
        """Largest element over ``axis`` (None: all); equal elements share the derivative."""
        return _call("amax", self, axis, keepdims)

    def min(self: Any, axis: Axes = None, keepdims: bool = False) -> Value:
        """Smallest element over ``axis`` (None: all); equal elements share the derivative."""
        return _call("amin", self, axis, keepdims)

    def reshape(self: Any, *shape: Any) -> Value:
        """The same elements in another shape; one size may be -1."""
        return _call("reshape", self, shape[0] if len(shape) == 1 else shape)

    def ravel(self: Any) -> Value:
        """The elements along one axis."""
        return _call("reshape", self, -1)

    def flatten(self: Any) -> Value:
        """As ``ravel``: values have no memory to share."""
        return _call("reshape", self, -1)

    def copy(self: Any) -> Value:
        """The same elements."""
        return _call("copy", self)

    def transpose(self: Any, *axes: Any) -> Value:
        """Axes in another order; without arguments all are reversed."""
        return _call("transpose", self, axes[0] if len(axes) == 1 else axes or None)

    def dot(self: Any, other: Operand) -> Value:
        """Product of vectors and matrices."""
        return _call("dot", self, other)

    def astype(self: Any, dtype: DTypeLike) -> Value:
        """The same elements in another dtype."""
        return _call("cast", self, dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Value:
        from backprop_cli.autodiff.numpy_functions import call_ufunc

        return call_ufunc(ufunc, method, operands, options)

    def __array_function__(self, function: Any, types: Any, given: Sequence[Any], options: Mapping[str, Any]) -> Any:
        from backprop_cli.autodiff.numpy_functions import call_function

        return call_function(function, given, options)

    def __bool__(self) -> NoReturn:
        raise UsageError(
            "a traced value is neither true nor false before its program runs: "
            "write ad.where(condition, a, b) in place of `if`, `and` and `or`"
        )

    def __float__(self) -> NoReturn:
        raise UsageError(
            "a traced value is not a number until its program runs: "
            "use functions of ad or NumPy in place of float() and math, and Python integers for sizes and indices"
        )

    __int__ = __index__ = __complex__ = __float__

    if not TYPE_CHECKING:  # to a type checker it would make values operands of np.ndarray's own arithmetic

        def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
            raise UsageError(
                "a traced value is not an array until its program runs: "
                "ad.evaluate computes its array, and np.stack joins values to one value; "
                "a list of numbers is as many arguments: pass np.array([...])"
            )

    def __setitem__(self, key: Any, new: Any) -> NoReturn:
        raise UsageError("`x[...] = y` is not traced: choose elements with ad.where, or join parts with ad.concat")

    def __contains__(self, element: Any) -> NoReturn:
        raise UsageError("`in` is not traced: ad.amax(ad.equal(x, element)) is 1 if x has the element, else 0")

    def _without_an_op(self, *other: Any) -> NoReturn:
        raise UsageError(
            "there is no op for //, %, &, |, ^ and ~: comparisons are 0 and 1, so `a * b` is `a & b` and `1 - a` is "
            "`~a`; whole numbers are computed before tracing"
        )

    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _without_an_op
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = _without_an_op
