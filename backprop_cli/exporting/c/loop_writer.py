"""Writes loops over arrays as text, in the small part of Python that ``codegen`` writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from backprop_cli.autodiff.ops.sweep import Sweep
from backprop_cli.autodiff.spec import Array


class LoopWriter:
    """``lines`` of one op. ``pointer``: the name of a pointer to an array's first element.

    An index is text: a number, a variable, or an expression of them.
    """

    def __init__(self, pointer: Callable[[Array], str]):
        self.lines: list[str] = []
        self._pointer = pointer
        self._indent = ""
        self._loops = self._variables = 0

    def set(self, target: str, value: str) -> None:
        """An assignment."""
        self.lines.append(f"{self._indent}{target} = {value}")

    def variable(self, word: str) -> str:
        """A new name that begins with ``word``."""
        self._variables += 1
        return f"{word}{self._variables - 1 or ''}"

    def named(self, word: str, value: str) -> str:
        """A new variable with this value."""
        name = self.variable(word)
        self.set(name, value)
        return name

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self.lines.append(f"{self._indent}{head}:")
        self._indent += "    "
        yield
        self._indent = self._indent[4:]

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """A condition around the lines inside."""
        with self._block(f"if {condition}"):
            yield

    @contextmanager
    def loop(self, stop: int | str, start: str = "0") -> Iterator[str]:
        """A loop around the lines inside, with its index; no loop for a single index."""
        if (start, str(stop)) == ("0", "1"):
            yield "0"
            return
        index = f"i{self._loops}"
        self._loops += 1
        with self._block(f"for {index} in range({stop})" if start == "0" else f"for {index} in range({start}, {stop})"):
            yield index

    @contextmanager
    def loops(self, sizes: Sequence[int]) -> Iterator[list[str]]:
        """A loop for each size, the last one innermost."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.loop(size)) for size in sizes]

    @contextmanager
    def over(self, *arrays: Array) -> Iterator[list[str]]:
        """Loops over all indices of arrays of one shape, with their elements; axes in line are one loop."""
        sizes, steps = _in_line(arrays)
        with self.loops(sizes) as places:
            yield [self._at(array, places, step) for array, step in zip(arrays, steps, strict=True)]

    @contextmanager
    def total(self, target: str, start: str = "0.0") -> Iterator[str]:
        """A variable that begins with ``start`` and is stored to ``target`` at the end."""
        name = self.variable("total")
        self.set(name, f"float64({start})")
        yield name
        self.set(target, name)

    @contextmanager
    def unchanged(self, target: str) -> Iterator[str]:
        """``target`` itself, in place of a ``total``."""
        yield target

    @contextmanager
    def window(self, sweep: Sweep, window: str) -> Iterator[tuple[str, str]]:
        """A loop over the offsets in a window, with the element at each; elements on padding are left out."""
        with self.loop(sweep.kernel) as offset:
            terms = [self.product(window, sweep.stride), self.product(offset, sweep.dilation)]
            place = " + ".join(term for term in terms if term != "0") or "0"
            place = f"{place} - {sweep.before}" if sweep.before > 0 else place
            place = f"{place} + {-sweep.before}" if sweep.before < 0 else place
            last = (sweep.windows - 1) * sweep.stride + (sweep.kernel - 1) * sweep.dilation - sweep.before
            is_below, is_above = sweep.before > 0, last >= sweep.size
            if is_below or is_above:
                place = self.named("place", place)
            tests = [f"{place} >= 0"] if is_below else []
            tests += [f"{place} < {sweep.size}"] if is_above else []
            with self.when(" and ".join(tests)) if tests else ExitStack():
                yield offset, place

    def fill(self, out: Array) -> None:
        """Set all elements to 0."""
        with self.over(out) as (element,):
            self.set(element, f"{out.dtype.name}({'0.0' if out.dtype.kind == 'f' else '0'})")

    def element(self, array: Array, *index: str) -> str:
        """One element of an array."""
        return self._at(array, index, [stride // array.itemsize for stride in array.strides])

    def product(self, index: str, factor: int) -> str:
        """``index * factor``."""
        if factor == 0 or index == "0":
            return "0"
        if factor == 1:
            return index
        return f"{index} * {factor}" if re.fullmatch(r"\w+", index) else f"({index}) * {factor}"

    def joined(self, outer: str, size: int, inner: str) -> str:
        """The place of (outer, inner) if two axes, the second one of ``size``, are one."""
        terms = [term for term in (self.product(outer, size), inner) if term != "0"]
        return " + ".join(terms) or "0"

    def _at(self, array: Array, index: Sequence[str], steps: Sequence[int]) -> str:
        pairs = sorted(zip(index, steps, strict=True), key=lambda pair: -pair[1])
        terms = [self.product(place, step) for place, step in pairs]
        return f"{self._pointer(array)}[{' + '.join(term for term in terms if term != '0') or '0'}]"


def _in_line(arrays: Sequence[Array]) -> tuple[list[int], list[list[int]]]:
    """Sizes of the loops over arrays of one shape, and each array's steps in elements."""
    sizes: list[int] = []
    axes: list[int] = []
    for axis, n in enumerate(arrays[0].shape):
        if n == 1:
            continue
        if axes and all(x.strides[axes[-1]] == x.strides[axis] * n for x in arrays):
            sizes[-1], axes[-1] = sizes[-1] * n, axis
        else:
            sizes.append(n)
            axes.append(axis)
    return sizes, [[x.strides[axis] // x.itemsize for axis in axes] for x in arrays]
