"""Names for the elements of a network's values: features, classes, indexes into a parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backprop_cli.inspection.point import OUTPUTS, SCALARS
from backprop_cli.inspection.selected_rows import SelectedRows
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.structs import Struct
from backprop_cli.training.layout import Layout
from backprop_cli.training.step_program import INPUTS, PARAMETERS, PREDICTIONS


class Axis(Struct, eq=False):
    """The elements of a named value.

    ``names``: those of one example's elements; if empty, elements are named by index. ``rows``: numbers of the rows
    along the first axis of ``shape``; None if that axis is not a batch. ``layout``: of a vector of parameters.
    """

    name: str
    shape: tuple[int, ...]
    names: Sequence[str] = ()
    rows: Sequence[int] | None = None
    layout: Layout | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def label(self, element: int) -> str:
        """The name of an element: ``petal_length``, ``row 17 setosa``, ``dense_1.weight[0,3]``."""
        if self.layout is not None:
            name, index = self.layout.name_at(element)
            return f"{name}{_bracketed(index)}"
        if self.rows is None:
            return self._of_example(element, self.shape)
        row, inside = divmod(element, max(1, self.size // len(self.rows)))
        return f"row {self.rows[row]} {self._of_example(inside, self.shape[1:])}"

    def _of_example(self, element: int, shape: tuple[int, ...]) -> str:
        if self.names:
            return self.names[element]
        return f"{self.name}{_bracketed(tuple(int(i) for i in np.unravel_index(element, shape)) if shape else ())}"

    def labels(self) -> list[str]:
        """The names of all elements."""
        return [self.label(element) for element in range(self.size)]


def _bracketed(index: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, index))}]" if index else ""


def axis_of(saved: TrainedNetwork, name: str, shape: tuple[int, ...], found: SelectedRows) -> Axis:
    """The axis of a named value of this shape at these examples."""
    if name == PARAMETERS:
        return Axis(name, shape, layout=saved.recipe.layout)
    if name in SCALARS or name in saved.recipe.model.params:
        return Axis(name, shape)
    rows = None if found.is_single else found.rows.tolist()
    names: Sequence[str] = ()
    if name == INPUTS:
        names = saved.transform.feature_names
    elif name in (PREDICTIONS, OUTPUTS):
        names = _output_names(saved)
    width = math.prod(shape if rows is None else shape[1:])
    return Axis(name, shape, names if len(names) == width else (), rows)


def _output_names(saved: TrainedNetwork) -> list[str]:
    classes = saved.classes if saved.recipe.loss.task.is_multiclass else None
    return [str(name) for name in classes or saved.recipe.loss.output_names(saved.target_names or ())]
