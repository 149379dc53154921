"""Every file in ``configs/`` is usable, and its gradients are right."""

import json
import os
from pathlib import Path

import pytest
import yaml
from api_support import bp

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


NEEDS_FILES = {path.stem for path in CONFIGS if "BP_MNIST" in path.read_text()}
"""MNIST's files are not part of the project."""


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_it_is_valid(config, capsys):
    if config.stem in NEEDS_FILES and "BP_MNIST" not in os.environ:
        pytest.skip("BP_MNIST names no folder with the files of MNIST")
    assert bp("validate", config, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["valid"]
    assert captured.err == ""


def marked(config):
    """Slow unless MNIST's files are missing: the first steps of the others check gradients in tests/test_configs.py."""
    return pytest.param(config, marks=() if config.stem in NEEDS_FILES else pytest.mark.slow)


@pytest.mark.parametrize("config", [marked(config) for config in CONFIGS], ids=lambda path: path.stem)
def test_its_gradients_are_right(config, capsys):
    context = yaml.safe_load(config.read_text())["data"].get("text", {}).get("context", 0)
    shorter = ["data.text.context=16"] if context > 16 else []  # a third of the time
    assert bp("gradcheck", config, *shorter, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    verdicts = {check["name"]: check["verdict"] for check in found["checks"]}
    assert set(verdicts.values()) <= {"PASS", "KINK", "TINY"}
    # The part of a bias that is added to the keys changes no share of attention: its derivative is 0.
    assert all(name.endswith("in_proj_bias") for name, verdict in verdicts.items() if verdict == "TINY")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_its_gradients_are_checked_as_it_trains(config):
    assert yaml.safe_load(config.read_text())["gradient_check"] is not None
