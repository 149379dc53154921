"""Recomputation: less memory for more time in reverse mode.

A program is cut into segments, and each keeps only the results that later segments read. When the reverse sweep
reaches a segment, the rest is computed again. With n equal stages in k segments, ``k + n/k`` stages are kept, fewest at
``k = sqrt(n)``, for one more forward pass (Chen et al. 2016, arXiv 1604.06174). Revolve (Griewank & Walther, ACM TOMS
26 (2000), Algorithm 799) needs less memory for more time: see ``revolve_steps``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, groupby

from backprop_cli.autodiff.families import ones_like
from backprop_cli.autodiff.ops.copies import Barrier
from backprop_cli.autodiff.transforms import gradients, vjp
from backprop_cli.autodiff.value import Value, in_layer, toposort
from backprop_cli.errors import UsageError
from backprop_cli.execution.passes import shown_by
from backprop_cli.structs import Struct


def revolve_steps(stages: int, checkpoints: int) -> int:
    """Fewest stages that run forward again, after the first run of each, with room for this many states.

    ``t(l, c) = r l - C(c + r, r - 1)`` with the smallest r for which ``C(c + r, c) >= l``; the initial state counts as
    a checkpoint, and ``t(l, 1) = l (l - 1) / 2``. Source: Griewank & Walther (2000), theorem 6.1.

    Raises: UsageError without a stage or a checkpoint.
    """
    if stages < 1 or checkpoints < 1:
        raise UsageError(f"revolve needs a stage and a checkpoint, got {stages} and {checkpoints}")
    repeats = 0
    while math.comb(checkpoints + repeats, checkpoints) < stages:
        repeats += 1
    return repeats * stages - math.comb(checkpoints + repeats, repeats - 1) if repeats else 0


def read_again(loss: Value, wrt: Sequence[Value]) -> list[Value]:
    """The results of the program's ops that the gradient of ``loss`` reads, in the order of evaluation.

    A view stands for the value it shows; inputs and constants are in memory anyway.
    """
    order = toposort([loss])
    known = set(order)
    found: set[Value] = set()
    for node in toposort(gradients(loss, wrt)):
        if node not in known:
            found.update(shown_by(operand) for operand in node.inputs if operand in known)
    return [value for value in order if value in found and value.op is not None]


class Stage(Struct, eq=False):
    """A run of nodes of one layer.

    ``read``: its results that the reverse sweep reads; ``crossing``: its results that later nodes read, each with the
    index of its last reader.
    """

    layer: str | None
    nodes: tuple[Value, ...]
    read: tuple[Value, ...]
    crossing: Mapping[Value, int]

    @cached_property
    def bytes(self) -> int:
        """Bytes of its results that the reverse sweep reads."""
        return _bytes(self.read)


def _bytes(values: Iterable[Value]) -> int:
    return sum(value.spec.nbytes for value in values)


def stages(loss: Value, wrt: Sequence[Value]) -> list[Stage]:
    """The program as runs of nodes of one layer, in the order of evaluation."""
    nodes = [node for node in toposort([loss]) if node.op is not None]
    read = set(read_again(loss, wrt))
    last: dict[Value, int] = {}
    for node in nodes:
        for operand in node.inputs:
            last[shown_by(operand)] = node.index
    found = []
    for layer, run in groupby(nodes, key=lambda node: node.layer):
        part = tuple(run)
        crossing = {node: last[node] for node in part if last.get(node, -1) > part[-1].index}
        found.append(Stage(layer, part, tuple(node for node in part if node in read), crossing))
    return found


class Segmentation(Struct, eq=False):
    """Consecutive stages in segments. ``kept``: the results that the forward run keeps for later segments.

    The last segment's results are read as they are; another segment's are computed again when the reverse sweep reaches
    it.
    """

    segments: tuple[tuple[Stage, ...], ...]
    kept: frozenset[Value]

    @property
    def bytes(self) -> int:
        """Most memory of forward results that the reverse sweep reads: the kept ones and one segment's."""
        return _bytes(self.kept) + max(sum(map(self._rest, segment)) for segment in self.segments)

    def _rest(self, stage: Stage) -> int:
        """Bytes of a stage that the reverse sweep reads and that are not kept; only crossing results can be kept."""
        return stage.bytes - _bytes(self.kept & stage.crossing.keys() & set(stage.read))

    @property
    def repeated(self) -> int:
        """Stages that run a second time."""
        return sum(map(len, self.segments[:-1]))


def segmented(parts: Sequence[Stage], count: int | None = None) -> Segmentation:
    """Stages in ``count`` segments, or in the number that needs the least memory, with a smallest largest one."""
    if count is not None:
        return _split(parts, min(count, len(parts)))
    best = _split(parts, 1)
    least, bound = best.bytes, 0
    # Each segment but the last keeps at least the results that cross the end of its last stage.
    for number, crossing in enumerate(sorted(_bytes(part.crossing) for part in parts[:-1]), 2):
        bound += crossing
        if bound >= least:
            break
        found = _split(parts, number)
        if found.bytes < least:
            best, least = found, found.bytes
    return best


def _split(parts: Sequence[Stage], count: int) -> Segmentation:
    """At most ``count`` segments, by bisection over the size of the largest."""
    sums = [0, *accumulate(part.bytes for part in parts)]
    low, high = max(part.bytes for part in parts), sums[-1]
    while low < high:
        middle = (low + high) // 2
        if len(_filled(sums, middle)) <= count:
            high = middle
        else:
            low = middle + 1
    segments = tuple(tuple(parts[start:stop]) for start, stop in _filled(sums, low))
    return Segmentation(segments, frozenset(value for segment in segments[:-1] for value in _crossing(segment)))


def _filled(sums: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Consecutive (start, stop), each as long as possible without exceeding ``most``.

    ``sums[k]``: the size of the first k stages; none is larger than ``most``.
    """
    found, start = [], 0
    while start < len(sums) - 1:
        stop = bisect_right(sums, sums[start] + most) - 1
        found.append((start, stop))
        start = stop
    return found


def _crossing(segment: Sequence[Stage]) -> Iterator[Value]:
    end = segment[-1].nodes[-1].index
    for stage in segment:
        yield from (value for value, last in stage.crossing.items() if last > end)


def grad_recomputed(loss: Value, wrt: Sequence[Value], count: int | None = None) -> list[Value]:
    """The values of ``gradients``, bit for bit, with the results of all segments but the last computed again.

    ``count``: number of segments; None: the number that needs the least memory. A plan computes values in the order of
    creation, so a segment's results live only while the reverse sweep is in it.
    """
    again = _Again(segmented(stages(loss, wrt), count))
    return vjp([loss], wrt, [ones_like(loss)], read=again)


class _Again:
    """Maps a value to the one that the reverse sweep reads: itself if it is kept, else a copy computed again."""

    def __init__(self, plan: Segmentation):
        self.copies: dict[Value, Value] = {}
        self.kept = plan.kept
        self.segment_of = {
            node: number
            for number, segment in enumerate(plan.segments[:-1])
            for stage in segment
            for node in stage.nodes
        }
        self.nodes = [[node for stage in segment for node in stage.nodes] for segment in plan.segments]

    def __call__(self, value: Value) -> Value:
        shown = shown_by(value)
        if shown in self.kept or shown not in self.segment_of:
            return value
        if value not in self.copies:
            self._run_again(self.segment_of[value])
        return self.copies[value]

    def _run_again(self, number: int) -> None:
        """Compute the whole segment again; results that the reverse sweep does not read are dropped as dead."""
        inside = set(self.nodes[number])
        for node in self.nodes[number]:
            assert node.op is not None
            with in_layer(node.layer):
                operands = [self._operand(x, number, inside) for x in node.inputs]
                self.copies[node] = node.op(*operands)

    def _operand(self, x: Value, number: int, inside: set[Value]) -> Value:
        if x in inside:
            return self.copies[x]
        # Without the barrier, simplification would merge the copies with the values they copy.
        return x if x.is_constant else Barrier(number)(x)
