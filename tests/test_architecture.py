"""docs/architecture.md is true: its files exist, and its journey is what training and predicting do."""

import contextlib
import os
import re
import sys
from pathlib import Path

import pytest

import backprop_cli

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "backprop_cli"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SECTIONS = {text.partition("\n")[0]: text for text in re.split(r"^##+ ", PAGE, flags=re.MULTILINE)}


def journey(section):
    """(file, function) of each row of a table."""
    return re.findall(r"^\| `([\w/]+\.py)` \| `([\w.]+)` \|", SECTIONS[section], re.MULTILINE)


@contextlib.contextmanager
def calls():
    """Collects the functions of the package that are called, in the order of their first calls."""
    found, start = {}, f"{PACKAGE}{os.sep}"

    def note(frame, event, _):
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(start):
            found.setdefault((Path(file[len(start) :]).as_posix(), frame.f_code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The calls of a training, and of predictions."""
    folder = tmp_path_factory.mktemp("journey")
    overrides = ["training.epochs=1", "gradient_check=none", f"run.directory={folder / 'runs'}"]
    with calls() as training:
        run = backprop_cli.train(ROOT / "configs" / "iris.yaml", overrides)
    with calls() as predicting:
        backprop_cli.predict(run.run_dir, ROOT / "datasets" / "iris.csv", folder / "predictions.csv")
    return {"From YAML to a checkpoint": list(training), "From the checkpoint to a prediction": list(predicting)}


@pytest.mark.parametrize("section", ["From YAML to a checkpoint", "From the checkpoint to a prediction"])
def test_the_journey_is_walked_in_this_order(walked, section):
    rows = journey(section)
    assert len(rows) > 8
    assert [row for row in rows if row not in walked[section]] == []
    assert rows == sorted(rows, key=walked[section].index)


def test_every_file_and_folder_that_is_named_exists():
    named = set(re.findall(r"`([\w.]+/[\w./]*)`", PAGE))
    assert len(named) > 40
    assert [name for name in sorted(named) if not ((PACKAGE / name).exists() or (ROOT / name).exists())] == []


def test_every_folder_of_types_has_a_row():
    rows = SECTIONS["Where to add what"]
    folders = [path for path in (PACKAGE / "nn").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [path.name for path in folders if f"`nn/{path.name}/`" not in rows] == []
