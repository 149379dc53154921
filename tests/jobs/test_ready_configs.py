"""Every file in ``configs/`` is usable, and its gradients are right."""

import json
from pathlib import Path

import pytest
import yaml
from jobs_support import bp

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def _missing(config: Path) -> list[str]:
    """Data files of a configuration that are not there: MNIST's are not part of the project."""
    data = yaml.safe_load(config.read_text())["data"]
    named = [data.get("source")]
    for split in ("train", "validation", "test"):
        pair = data.get(split)
        named += pair.values() if isinstance(pair, dict) else [pair]
    return [name for name in named if name is not None and not (config.parent / name).exists()]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_it_is_valid(config, capsys):
    if _missing(config):
        assert config.stem in ("mnist", "autoencoder")
        pytest.skip("its data is not here")
    assert bp("validate", config, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["valid"]
    assert captured.err == ""


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_its_gradients_are_right(config, capsys):
    assert bp("gradcheck", config, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {check["verdict"] for check in found["checks"]} <= {"PASS", "KINK"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_its_gradients_are_checked_as_it_trains(config):
    assert yaml.safe_load(config.read_text())["gradient_check"] is not None
