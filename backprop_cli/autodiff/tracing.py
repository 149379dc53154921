"""Derivatives of plain functions of arrays, under JAX's names: ``grad(f)(x)``.

The first call with arguments of some shapes and dtypes runs ``f`` on values, which traces a program, and extends it by
the derivative. That call and all later ones of this kind evaluate the program. As under ``jax.jit`` it follows that

- ``f`` calls functions of this package and of NumPy (see ``numpy_names``), or other functions made of them;
- ``if`` and loops work on Python numbers and on shapes; ``if x > 0`` on a value is refused: use ``where``;
- whatever else ``f`` reads, prints or changes is read, printed and changed at the first call only.

Arguments are arrays and numbers, or lists, tuples and dicts of them. Where no derivative is taken, Python integers,
text, booleans and None stay as they are, so that they can count and choose; a different one traces another program.
Floats and arrays, also arrays of integers, are traced.

Results are arrays. Inside a traced function they are values, so that derivatives can be nested:
``grad(lambda x: grad(f)(x))``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from functools import update_wrapper
from typing import Any

import numpy as np

from backprop_cli.autodiff.evaluate import evaluate
from backprop_cli.autodiff.functions import cast, copy, reshape, stack
from backprop_cli.autodiff.spec import spec_of
from backprop_cli.autodiff.transforms import gradients, hessian_products, vjp
from backprop_cli.autodiff.value import Value, constant, input_, toposort
from backprop_cli.errors import ShapeError, UsageError

Tree = Any
"""An array or number, or a list, tuple or dict of trees."""
Argnums = int | Sequence[int]

_is_tracing: ContextVar[bool] = ContextVar("is_tracing", default=False)


def grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Tree]:
    """``grad(f)(x, ...)`` is the gradient of scalar ``f`` at these arguments, in the form of argument ``argnums``.

    Several ``argnums`` give a tuple.

    Raises: (when called)
        ShapeError: ``f`` returns no scalar, or an argument to differentiate by has integers.
        UsageError: ``f`` uses a value in a way that cannot be traced.

    """

    def build(*args: Any, **options: Any) -> Tree:
        wanted = _chosen(args, argnums)
        return _refilled(wanted, gradients(_scalar(f, f(*args, **options)), _leaves(wanted)))

    return _derivative("grad", f, build, argnums)


def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., tuple[Any, Tree]]:
    """``value_and_grad(f)(x, ...)`` is ``f(x, ...)`` and its gradient, see ``grad``."""

    def build(*args: Any, **options: Any) -> tuple[Value, Tree]:
        wanted = _chosen(args, argnums)
        out = _scalar(f, f(*args, **options))
        return out, _refilled(wanted, gradients(out, _leaves(wanted)))

    return _derivative("value_and_grad", f, build, argnums)


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Tree]:
    """``jacobian(f)(x, ...)`` has shape (*out.shape, *x.shape): entry [i, j] is ``d out[i] / d x[j]``.

    One reverse walk an element of the result.
    """

    def build(*args: Any, **options: Any) -> Tree:
        wanted = _chosen(args, argnums)
        wrt, out = _leaves(wanted), _result(f, f(*args, **options))
        units = np.eye(out.size, dtype=out.dtype).reshape(out.size, *out.shape)
        rows = [vjp([out], wrt, [constant(unit, out.dtype)]) for unit in units]
        return _refilled(wanted, (_stacked([row[k] for row in rows], out, w) for k, w in enumerate(wrt)))

    return _derivative("jacobian", f, build, argnums)


def hvp(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Tree]:
    """``hvp(f)(x, ..., v)`` is the Hessian of scalar ``f`` times ``v``, which has the form of argument ``argnums``.

    Forward over reverse (Pearlmutter 1994): no Hessian is formed.
    """

    def build(*given: Any, **options: Any) -> Tree:
        *args, v = given
        if not -len(args) <= argnums < len(args):
            raise UsageError(f"hvp: argument {argnums} and, as the last argument, the vector are needed")
        wanted = _chosen(args, argnums)
        wrt, vectors = _leaves(wanted), _leaves(v)
        if _form(wanted) != _form(v):
            raise UsageError(
                f"hvp: the vector must have the form of argument {argnums}, {_form(wanted)}; got {_form(v)}"
            )
        along = [cast(t, x.dtype) if t.dtype != x.dtype else t for t, x in zip(vectors, wrt, strict=True)]
        return _refilled(wanted, hessian_products(_scalar(f, f(*args, **options)), wrt, along))

    return _derivative("hvp", f, build, (argnums, -1))


def _derivative(name: str, f: Callable[..., Any], build: Callable[..., Tree], argnums: Argnums) -> Callable[..., Any]:
    """Call ``build``, which makes values of values, on arrays: traced once for their specs, then evaluated."""
    programs: dict[Any, tuple[list[Any], Tree]] = {}

    def derivative(*args: Any, **options: Any) -> Tree:
        active = _places(name, args, argnums)
        given = _with_arrays(name, args, options, active)
        leaves = _leaves(given)
        if _is_tracing.get() or any(isinstance(leaf, Value) for leaf in leaves):
            arguments = [_refilled(x, map(_fresh, _leaves(x))) if k in active else x for k, x in enumerate(given[0])]
            return _traced(build, arguments, given[1])
        key = _form(given), tuple(_kind(name, leaf) for leaf in leaves)
        if key not in programs:
            inputs = [
                input_(f"x{k}", leaf.shape, leaf.dtype) if isinstance(leaf, np.ndarray) else leaf
                for k, leaf in enumerate(leaves)
            ]
            programs[key] = inputs, _kept(_traced(build, *_refilled(given, inputs)))
        inputs, results = programs[key]
        feed = {x: leaf for x, leaf in zip(inputs, leaves, strict=True) if isinstance(x, Value)}
        # Results may be views of the arguments or of each other.
        return _refilled(results, map(np.array, evaluate(_leaves(results), feed)))

    update_wrapper(derivative, f)
    derivative.__name__ = derivative.__qualname__ = f"{name}({_name(f)})"
    return derivative


def _traced(build: Callable[..., Tree], args: Sequence[Tree], options: dict[str, Tree]) -> Tree:
    token = _is_tracing.set(True)
    try:
        return build(*args, **options)
    finally:
        _is_tracing.reset(token)


def _kept(results: Tree) -> Tree:
    """The results with copies of their constants, so that nobody changes an array that ``f`` has read."""
    for value in toposort(leaf for leaf in _leaves(results) if isinstance(leaf, Value)):
        if value.array is not None:
            value.array = value.array.copy()
    return results


def _places(name: str, args: Sequence[Any], argnums: Argnums) -> set[int]:
    """Positions of the arguments that derivatives are taken by."""
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for place in places:
        if not -len(args) <= place < len(args):
            raise UsageError(
                f"{name}: no argument {place} to differentiate by; positional arguments, from 0: {len(args)}"
            )
    return {place % len(args) for place in places}


def _with_arrays(name: str, args: Sequence[Any], options: dict[str, Any], active: set[int]) -> tuple[Any, Any]:
    """The arguments with arrays in place of numbers, in the precision of the others."""
    given = (args, options)
    dtypes = [x.dtype for x in _leaves(given) if isinstance(x, Value | np.ndarray | np.generic) and x.dtype.kind == "f"]
    dtype = dtypes[0] if dtypes else np.dtype(np.float64)

    def array(leaf: Any, is_active: bool) -> Any:
        if isinstance(leaf, float | int) and not isinstance(leaf, bool | np.generic):
            return np.asarray(leaf, dtype) if is_active or isinstance(leaf, float) else leaf
        if isinstance(leaf, np.integer | np.bool_) and not is_active:
            return leaf.item()
        if not isinstance(leaf, np.ndarray | np.generic):
            return leaf
        if leaf.dtype.kind not in "fiub":
            raise UsageError(f"{name}: arguments are real arrays and numbers; got an array of {leaf.dtype}")
        return np.asarray(leaf)

    trees = [_refilled(x, [array(leaf, k in active) for leaf in _leaves(x)]) for k, x in enumerate(args)]
    return tuple(trees), _refilled(options, [array(leaf, False) for leaf in _leaves(options)])


def _fresh(leaf: Any) -> Any:
    """A copy, so that the derivative by it leaves out other uses of the same value."""
    return copy(leaf) if isinstance(leaf, Value) else constant(leaf) if isinstance(leaf, np.ndarray) else leaf


def _chosen(args: Sequence[Tree], argnums: Argnums) -> Tree:
    chosen = args[argnums] if isinstance(argnums, int) else tuple(args[k] for k in argnums)
    for leaf in _leaves(chosen):
        if not isinstance(leaf, Value):
            raise UsageError(f"cannot differentiate by {leaf!r}, which is not a number")
        if not leaf.spec.is_inexact:
            raise ShapeError("argument", "integers have no derivative; pass x.astype(float)", x=leaf.spec)
    return chosen


def _result(f: Callable[..., Any], result: Any) -> Value:
    """What ``f`` returned; a number or an array is a constant."""
    if isinstance(result, int | float | np.ndarray):
        result = constant(result, None if isinstance(result, np.ndarray) else np.float64)
    if not isinstance(result, Value):
        raise UsageError(f"{_name(f)} must return one array, not a {type(result).__name__}; np.stack joins arrays")
    if not result.spec.is_inexact:
        raise ShapeError(_name(f), "returns integers, which have no derivative", out=result.spec)
    return result


def _scalar(f: Callable[..., Any], result: Any) -> Value:
    out = _result(f, result)
    if out.ndim != 0:
        raise ShapeError(_name(f), "only a scalar has a gradient; use jacobian for an array", out=out.spec)
    return out


def _stacked(rows: Sequence[Value], out: Value, w: Value) -> Value:
    shape = (*out.shape, *w.shape)
    return reshape(stack(rows), shape) if rows else constant(np.zeros(shape, w.dtype))


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", None) or repr(f)


def _kind(name: str, leaf: Any) -> Any:
    """What a program is traced for: the spec of an array, or the argument itself."""
    if isinstance(leaf, np.ndarray):
        return spec_of(leaf)
    try:
        hash(leaf)
    except TypeError:
        raise UsageError(f"{name}: arguments are arrays and numbers; got a {type(leaf).__name__}") from None
    return type(leaf), leaf


def _leaves(tree: Tree) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in _leaves(part)]
    return [leaf for part in tree for leaf in _leaves(part)] if isinstance(tree, list | tuple) else [tree]


def _refilled(tree: Tree, leaves: Iterable[Any]) -> Tree:
    """A tree of the same form with other leaves."""
    left = iter(leaves)

    def refill(tree: Tree) -> Tree:
        if isinstance(tree, dict):
            return {key: refill(part) for key, part in tree.items()}
        if isinstance(tree, list | tuple):
            parts = [refill(part) for part in tree]
            return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
        return next(left)

    return refill(tree)


def _form(tree: Tree) -> str:
    return repr(_refilled(tree, ["*" for _ in _leaves(tree)])).replace("'*'", "*")
