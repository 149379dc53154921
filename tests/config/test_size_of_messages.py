"""However much is wrong, a message is short and there soon; however deep or long a text is, it has an end."""

import time

import pytest
from config_support import DIGITS, message

from backprop_cli.config.load import load_config
from backprop_cli.config.overrides import apply_overrides
from backprop_cli.errors import ConfigError, Problem

LAYERS = "data: {source: a.csv, target: y}\nloss: cross_entropy\nmodel:\n  input: [4]\n  layers:\n"


def refused(tmp_path, text):
    path = tmp_path / "big.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert time.process_time() - began < 5  # a quadratic search takes minutes
    return caught.value


def test_twenty_problems_in_full_then_a_count(tmp_path):
    error = refused(tmp_path, DIGITS + "".join(f"k{i}: 1\n" for i in range(2000)))
    lines = str(error).splitlines()
    assert len(lines) == 20 * 3 + 2
    assert lines[-2:] == ["... and 1,980 more", "2,000 problems; nothing was run."]
    assert len(error.describe()) == 2000
    assert str(ConfigError([Problem(("a",), "b")] * 20)).splitlines()[-2:] == ["a: b", "20 problems; nothing was run."]


def test_a_line_of_a_minified_file_is_cut(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    error = refused(tmp_path, "{" + ",".join(f"k{i}: 1" for i in range(2000)) + "}")
    sources = [line for line in str(error).splitlines() if line.startswith("    1 | ")]
    assert len(sources) == 20
    assert max(map(len, sources)) <= 60
    assert len(str(error)) < 10_000


def test_a_long_name_is_shortened(tmp_path):
    assert len(str(refused(tmp_path, DIGITS + "k" * 100_000 + ": 1\n"))) < 1_500
    assert len(message(DIGITS, f"{'k' * 100_000}=1")) < 1_500


def test_nothing_of_a_name_is_obeyed_or_begins_a_line():
    said = message(DIGITS, "a\x1bc\nwarning: \u202eb=1")
    assert said.startswith("override a\\x1bc\\nwarning: \\u202eb=1: unknown key")
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    "text",
    [
        "x: " + "[" * 100_000,
        "x: " + "[" * 100_000 + "]" * 100_000,
        "x: " + "{a: " * 50_000,
        "x:\n" + "".join(" " * i + "a:\n" for i in range(1, 1000)),
        "[\n" * 100_000,
        "model: {layers: [" + "{type: block, layers: [" * 40 + "dense" + "]}" * 40 + "]}",
    ],
)
def test_a_deep_text(text, tmp_path):
    assert "nested deeper than 64 levels" in str(refused(tmp_path, text))


def test_an_override_of_a_deep_key():
    _, problems = apply_overrides({}, [f"{'.'.join('a' * 30_000)}=1"])
    assert [problem.reason for problem in problems] == ["a key of 30,000 steps; at most 64 are read"]


@pytest.mark.parametrize(
    "layer",
    [
        "{type: danse, units: 3}",
        "{type: dense, unit: 3}",
        "{type: dense, units: 3, inputs: [foo]}",
        "{type: dense, units: 3, share: foo.weight}",
        "{type: dense, units: 3, name: a}",
    ],
)
def test_a_mistake_in_each_of_many_layers(layer, tmp_path):
    error = refused(tmp_path, LAYERS + f"    - {layer}\n" * 600)
    assert len(error.problems) >= 599
    assert len(str(error)) < 20_000
