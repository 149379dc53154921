"""Promises about building and rewriting programs, and about descriptions: costs, words, equality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from backprop_cli.accumulation.vectorize import vectorize
from backprop_cli.autodiff import Array, Op, Value, constant, evaluate, input_, spec_of, transpose
from backprop_cli.autodiff.families import broadcast
from backprop_cli.checks.promises.case import BrokenPromiseError, Case, agree
from backprop_cli.errors import ShapeError
from backprop_cli.execution.costs import flops, multiplications, products
from backprop_cli.execution.identities import cheaper, summand, summed, transposed

_TOLERANCE = 1e-10
_MANY = 3
_MOST_OPERANDS = 4
"""Most operands for which ``vectorize`` is tried with every choice of mapped ones."""


def check_vectorize(case: Case, rng: np.random.Generator) -> None:
    """Each entry along the new axis of ``vectorize`` is the op's result, for any choice of mapped operands."""
    inputs = case.inputs()
    stacks = [np.stack([np.roll(x, k) for k in range(_MANY)]) for x in case.arrays]
    for mapped in _choices(len(inputs)):
        operands = [input_("x", s.shape, s.dtype) if m else x for x, s, m in zip(inputs, stacks, mapped, strict=True)]
        given = [s if m else x for x, s, m in zip(case.arrays, stacks, mapped, strict=True)]
        found = vectorize(case.op, _MANY, operands, mapped)
        together = evaluate([found], dict(zip(operands, given, strict=True)))[0]
        out = case.op(*inputs)
        alone = [
            evaluate([out], {x: g[k] if m else g for x, g, m in zip(inputs, given, mapped, strict=True)})[0]
            for k in range(_MANY)
        ]
        named = " and ".join(str(k) for k, m in enumerate(mapped) if m)
        gave = f"with {_MANY} of operand {named} at once gives"
        agree("vectorize", together, np.stack(alone), gave, "one after the other", _TOLERANCE)


def _choices(count: int) -> Iterator[tuple[bool, ...]]:
    if count > _MOST_OPERANDS:
        yield from (tuple(j == k for j in range(count)) for k in range(count))
        yield (True,) * count
    else:
        yield from (mapped for mapped in product((False, True), repeat=count) if any(mapped))


def check_simplify(case: Case, rng: np.random.Generator) -> None:
    """``cheaper`` gives an equal value, or None; ``transposed`` the transpose, ``summed`` the sum."""
    if not case.is_own:
        return
    for operands, feed in _programs(case, rng):
        out = case.op(*operands)
        (wanted,) = evaluate([out], feed)
        simpler, turned = cheaper(case.op, *operands), transposed(case.op, *operands)
        if simpler is not None:
            _same("cheaper", simpler, wanted, feed)
        if turned is not None:
            _same("transposed", turned, wanted.swapaxes(-1, -2), feed)
        _check_summed(case, operands, out, feed, rng)


def _same(method: str, value: Value, wanted: Array, feed: dict[Value, Array]) -> None:
    if value.spec != spec_of(wanted):
        raise BrokenPromiseError(method, f"gives {value.spec}, expected {spec_of(wanted)}")
    agree(method, evaluate([value], feed)[0], wanted, "gives", "the op", _TOLERANCE)


def _check_summed(
    case: Case, operands: Sequence[Value], out: Value, feed: dict[Value, Array], rng: np.random.Generator
) -> None:
    if summand(case.op, *operands) is None:
        return
    inputs = {x: input_("y", x.shape, x.dtype) for x in feed}
    others = [_again(x, inputs) for x in operands]
    if summand(case.op, *others) != summand(case.op, *operands):
        return
    more = {inputs[x]: np.asarray(rng.permutation(array.reshape(-1)).reshape(array.shape)) for x, array in feed.items()}
    second = case.op(*others)
    total = summed(case.op, out, second)
    if total is not None:
        one, other = evaluate([out, second], {**feed, **more})
        _same("summed", total, one + other, {**feed, **more})


def _again(x: Value, inputs: dict[Value, Value]) -> Value:
    """The same value with other inputs."""
    return inputs.get(x, x) if x.op is None else x.op(*(_again(y, inputs) for y in x.inputs))


def _programs(case: Case, rng: np.random.Generator) -> Iterator[tuple[list[Value], dict[Value, Array]]]:
    """Operands as inputs, then one by one (and all) as results of other ops: transposes, numbers, products."""
    inputs = case.inputs()
    yield inputs, case.feed(inputs)
    for form in _FORMS:
        made = {k: _made(form, inputs[k], case.arrays[k]) for k in case.floats}
        chosen = [(k,) for k in case.floats] + ([tuple(case.floats)] if len(case.floats) > 1 else [])
        for which in chosen:
            operands, feed = list(inputs), case.feed(inputs)
            for k in which:
                new = made[k]
                if new is None:
                    break
                del feed[inputs[k]]
                operands[k] = new[0]
                feed |= new[1]
            else:
                if _fits(case.op, operands):
                    yield operands, feed


_FORMS = ("transpose", "turned", "number 0", "number 1", "negative", "twice", "broadcast")


def _made(form: str, x: Value, array: Array) -> tuple[Value, dict[Value, Array]] | None:
    if form in ("number 0", "number 1"):
        return constant(float(form[-1]), x.dtype), {}
    if form == "broadcast":
        y = input_("number", (), x.dtype)
        return (broadcast(y, x.shape), {y: array.reshape(-1)[:1].reshape(())}) if array.size else None
    if form in ("transpose", "turned"):
        if x.ndim < 2:
            return None
        perm = tuple(reversed(range(x.ndim))) if form == "transpose" else (*range(1, x.ndim), 0)
        back = np.argsort(perm)
        y = input_("turned", tuple(x.shape[axis] for axis in back), x.dtype)
        return transpose(y, perm), {y: np.ascontiguousarray(array.transpose(*back))}
    y = input_("other", x.shape, x.dtype)
    return (-y, {y: -array}) if form == "negative" else (y * 2.0, {y: 0.5 * array})


def _fits(op: Op, operands: Sequence[Value]) -> bool:
    try:
        op.shape(*(x.spec for x in operands))
    except ShapeError:
        return False
    return True


def check_costs(case: Case, rng: np.random.Generator) -> None:
    """``flops``, ``multiplications`` and ``products`` are whole numbers."""
    for name, cost, least in (
        ("flops", flops, 0),
        ("multiplications", multiplications, 0),
        ("products", products, 1 if case.result.size else 0),
    ):
        count = cost(case.op, *case.specs)
        if not isinstance(count, int | np.integer) or count < least:
            raise BrokenPromiseError(name, f"gives {count!r}, expected a whole number of at least {least}")


def check_words(case: Case, rng: np.random.Generator) -> None:
    """``printed`` is text."""
    text = case.op.printed(*(f"x{k}" for k in range(len(case.arrays))))
    if not isinstance(text, str):
        raise BrokenPromiseError("printed", f"gives {text!r}, expected text")


def check_equality(case: Case, rng: np.random.Generator) -> None:
    """Ops are equal if and only if their fields are, because equal nodes of a program are merged."""
    op, others = case.op, [type(case.op)(**own.fields) for own in case.op.samples]
    again = type(op)(**case.sample.fields)
    if again != op or hash(again) != hash(op):
        raise BrokenPromiseError("__eq__", f"two of {op} are not equal; make the class a dataclass with frozen=True")
    for other in others:
        if vars(other) != vars(op) and other == op:
            raise BrokenPromiseError("__eq__", f"{vars(op)} equals {vars(other)}; make the class a dataclass")
