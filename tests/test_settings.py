from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from backprop_cli.errors import did_you_mean
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import DefaultType, Many, Maybe, OneOrMany, Settings, descriptions


class Shape(Settings):
    type: str
    """kind of shape"""
    size: float = 1.0
    """length of
    a side"""


SHAPES: Registry[Shape] = Registry("shape", "shapes", "backprop_cli.nn.layers")


@SHAPES.register
class Square(Shape):
    type: Literal["square"] = "square"
    turned: bool = False
    """by 45 degrees"""


@SHAPES.register
class Circle(Shape):
    type: Literal["circle"] = "circle"


class Drawing(Settings):
    limit: Maybe[Annotated[int, Field(gt=0)]] = 3
    names: Annotated[Many[str], Field(min_length=1), OneOrMany()] = ("a",)
    shape: Annotated[Shape, Choice(SHAPES), DefaultType("square")] = Square()


@pytest.mark.parametrize(("given", "value"), [("none", None), (None, None), (5, 5)])
def test_none_is_a_word(given, value):
    assert Drawing.model_validate({"limit": given}).limit == value


def test_a_name_is_a_list_of_one():
    assert Drawing.model_validate({"names": "x"}).names == ("x",)
    assert Drawing.model_validate({"names": ["x", "y"]}).names == ("x", "y")


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ("circle", Circle()),
        ({"type": "circle", "size": 2}, Circle(size=2)),
        ({"turned": True}, Square(turned=True)),
        (Circle(size=3), Circle(size=3)),
    ],
)
def test_a_type_is_chosen_by_name(given, shape):
    assert Drawing.model_validate({"shape": given}).shape == shape


@pytest.mark.parametrize("given", [{"type": ["circle"]}, {"type": {}}, {"type": None}, "triangle", 3])
def test_a_type_that_is_none(given):
    with pytest.raises(ValidationError):
        Drawing.model_validate({"shape": given})


def test_settings_are_strict_and_hashable():
    assert isinstance(hash(Drawing()), int)
    with pytest.raises(ValidationError):
        Drawing.model_validate({"limit": "5"})


def test_descriptions_are_inherited_and_on_one_line_of_thought():
    assert descriptions(Square) == {"type": "kind of shape", "size": "length of\na side", "turned": "by 45 degrees"}


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("unit", ["units", "bias"], "; did you mean 'units'?"),
        ("Adam", ["adam"], "; did you mean 'adam'?"),
        ("lr", ["type", "learning_rate", "momentum"], "; did you mean 'learning_rate'?"),
        ("bs", ["batch_size", "shuffle"], "; did you mean 'batch_size'?"),
        ("acc", ["accuracy", "f1"], "; did you mean 'accuracy'?"),
        ("mean", ["mean_squared_error", "mean_absolute_error"], ""),
        ("x", ["xor"], ""),
        ("size", ["kernel", "stride", "padding"], ""),
        ("kernel_size", ["kernel", "stride", "padding"], "; did you mean 'kernel'?"),
        ("qqq", ["adam"], ""),
    ],
)
def test_the_nearest_known_name(name, known, hint):
    assert did_you_mean(name, known) == hint
