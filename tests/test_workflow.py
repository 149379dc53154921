"""The workflow of GitHub tests what pyproject.toml promises, with what .ci/run runs."""

import os
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
JOBS = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MATRIX = JOBS["tests"]["strategy"]["matrix"]


def test_the_pythons_are_those_of_the_project():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert MATRIX["python"][0] == oldest
    versions = [tuple(map(int, version.split("."))) for version in MATRIX["python"]]
    assert versions == [(3, minor) for minor in range(versions[0][1], versions[-1][1] + 1)]
    claimed = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert claimed
    assert claimed == MATRIX["python"][: len(claimed)]
    extra = [(entry["system"], entry["python"], entry["experimental"]) for entry in MATRIX["include"]]
    assert extra == [("macos-latest", "3.12", True), ("windows-latest", "3.12", True)]


def test_one_job_runs_every_check_with_the_oldest_python():
    steps = JOBS["checks"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}
    assert steps[1]["with"]["python-version"] == MATRIX["python"][0]
    assert os.access(ROOT / ".ci" / "run", os.X_OK) or os.name != "posix"


def test_the_others_install_what_the_tests_need():
    commands = [step["run"] for step in JOBS["tests"]["steps"] if "run" in step]
    assert commands == ['python -m pip install -e ".[test]"', "python -m pytest -n auto"]
    assert "test" in PROJECT["optional-dependencies"]
