"""A struct behaves like a frozen dataclass, and is quicker to define."""

import copy
import dataclasses
import pickle
import sys
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar

import pytest

import backprop_cli
from backprop_cli.structs import Struct


class Point(Struct):
    """Fields with and without a default."""

    axes: ClassVar = 2

    x: int
    y: float = 2.0


class Named(Point, kw_only=True):
    """A field of its own, and one with another default."""

    y: float = 3.0
    names: list[str] = field(default_factory=list, repr=False)


class Same(Struct, eq=False):
    x: int = 0


@dataclass(frozen=True)
class Weighted(Point):
    weight: float = 1.0


def test_fields_defaults_and_text():
    assert repr(Point(1)) == "Point(x=1, y=2.0)"
    assert repr(Named(1, names=["a"])) == "Named(x=1, y=3.0)"
    assert [each.name for each in fields(Named)] == ["x", "y", "names"]
    assert Named(1).names == []
    assert Named(1).names is not Named(1).names
    assert vars(Named(names=[], y=1.0, x=2)) == {"x": 2, "y": 1.0, "names": []}


def test_equality_is_by_class_and_fields():
    assert Point(1, 2.0) == Point(x=1)
    assert hash(Point(1, 2.0)) == hash(Point(x=1))
    assert Point(1) != Point(2)
    assert Point(1) != Weighted(1)
    assert Same() != Same()
    assert len({Same(), Same()}) == 2


@pytest.mark.parametrize(
    ("arguments", "named", "reason"),
    [
        ((), {}, "Point() needs 'x'"),
        ((1, 2, 3), {}, "Point() takes 2 arguments without a name, got 3"),
        ((1,), {"x": 2}, "Point() got two values for 'x'"),
        ((1, 2), {"y": 2}, "Point() got two values for 'y'"),
        ((1,), {"z": 2}, "Point() has no field 'z'"),
    ],
)
def test_arguments_that_do_not_fit(arguments, named, reason):
    with pytest.raises(TypeError) as caught:
        Point(*arguments, **named)
    assert str(caught.value) == reason


def test_fields_given_by_name_have_no_place():
    with pytest.raises(TypeError) as caught:
        Named(1, 2.0, ["a"])
    assert str(caught.value) == "Named() takes 1 arguments without a name, got 3"


@pytest.mark.parametrize("struct", [Point(1), Weighted(1), Same()])
def test_immutable(struct):
    with pytest.raises(FrozenInstanceError):
        struct.x = 2
    with pytest.raises(FrozenInstanceError):
        del struct.x


def test_functions_of_dataclasses_take_it():
    assert replace(Point(1), y=5.0) == Point(1, 5.0)
    assert dataclasses.asdict(Named(1)) == {"x": 1, "y": 3.0, "names": []}
    assert dataclasses.is_dataclass(Point)
    assert Named.__match_args__ == ("x",)
    assert copy.deepcopy(Named(1, names=["a"])) == pickle.loads(pickle.dumps(Named(1, names=["a"])))


def test_a_dataclass_can_be_derived_from_it():
    assert repr(Weighted(1, weight=3.0)) == "Weighted(x=1, y=2.0, weight=3.0)"
    assert Weighted(1) == Weighted(1, 2.0, 1.0)


def test_checked_when_it_is_made():
    class Positive(Struct):
        x: int

        def __post_init__(self):
            if self.x <= 0:
                raise ValueError(self.x)

    assert Positive(1).x == 1
    with pytest.raises(ValueError, match="-1"):
        Positive(-1)


def test_a_class_compiles_nothing():
    """Compiling the methods of each class is what makes a dataclass slow to define."""
    compiled = []
    sys.addaudithook(lambda event, arguments: compiled.append(arguments) if event == "compile" and watched else None)
    watched = True

    class Line(Struct):
        start: Point
        end: Point

    made = len(compiled)
    dataclass(frozen=True)(type("Line", (), {"__annotations__": {"start": Point}}))
    watched = False
    assert (Line(Point(1), Point(2)).start, made, len(compiled) > 0) == (Point(1), 0, True)


def test_immutable_classes_are_structs():
    """But for a base of them, a class with slots, and one with fields that are no arguments."""
    files = Path(backprop_cli.__file__).parent.rglob("*.py")
    assert {path.name for path in files if "@dataclass(frozen=True" in path.read_text(encoding="utf-8")} == {
        "structs.py",
        "spec.py",
        "examples.py",
    }
