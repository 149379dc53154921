"""The README's first commands work as they are; the annotated configuration and the list of ready ones are whole."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import documents
import pytest
import yaml

from backprop_cli.config.load import load_config
from backprop_cli.config.resolve import resolved_tree

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the README's commands are for a POSIX shell")


def blocks(language):
    return [block for block in documents.blocks(ROOT / "README.md") if block.language == language]


@pytest.fixture(scope="module")
def environment():
    return documents.environment()


@pytest.mark.slow
def test_the_first_command_ends_with_the_test_accuracy(tmp_path, environment):
    command = blocks("sh")[0].text
    assert command.rstrip().endswith("bp train configs/digits.yaml")
    unwanted = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, tmp_path / "clone", ignore=unwanted)
    fresh = {key: value for key, value in environment.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    ended = subprocess.run(["bash", "-ec", command], cwd=tmp_path / "clone", env=fresh, text=True, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    name, value, *_baselines = ended.stdout.splitlines()[-1].split()
    assert name == "test/accuracy"
    assert float(value) >= 0.95


def test_the_test_command_is_that_of_continuous_integration():
    assert blocks("sh")[1].text == ".venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest -n 2\n"
    script = (ROOT / ".ci" / "run").read_text()
    assert "-e '.[test]'" in script
    assert 'check "pytest" tests -n 2\n' in script


def test_it_is_short():
    assert len(README.splitlines()) <= 250


def test_the_annotated_configuration_shows_every_key_and_its_default(tmp_path):
    reference, off = [block for block in documents.blocks(DOCS / "configuration.md") if block.language == "yaml"]
    short = {
        "name": "iris",
        "data": {"source": "../datasets/iris.csv", "target": "species"},
        "model": {"layers": [{"type": "dense", "units": 16, "activation": "relu"}, {"type": "dense", "units": 3}]},
        "loss": "cross_entropy",
        "early_stopping": {},
        "gradient_check": {},
        "lookahead": {},
    }
    shown, least = tmp_path / "shown.yaml", tmp_path / "least.yaml"
    shown.write_text(reference.text + off.text)
    least.write_text(yaml.safe_dump(short))
    assert resolved_tree(load_config(shown), None) == resolved_tree(load_config(least), None)
    written = yaml.safe_load(reference.text + off.text)
    every = resolved_tree(load_config(least), None)
    assert set(written) == set(every)
    for section in (
        "data",
        "training",
        "checkpoint",
        "regularization",
        "optimizer",
        "loss",
        "early_stopping",
        "gradient_check",
        "lookahead",
        "run",
    ):
        assert set(written[section]) == set(every[section])


def test_every_ready_configuration_is_named():
    text = (DOCS / "ready.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`configs/(\w+\.yaml)`\]", text, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
