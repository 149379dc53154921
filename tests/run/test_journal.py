"""The journal: append-only, whole lines, and the newest attempt counts."""

import errno
import json
import math
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.errors import BpWarning, CheckpointError
from backprop_cli.run.journal import Journal, lost_epochs, read_journal, to_row, write_table
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
            "split": "",
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


FIRST = b'{"event": "started", "step": 0}\n'
LATER = b'{"event": "saved", "step": 4}\n'


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"oops', "expected a JSON object, got '{\"oops'"),
        (b"[" * 100_000, "expected a JSON object, got '" + "[" * 40 + "'"),
        (b"\xff\x00\x1b[31m", "expected a JSON object, got '\ufffd\\x00\\x1b[31m'"),
        (b"[]", "expected a JSON object, got '[]'"),
        (b"null", "expected a JSON object, got 'null'"),
        (b"{}", "event: expected a name, got nothing"),
        (b'{"event": null}', "event: expected a name, got null"),
        (b'{"event": "saved"}', "step: expected a count, got nothing"),
        (b'{"event": "saved", "step": null}', "step: expected a count, got null"),
        (b'{"event": "saved", "step": "3"}', 'step: expected a count, got "3"'),
        (b'{"event": "saved", "step": 3.0}', "step: expected a count, got 3.0"),
        (b'{"event": "saved", "step": NaN}', "step: expected a count, got NaN"),
        (b'{"event": "saved", "step": -3}', "step: expected a count, got -3"),
        (b'{"event": "saved", "step": true}', "step: expected a count, got true"),
        (
            b'{"event": "saved", "step": 1' + b"0" * 60 + b"}",
            "step: expected a count, got 1" + "0" * 37 + "..." + "0" * 19,
        ),
        (b'{"event": "epoch", "step": 3, "seconds": 1}', "epoch: expected a count, got nothing"),
        (b'{"event": "epoch", "step": 3, "epoch": 1}', "seconds: expected a number of at least 0, got nothing"),
        (b'{"event": "step", "step": 3, "seconds": "1"}', 'seconds: expected a number of at least 0, got "1"'),
        (b'{"event": "finished", "step": 3, "seconds": NaN}', "seconds: expected a number of at least 0, got NaN"),
        (b'{"event": "step", "step": 3, "seconds": 1, "loss": "low"}', 'loss: expected a number, got "low"'),
        (b'{"event": "epoch", "step": 3, "epoch": 1, "seconds": 1, "a": [1]}', "a: expected a number, got [1]"),
        (LATER + b'{"event": "saved", "step": 3}', "step 3 comes after step 4"),
    ],
)
def test_damaged_line_inside(path, line, fault):
    path.write_bytes(FIRST + line + b"\n" + LATER)
    with pytest.raises(CheckpointError) as caught:
        read_journal(path)
    number = 2 + line.count(b"\n")
    way_on = f"delete that line, then resume with: bp train --resume {path.parent}"
    assert str(caught.value) == f"{path}:{number}: {fault}; {way_on}"
    path.write_bytes(FIRST + line + b"\n")  # the end of the line is there, so that no kill has torn it
    with pytest.raises(CheckpointError):
        read_journal(path)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\n\n"])
def test_any_ends_of_lines(path, end):
    path.write_bytes((FIRST + LATER).replace(b"\n", end))
    assert [row["step"] for row in read_journal(path)] == [0, 4]
    with path.open("ab") as file:
        file.write(b'{"event": "sav')
    assert [row["step"] for row in read_journal(path)] == [0, 4]
    with Journal(path) as journal:
        journal.write(epoch(6, 2))
    assert [row["step"] for row in read_journal(path)] == [0, 4, 6]


def test_a_journal_that_ends_before_its_checkpoint(path):
    with Journal(path) as journal:
        journal.write(started())
        for step, number in ((2, 1), (4, 2), (6, 3)):
            journal.write(epoch(step, number))
    rows = read_journal(path)
    assert lost_epochs(path, rows, 3) == ""
    assert lost_epochs(path, rows, 2) == ""
    told = "has lost {}, as after a power cut: the checkpoint is newer; metrics.csv lacks them"
    assert lost_epochs(path, rows, 5) == f"{path}: " + told.format("2 of 5 epochs, epoch 4 first")
    assert lost_epochs(path, [], 10**18) == f"{path}: " + told.format(f"{10**18} of {10**18} epochs, epoch 1 first")
    assert lost_epochs(path, [], 0) == f"{path}: " + told.format("its first line")


def test_many_restarts_are_read_in_time(path):
    path.write_bytes(FIRST * 200_000)
    began = time.perf_counter()
    assert len(read_journal(path)) == 200_000
    assert time.perf_counter() - began < 10


def test_sync_reaches_the_disk(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with Journal(path) as journal:
        journal.write(epoch(2, 1))
        journal.sync()
        assert len(synced) == 1
    assert len(synced) == 2


def test_last_lines_that_cannot_be_synced_are_a_warning(path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(path)
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: cannot be written: No space left on device"):
        journal.sync()
    with pytest.warns(BpWarning) as caught:
        journal.close()
    assert [str(each.message) for each in caught] == [
        f"{path}: its last lines may not be on the disk: No space left on device"
    ]


def test_a_link_is_not_followed(path):
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.symlink_to(victim)
    with pytest.raises(
        CheckpointError, match=r"metrics\.jsonl: cannot be written: it is a link, which is not followed;"
    ):
        Journal(path)
    assert victim.read_text() == "precious"


def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    for use in (Journal, read_journal):
        with pytest.raises(CheckpointError, match="it is not a regular file"):
            use(path)


def test_a_path_that_is_not_utf_8(path):
    with Journal(path) as journal:
        journal.write(Saved(2, "last", "r\udce9/last.safetensors"))
    assert b'"r\\udce9/last.safetensors"' in path.read_bytes()
    assert read_journal(path)[0]["path"] == "r\udce9/last.safetensors"


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
