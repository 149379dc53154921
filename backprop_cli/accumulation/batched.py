"""Running a program on batches of tangents, cotangents or examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from backprop_cli.accumulation.vectorize import vectorized
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.transforms import dependent
from backprop_cli.autodiff.value import Value, input_, toposort
from backprop_cli.execution.passes import simplified, simplify
from backprop_cli.execution.plan import Plan

MOST_NUMBERS = 1 << 24
"""Most numbers in the values of one run (128 MB as float64); it limits how many arrays go through at once."""


def computed(outputs: Sequence[Value], feed: Mapping[Value, Array]) -> list[Array]:
    """The arrays of ``outputs``, computed by a plan, which reuses memory that nothing reads any more."""
    plan = _plan(simplified(outputs), feed)
    plan.run()
    return [plan.outputs[f"output {k}"].copy() for k in range(len(outputs))]


class Batched:
    """``outputs`` for a batch of arrays in place of each input of ``over``.

    A batch goes through as one program with a new first axis (see ``vectorized``), at most ``at_once`` entries at a
    time. ``feed`` has the arrays of the other inputs. Each call reads them anew, so they may be written in between.
    """

    def __init__(self, outputs: Sequence[Value], over: Sequence[Value], feed: Mapping[Value, Array]):
        self.outputs, self.over, self.feed = simplified(outputs), tuple(over), feed
        order = toposort(self.outputs)
        numbers = sum(value.size for value in dependent(order, self.over))
        self.at_once = max(1, MOST_NUMBERS // max(1, numbers))
        self._plans: dict[int, Plan] = {}

    def __call__(self, *arrays: Array) -> list[Array]:
        """Shapes: (n, *over.shape) each -> (n, *output.shape) each."""
        return self._collected(len(arrays[0]), lambda start, stop: [array[start:stop] for array in arrays])

    def units(self) -> list[Array]:
        """The outputs for each unit vector; ``over`` must be a single input.

        Shapes: -> (over.size, *output.shape) each
        """
        (only,) = self.over

        def batch(start: int, stop: int) -> list[Array]:
            rows = np.zeros((stop - start, only.size), only.dtype)
            rows[np.arange(stop - start), np.arange(start, stop)] = 1.0
            return [rows.reshape(stop - start, *only.shape)]

        return self._collected(only.size, batch)

    def _collected(self, count: int, batch: Callable[[int, int], Sequence[Array]]) -> list[Array]:
        results = [np.empty((count, *output.shape), output.dtype) for output in self.outputs]
        for start in range(0, count, self.at_once):
            stop = min(start + self.at_once, count)
            plan = self._planned(stop - start)
            for k, array in enumerate(batch(start, stop)):
                plan.inputs[f"many {k}"][...] = array
            plan.run()
            for k, result in enumerate(results):
                result[start:stop] = plan.outputs[f"output {k}"]
        return results

    def _planned(self, size: int) -> Plan:
        if size not in self._plans:
            given = {one: input_(f"many {k}", (size, *one.shape), one.dtype) for k, one in enumerate(self.over)}
            self._plans[size] = _plan(vectorized(self.outputs, given), self.feed, list(given.values()))
        return self._plans[size]


def _plan(outputs: Sequence[Value], feed: Mapping[Value, Array], more: Sequence[Value] = ()) -> Plan:
    inputs = {f"input {k}": value for k, value in enumerate(feed)} | {
        f"many {k}": value for k, value in enumerate(more)
    }
    program = Program(inputs, {f"output {k}": value for k, value in enumerate(outputs)})
    return Plan(simplify(program), {f"input {k}": array for k, array in enumerate(feed.values())})
