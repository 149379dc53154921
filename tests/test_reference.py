"""The reference in docs/ is what the code says: the generated pages are those on disk."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import backprop_cli
import generate
from backprop_cli.registry import snake_case
from backprop_cli.run.checkpoint import load
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.record import Record, ResumptionEntry
from backprop_cli.settings import attribute_docs
from generator import messages, results, run_files

ROOT = Path(__file__).parent.parent


def test_the_generated_pages_are_up_to_date():
    """Apart from the output of commands, which `test_the_recorded_output_is_up_to_date` makes anew."""
    stale = generate.out_of_date(generate.pages(ROOT / "docs", quick=True))
    assert not stale, "run python docs/generate.py"


@pytest.mark.slow
def test_the_recorded_output_is_up_to_date():
    command = [sys.executable, ROOT / "docs" / "generate.py", "--check"]
    ended = subprocess.run(command, text=True, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_check_names_the_pages_that_differ(tmp_path, capsys):
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    layers, stray = docs / "reference" / "layers.md", docs / "reference" / "stray.md"
    layers.write_text(layers.read_text().replace("| `units` | integer > 0 |", "| `units` | integer >= 0 |", 1))
    stray.write_text("# Old\n")
    assert generate.main(["--check", "--quick", "--docs", str(docs)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{layers}: differs from the code; run python docs/generate.py",
        f"{stray}: nothing generates it; run python docs/generate.py",
    ]


def test_every_key_of_a_result_is_described():
    found = [cls for name in backprop_cli.__all__ for cls in results.objects(results.results(name))]
    bare = [f"{cls.__name__}.{key}" for cls in found for key, (_, words) in results.keys(cls).items() if not words]
    assert len(found) > 40
    assert not bare


def test_every_kind_of_message_is_explained():
    """Those of the package's errors, and those that the command line gives to other exceptions."""
    source = (ROOT / "backprop_cli" / "cli" / "app.py").read_text(encoding="utf-8")
    named = set(re.findall(r'\.failure\(\S+, "(\w+)"', source))
    assert len(named) > 3
    assert named <= set(messages.kinds())
    assert [kind for kind, (_, text) in messages.kinds().items() if "Way out: " not in text] == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with every sort of event but a failure."""
    folder = tmp_path_factory.mktemp("run") / "iris"
    overrides = [
        "training.epochs=3",
        "training.max_steps=12",
        "log.every_steps=5",
        "gradient_check.adjoint_every_steps=5",
    ]
    backprop_cli.train(ROOT / "configs" / "iris.yaml", overrides, run_dir=folder)
    return RunDirectory(folder)


def test_every_file_of_a_run_is_described(run):
    described = {re.sub(r"\d{8}", "N", name.rstrip("/")) for name in run_files.files()}
    found = {re.sub(r"\d{8}", "N", path.relative_to(run.path).as_posix()) for path in run.path.rglob("*")}
    assert found <= described
    assert described - found <= {".lock"}


def test_every_key_of_a_run_is_described(run):
    sometimes = {"baselines", "compiler"}
    assert set(run.read_record()) - sometimes == set(Record.model_fields) - sometimes
    calibrated = {"calibration"}
    assert set(load(run.last).metadata) | {"format_version", "sha256"} == set(run_files.METADATA) - calibrated
    words = attribute_docs(Record) | attribute_docs(ResumptionEntry)
    assert {*Record.model_fields, *ResumptionEntry.model_fields} <= set(words)


def test_every_key_of_an_event_is_described(run):
    keys = {snake_case(event.__name__): run_files.event_keys(event) for event in run_files.journal_events()}
    assert [f"{event}.{key}" for event, found in keys.items() for key, (_, words) in found.items() if not words] == []
    rows = [json.loads(line) for line in run.journal.read_text(encoding="utf-8").splitlines()]
    assert {row["event"] for row in rows} == set(keys) - {"failed"}
    metrics = {"learning_rate", "gradient_norm", "examples_per_second", "adjoint_residual"}
    for row in rows:
        own = {key for key in row if "/" not in key and key != "event"}
        assert set(keys[row["event"]]) - set(row) == set()
        assert own - set(keys[row["event"]]) <= metrics
