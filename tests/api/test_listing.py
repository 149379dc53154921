"""bp list: every registry, every entry, and the words for the types of keys."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from backprop_cli.api.list_types import list_types, registry_of
from backprop_cli.errors import UsageError
from backprop_cli.inspection.type_entry import type_text
from backprop_cli.nn.activation import ActivationType
from backprop_cli.settings import Many, Maybe, Settings

KINDS = [kind.kind for kind in list_types().kinds]


def test_kinds_and_counts():
    assert KINDS == [
        "layers",
        "activations",
        "losses",
        "optimizers",
        "averages",
        "schedules",
        "initializers",
        "metrics",
        "formats",
        "ops",
    ]
    for kind in list_types().kinds:
        assert kind.count == len(list_types(kind.kind).entries) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_singular_and_plural_are_the_same(kind):
    registry = registry_of(kind)
    assert registry.plural == kind
    assert registry_of(registry.kind) is registry


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_says_what_it_is(kind):
    for entry in list_types(kind).entries:
        assert list(entry.to_json()) == ["name", "summary", "fields"]
        assert entry.summary, entry.name
        for field in entry.fields:
            assert list(field.to_json()) == ["name", "type", "default", "required", "description"]
            assert field.description or kind == "ops", f"{entry.name}.{field.name} has no docstring"
            assert not field.required or field.default is None
        (page,) = list_types(kind, entry.name).entries
        assert page.page.replace("``", "").split()[:3] == entry.summary.split()[:3]


def test_dense():
    fields = {field.name: field for field in list_types("layer", "dense").entries[0].fields}
    assert "type" not in fields
    assert fields["units"].required
    assert fields["units"].type == "integer > 0 or auto"
    assert fields["bias"].to_json() | {"description": ""} == {
        "name": "bias",
        "type": "true or false",
        "default": True,
        "required": False,
        "description": "",
    }
    assert (fields["activation"].type, fields["activation"].default) == ("activation or none", None)
    assert (fields["initializer"].type, fields["initializer"].default) == ("initializer", "glorot_uniform")


def test_attributes_of_ops():
    (entry,) = list_types("op", "sum").entries
    assert [field.name for field in entry.fields] == ["axes", "keepdims"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dense",), "unknown kind 'dense'; its page: bp list layers dense"),
        (("relu",), "unknown kind 'relu'; its page: bp list activations relu or bp list ops relu"),
        (("losess",), "unknown kind 'losess'; did you mean 'losses'?"),
        (
            ("zzz",),
            "unknown kind 'zzz'; known: layers, activations, losses, optimizers, averages, schedules, initializers, "
            "metrics, formats, ops",
        ),
        (("layers", "dens"), "unknown layer 'dens'; did you mean 'dense'?"),
        (
            ("layers", "softmax"),
            "unknown layer 'softmax'; that is an activation: {type: activation, function: softmax}",
        ),
    ],
)
def test_unknown(arguments, message):
    with pytest.raises(UsageError) as caught:
        list_types(*arguments)
    assert str(caught.value) == message


class Inner(Settings):
    x: int = 1


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "integer"),
        (bool, "true or false"),
        (Any, "anything"),
        (Annotated[float, Field(ge=0, lt=1)], "number >= 0, < 1"),
        (Literal["a", "b"], "a or b"),
        (Maybe[int], "integer or none"),
        (Many[Annotated[str, Field(min_length=1)]], "list of text"),
        (list, "list"),
        (dict[str, float], "mapping of text to number"),
        (Inner, "mapping"),
        (ActivationType, "activation"),
        (ActivationType | None, "activation or none"),
    ],
)
def test_words_for_types(annotation, text):
    assert type_text(annotation) == text
