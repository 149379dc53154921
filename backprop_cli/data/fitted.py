"""Validation of a fitted transform from a file: the types of all fields, and sizes that fit together."""

from __future__ import annotations

import dataclasses
import math
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from backprop_cli.data.curves import Logarithm
from backprop_cli.data.dated import Dated
from backprop_cli.data.features import Coded, Scaled
from backprop_cli.data.sections import DatePart
from backprop_cli.data.transform import Transform
from backprop_cli.visible import shortened


def check_fitted(transform: Transform) -> None:
    """Raise ValueError with the field for a transform that fitting cannot have produced."""
    _check_fields("transform", transform)
    for place, feature in enumerate(transform.features):
        name = f"features[{place}]"
        if isinstance(feature, Coded):
            if feature.fill is not None and not 0 <= feature.fill <= len(feature.categories) + feature.other:
                raise ValueError(f"{name}.fill: {feature.fill} is not a category's number")
        elif isinstance(feature, Scaled):
            _check_sizes(name, feature, ("shift", "divisor", "factor", "fill"), feature.size)
            _check_curve(name, feature)
        else:
            _check_dated(name, feature)
    target = transform.target
    if target.task.has_unit:
        _check_sizes("target", target, ("mean", "deviation"), len(target.names))
    if target.columns is not None and target.task.has_classes:
        wanted = 1 if target.task.is_multiclass else len(target.columns)
        if len(target.columns) < wanted or len(target.classes) != wanted or len(target.columns) < 1:
            raise ValueError(f"target.classes: expected {wanted} lists, got {len(target.classes)}")
    if any(size < 1 for size in transform.input_shape) or not transform.input_shape:
        raise ValueError(f"input_shape: expected counts, got {list(transform.input_shape)}")
    if transform.tokens is not None and transform.tokens < 1:
        raise ValueError(f"tokens: expected a count, got {transform.tokens}")
    if (transform.text is None) != bool(transform.features):
        raise ValueError("features: expected some for a table, none for a text")
    if transform.text is None:
        rows = 1 if transform.window is None else transform.window.length
        width = sum(feature.width for feature in transform.features) * rows
        if width != math.prod(transform.input_shape):
            raise ValueError(f"features: {width} inputs do not make an example of {list(transform.input_shape)}")


def _check_dated(name: str, feature: Dated) -> None:
    unknown = [part for part in feature.parts if part not in get_args(DatePart)]
    if unknown or not feature.parts:
        raise ValueError(f"{name}.parts: expected parts of a time, got {unknown}")
    size = feature.width - feature.indicator
    _check_sizes(name, feature, ("shift", "divisor"), size)
    if len(feature.shift) != size or len(feature.divisor) != size:
        raise ValueError(f"{name}.shift: expected {size} numbers")
    if not np.isfinite([feature.origin, feature.fill or 0.0]).all():
        raise ValueError(f"{name}.origin: must be finite")


def _check_curve(name: str, feature: Scaled) -> None:
    curve = feature.curve
    if isinstance(curve, Logarithm):
        if curve.unit.shape not in ((1,), (feature.size,)) or not (np.isfinite(curve.unit) & (curve.unit > 0)).all():
            raise ValueError(f"{name}.curve.unit: expected positive numbers")
    elif curve is not None:
        knots = curve.knots
        if knots.ndim != 2 or len(knots) < 2 or knots.shape[1] not in (1, feature.size):
            raise ValueError(f"{name}.curve.knots: expected two or more for each number, got {list(knots.shape)}")
        if not np.isfinite(knots).all() or (np.diff(knots, axis=0) < 0).any():
            raise ValueError(f"{name}.curve.knots: must be finite and rise")


def _check_sizes(name: str, holder: object, fields: tuple[str, ...], size: int) -> None:
    for field in fields:
        array = getattr(holder, field)
        if array is None:
            continue
        if array.shape not in ((1,), (size,)):
            raise ValueError(f"{name}.{field}: expected 1 or {size} numbers, got {array.size}")
        if not np.isfinite(array).all() or (field in ("divisor", "deviation") and not array.all()):
            raise ValueError(f"{name}.{field}: must be finite, and a divisor not 0")


def _check_fields(name: str, value: Any) -> None:
    """Check the types of a dataclass's fields, and of dataclasses inside it."""
    for key, hint in _hints(type(value)).items():  # type: ignore[arg-type]
        inner = getattr(value, key)
        if not _fits(inner, hint):
            raise ValueError(f"{name}.{key}: has the wrong type: {shortened(str(inner))}")
        for place, item in enumerate(inner if isinstance(inner, tuple) else [inner]):
            if dataclasses.is_dataclass(item):
                _check_fields(f"{key}[{place}]" if isinstance(inner, tuple) else key, item)


@cache
def _hints(cls: type) -> dict[str, Any]:
    """The annotation of each field of a dataclass."""
    from backprop_cli.data.tokenizer import Tokenizer

    hints = get_type_hints(cls, localns={"Tokenizer": Tokenizer})
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value matches an annotation: names, numbers, tuples of them, arrays, settings, None."""
    origin, inner = get_origin(hint), get_args(hint)
    if hasattr(origin, "__value__"):  # NDArray of NumPy 2.5: an alias with a name
        origin = get_origin(origin.__value__)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            inner = (inner[0],) * len(value) if isinstance(value, tuple) else inner
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(_fits, value, inner))
    if origin is not None:
        return isinstance(value, origin) and (not isinstance(value, np.ndarray) or value.dtype.kind == "f")
    if hint is Any:
        return True
    if hint in (int, float, bool, str):
        return type(value) is hint or (hint is float and type(value) is int)
    return isinstance(value, hint)
