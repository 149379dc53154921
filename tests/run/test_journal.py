"""The journal: append-only, whole lines, and the newest attempt counts."""

import errno
import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.errors import CheckpointError
from backprop_cli.run.journal import Journal, read_journal, to_row, write_table
from backprop_cli.training.events import Epoch, Finished, GradientChecked, Saved, Started, Step, Stopped, Warned


def started(step=0, epoch=1):
    return Started(
        parameters=10,
        examples={"train": 8},
        batch_size=4,
        epochs=3,
        steps_per_epoch=2,
        total_steps=6,
        threads=1,
        step=step,
        epoch=epoch,
    )


def epoch(step, number, **metrics):
    return Epoch(step, number, seconds=number * 0.5, metrics=metrics)


def a_step(step):
    return Step(step, 1, 0.5, 0.25, 1.5, 0.001, 4, 0.125)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_rows(path):
    events = [
        started(),
        a_step(1),
        Epoch(2, 1, 0.5, {"train/loss": 0.25, "validation/loss": math.nan}, improved=True),
        GradientChecked(2, True, "dense_1.weight", 1e-8, 0.25, "gradient_check/step-00000002.json"),
        Saved(2, "last", "checkpoints/last.safetensors"),
        Stopped(2, 1, "max_steps"),
        Warned("careful"),
        Finished("finished", 2, 1, 0.75, {"test/loss": math.inf}, "runs/x"),
    ]
    with Journal(path, every_steps=1) as journal:
        for event in events:
            journal.write(event)
    lines = path.read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail) for line in lines] == read_journal(path)
    assert read_journal(path) == [
        {
            "event": "started",
            "step": 0,
            "parameters": 10,
            "examples": {"train": 8},
            "batch_size": 4,
            "epochs": 3,
            "steps_per_epoch": 2,
            "total_steps": 6,
            "threads": 1,
            "epoch": 1,
            "run_dir": "",
            "compiled": False,
        },
        {
            "event": "step",
            "step": 1,
            "epoch": 1,
            "gradient_norm": 1.5,
            "learning_rate": 0.001,
            "examples": 4,
            "seconds": 0.125,
            "train/loss": 0.5,
            "train/regularization": 0.25,
        },
        {
            "event": "epoch",
            "step": 2,
            "epoch": 1,
            "seconds": 0.5,
            "partial": False,
            "improved": True,
            "train/loss": 0.25,
            "validation/loss": None,
        },
        {
            "event": "gradient_checked",
            "step": 2,
            "passed": True,
            "worst": "dense_1.weight",
            "max_relative_error": 1e-8,
            "seconds": 0.25,
            "path": "gradient_check/step-00000002.json",
        },
        {"event": "saved", "step": 2, "kind": "last", "path": "checkpoints/last.safetensors"},
        {"event": "stopped", "step": 2, "epoch": 1, "reason": "max_steps"},
        {
            "event": "finished",
            "step": 2,
            "status": "finished",
            "epoch": 1,
            "seconds": 0.75,
            "run_dir": "runs/x",
            "test/loss": None,
        },
    ]


def test_steps_are_written_every_so_many(path):
    for every, expected in ((None, []), (3, [3, 6])):
        path.unlink(missing_ok=True)
        with Journal(path, every) as journal:
            for step in range(1, 8):
                journal.write(a_step(step))
        assert [row["step"] for row in read_journal(path)] == expected


def test_every_line_is_on_its_way_at_once(path):
    journal = Journal(path)
    journal.write(epoch(2, 1))
    assert len(read_journal(path)) == 1
    journal.close()
    journal.close()


def test_torn_last_line_is_left_out_and_overwritten(path):
    with Journal(path) as journal:
        journal.write(started())
        journal.write(epoch(2, 1))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for size in range(len(lines[0]), len(whole)):
        path.write_bytes(whole[:size])
        complete = size >= len(whole) - 1  # only the newline is missing: the row is whole
        assert len(read_journal(path)) == 1 + complete
        with Journal(path) as journal:
            journal.write(epoch(4, 2))
        assert [row["step"] for row in read_journal(path)] == [0, *([2] if complete else []), 4]


def test_resume_supersedes_what_was_beyond(path):
    with Journal(path, 1) as journal:
        for event in (started(), a_step(1), epoch(2, 1, loss=1.0), a_step(3), epoch(4, 2, loss=2.0)):
            journal.write(event)
    with Journal(path, 1) as journal:
        for event in (started(step=2, epoch=2), a_step(3), epoch(4, 2, loss=3.0)):
            journal.write(event)
    rows = read_journal(path)
    assert [(row["event"], row["step"]) for row in rows] == [
        ("started", 0),
        ("step", 1),
        ("epoch", 2),
        ("started", 2),
        ("step", 3),
        ("epoch", 4),
    ]
    assert rows[-1]["loss"] == 3.0
    assert len(path.read_text().splitlines()) == 8  # nothing was removed from the file


def test_starting_again_supersedes_everything(path):
    with Journal(path) as journal:
        for event in (started(), epoch(2, 1, loss=1.0), started(), epoch(2, 1, loss=2.0)):
            journal.write(event)
    assert [row.get("loss") for row in read_journal(path) if row["event"] == "epoch"] == [2.0]


def test_damaged_line_inside(path):
    path.write_bytes(b'{"event": "started", "step": 0}\n{"oops\n{"event": "epoch", "step": 1}\n')
    with pytest.raises(CheckpointError) as caught:
        read_journal(path)
    assert str(caught.value) == f"{path}:2: expected a JSON object, got '{{\"oops'"


def test_missing(path):
    with pytest.raises(CheckpointError) as caught:
        read_journal(path)
    assert str(caught.value) == f"{path}: the journal cannot be read: No such file or directory"


def test_full_disk_keeps_the_lines_whole(path, monkeypatch):
    journal = Journal(path)
    journal.write(epoch(2, 1))

    class Full:
        """Takes ten bytes of a line, then is full."""

        def __init__(self, file):
            self.file, self.left = file, 10

        def write(self, data):
            if not self.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken, self.left = self.left, 0
            return self.file.write(data[:taken])

        def fileno(self):
            return self.file.fileno()

    real = journal._file
    monkeypatch.setattr(journal, "_file", Full(real))
    with pytest.raises(CheckpointError) as caught:
        journal.write(epoch(4, 2))
    assert str(caught.value) == (
        f"{path}: cannot be written: No space left on device; "
        "nothing of the run is saved yet: make room or free the directory, then start again"
    )
    monkeypatch.setattr(journal, "_file", real)
    journal.write(epoch(6, 3))
    journal.close()
    assert [row["step"] for row in read_journal(path)] == [2, 6]


def test_cannot_be_opened(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        Journal(tmp_path / "gone" / "metrics.jsonl")
    assert str(caught.value) == (
        f"{tmp_path}/gone/metrics.jsonl: cannot be written: No such file or directory; "
        "nothing of the run is saved yet: make room or free the directory, then start again"
    )


def test_table(path, tmp_path):
    with Journal(path) as journal:
        journal.write(started())
        journal.write(epoch(2, 1, **{"train/loss": 0.5, "learning_rate": 0.001}))
        journal.write(epoch(4, 2, **{"train/loss": math.nan, "validation/loss": 0.1 + 0.2}))
    write_table(path, tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_text() == (
        "step,epoch,seconds,train/loss,learning_rate,validation/loss\n"
        "2,1,0.5,0.5,0.001,nan\n"
        "4,2,1.0,nan,nan,0.30000000000000004\n"
    )


def test_table_of_no_epochs(path, tmp_path):
    with Journal(path) as journal:
        journal.write(started())
    write_table(path, tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_text() == "step,epoch,seconds\n"


@given(st.dictionaries(st.text(min_size=1), st.floats()))
def test_any_metrics_are_valid_json_on_one_line(metrics):
    row = to_row(Epoch(1, 1, 0.5, metrics))
    line = json.dumps(row, ensure_ascii=False, allow_nan=False)
    assert "\n" not in line
    assert json.loads(line) == row
