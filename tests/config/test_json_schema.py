import json

import pytest

from backprop_cli.config.configuration import Config
from backprop_cli.config.json_schema import json_schema
from backprop_cli.data.format import FORMATS
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.average import AVERAGES
from backprop_cli.nn.initializer import INITIALIZERS
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.metric import METRICS
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.nn.schedule import SCHEDULES

SCHEMA = json_schema()
OF_TYPES = (ACTIVATIONS, AVERAGES, INITIALIZERS, LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES)


def nodes(node):
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from nodes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from nodes(inner)


def test_it_is_json_and_says_what_it_is():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "bp configuration"
    assert SCHEMA["additionalProperties"] is False
    assert SCHEMA["required"] == ["data", "model", "loss"]


def test_every_section_is_described():
    assert list(SCHEMA["properties"]) == list(Config.model_fields)
    assert all(section["description"] for section in SCHEMA["properties"].values())


def test_references_lead_somewhere():
    for node in nodes(SCHEMA):
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"]


def test_no_python_shows():
    text = json.dumps(SCHEMA)
    assert "backprop_cli" not in text
    assert "discriminator" not in text


def test_every_layer_is_there_with_its_manual_page():
    (choices,) = [node for node in nodes(SCHEMA["$defs"]["ModelSettings"]["properties"]["layers"]) if "oneOf" in node]
    types = {SCHEMA["$defs"][c["$ref"].rpartition("/")[2]]["properties"]["type"]["const"] for c in choices["oneOf"]}
    assert types == set(LAYERS)
    dense = SCHEMA["$defs"]["layers.dense"]
    assert dense["description"].startswith("Affine map")
    assert dense["properties"]["units"] == {
        "description": "number of outputs; auto in the last layer: as many as the data and the loss need",
        "anyOf": [{"const": "auto"}, {"exclusiveMinimum": 0, "type": "integer"}],
    }


@pytest.mark.parametrize("registry", OF_TYPES, ids=lambda registry: registry.plural)
def test_every_type_is_there_with_its_manual_page_and_can_be_chosen(registry):
    chosen = {node["$ref"] for node in nodes(SCHEMA) if "$ref" in node}
    for name, cls in registry.items():
        key = f"{registry.plural}.{name}"
        assert f"#/$defs/{key}" in chosen
        assert SCHEMA["$defs"][key]["properties"].keys() == cls.model_fields.keys()
        first = cls.__doc__.strip().splitlines()[0].replace("``", "")
        assert SCHEMA["$defs"][key]["description"].replace("``", "").startswith(first), key


def test_every_format_can_be_chosen():
    choices = [
        node["enum"] for node in nodes(SCHEMA["$defs"]["DataSettings"]["properties"]["format"]) if "enum" in node
    ]
    assert choices == [list(FORMATS)]


def test_a_bare_word_stands_for_a_type_that_needs_nothing_else():
    words = SCHEMA["$defs"]["ModelSettings"]["properties"]["layers"]["items"]["anyOf"][0]["enum"]
    assert "flatten" in words
    assert "dense" not in words


def test_none_is_a_word():
    steps = SCHEMA["$defs"]["TrainingSettings"]["properties"]["max_steps"]
    assert {"const": "none"} in steps["anyOf"]


def test_a_default_type_need_not_be_written():
    optimizer = SCHEMA["properties"]["optimizer"]
    assert optimizer["default"] == "adam"
    assert "required" not in optimizer["anyOf"][1]


def test_a_name_alone_is_a_list_of_one():
    inputs = SCHEMA["$defs"]["layers.dense"]["properties"]["inputs"]
    array = next(node for node in nodes(inputs) if node.get("type") == "array")
    assert array["minItems"] == 1
    assert {"type": "string"} in inputs["anyOf"]
