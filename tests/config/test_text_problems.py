"""Mistakes of networks for texts: what reads the tokens, how many it knows, and what it puts out for each of them."""

from pathlib import Path

import pytest
from config_support import message, write

from backprop_cli.config.config_warnings import config_warnings
from backprop_cli.config.load import load_config
from backprop_cli.config.network_problems import check_model
from backprop_cli.errors import ConfigError, path_text

NOVEL = """\
data: {source: novel.txt, text: {context: 8}}
model:
  layers:
    - {type: embedding, tokens: 30, width: 4}
    - {type: gru, units: 6, output: sequence}
    - {type: dense, units: 30}
loss: next_token
"""
EMBEDDING = "    - {type: embedding, tokens: 30, width: 4}\n"
GRU = "{type: gru, units: 6, output: sequence}"
SHAPE = "the network's output has the shape [30], but next_token needs [positions, tokens]: a row of numbers for each "


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def without(passage, instead=""):
    assert NOVEL.count(passage) == 1
    return NOVEL.replace(passage, instead)


def said_of_data(text, tokens=30):
    """What is said once the text is read, of 8 tokens an example."""
    loaded = load_config(write(Path(), text))
    with pytest.raises(ConfigError) as caught:
        check_model(loaded, (8,), tokens, 8)
    return [
        (problem.line, problem.column, path_text(problem.path), problem.message) for problem in caught.value.problems
    ]


def test_a_text_is_for_the_tokens_that_come_next_whatever_the_metrics_are():
    said = without("loss: next_token", "loss: cross_entropy\nmetrics: [perplexity]")
    assert message(said) == (
        "digits.yaml:7:7: loss: the targets of a text are the next tokens; use loss: next_token\n"
        "    7 | loss: cross_entropy\n"
        "      |       ^^^^^^^^^^^^^"
    )


def test_tokens_are_looked_up():
    assert message(without(EMBEDDING)) == (
        "digits.yaml:4:7: model.layers[0]: layer gru_1: reads numbers, but the examples of a text are tokens; put "
        "{type: embedding, tokens: ..., width: ...} before it, with tokens: the number of different tokens\n"
        "    4 |     - {type: gru, units: 6, output: sequence}\n"
        "      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )


def test_both_ends_of_the_network_are_told_how_many_tokens_there_are():
    assert said_of_data(NOVEL, tokens=31) == [
        (4, 33, "model.layers[0].tokens", "layer embedding_1 knows 30 tokens, but the data has 31; set tokens: 31"),
        (
            6,
            28,
            "model.layers[2].units",
            "the network has 30 outputs a position, but the data has 31 tokens; set units: 31",
        ),
    ]


def test_an_embedding_may_know_more_tokens():
    check_model(load_config(write(Path(), without("tokens: 30", "tokens: 99"))), (8,), 30, 8)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("{type: gru, units: 6}", "layer gru_1 turns [8, 4] into [6]; set output: sequence"),
        ("flatten", "layer flatten_1 turns [8, 4] into [32]; leave it out, or use a layer that keeps positions"),
    ],
)
def test_a_layer_that_puts_out_one_vector_a_text(layer, reason):
    (found,) = said_of_data(without(GRU, layer))
    assert found == (5, 7, "model.layers[1]", f"{SHAPE}position of an example; {reason}")


@pytest.mark.parametrize(
    ("layer", "place", "said"),
    [
        ("{type: attention, heads: 2}", "5:7: model.layers[1].causal", "causal: true"),
        ("{type: block, layers: [{type: attention}]}", "5:30: model.layers[1].layers[0].causal", "causal: true"),
        (
            "{type: lstm, units: 6, output: sequence, bidirectional: true}",
            "5:63: model.layers[1].bidirectional",
            "bidirectional: false",
        ),
    ],
)
def test_a_network_that_sees_what_it_shall_predict(layer, place, said):
    assert config_warnings(load_config(write(Path(), without(GRU, layer)))) == [
        f"digits.yaml:{place}: each position sees the tokens after it, which it should predict; set {said}"
    ]


def test_a_network_that_sees_what_came_before():
    causal = without(GRU, "{type: attention, heads: 2, causal: true}")
    assert [config_warnings(load_config(write(Path(), text))) for text in (NOVEL, causal)] == [[], []]
