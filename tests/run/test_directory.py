"""The run directory: names, refusals, records."""

import errno
import json
import math
import os
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from backprop_cli.errors import CheckpointError, UsageError
from backprop_cli.run import directory
from backprop_cli.run.directory import RunDirectory, resume_command, step_checkpoints

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def test_create_names_by_utc_time_and_points_latest(tmp_path):
    first = RunDirectory.create(tmp_path / "runs", "digits", NOW)
    assert re.fullmatch(r"20260131T120000Z-[0-9a-f]{4}", first.path.name)
    assert first.path.parent == tmp_path / "runs" / "digits"
    assert first.checkpoints.is_dir()
    latest = tmp_path / "runs" / "digits" / "latest"
    assert latest.readlink() == Path(first.path.name)
    second = RunDirectory.create(tmp_path / "runs", "digits", NOW.astimezone(timezone(timedelta(hours=5))))
    assert second.path.name.startswith("20260131T120000Z-")
    assert latest.readlink() == Path(second.path.name)
    assert {entry.name for entry in latest.parent.iterdir()} == {first.path.name, second.path.name, "latest"}


def test_create_never_reuses_a_directory(tmp_path, monkeypatch):
    draws = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(directory.secrets, "token_hex", lambda _: next(draws))
    assert RunDirectory.create(tmp_path, "digits", NOW).path.name.endswith("-aaaa")
    assert RunDirectory.create(tmp_path, "digits", NOW).path.name.endswith("-bbbb")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/abs", "latest"])
def test_create_refuses_a_name_that_is_no_folder(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        RunDirectory.create(tmp_path, name, NOW)
    assert str(caught.value) == f"name: '{name}' cannot be a folder's name; give the run another `name`"
    assert list(tmp_path.iterdir()) == []


def test_create_where_it_cannot(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UsageError) as caught:
        RunDirectory.create(tmp_path / "runs", "digits", NOW)
    assert str(caught.value) == (
        f"{tmp_path}/runs/digits: cannot make a run directory: Not a directory; "
        "choose another place with --run-dir or run.directory"
    )


def test_create_at(tmp_path):
    run = RunDirectory.create_at(tmp_path / "a" / "b")
    assert run.checkpoints.is_dir()
    (tmp_path / "empty").mkdir()
    RunDirectory.create_at(tmp_path / "empty")


def test_create_at_refuses_what_is_there(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    for name, what in (("full", "is not empty"), ("file", "is a file")):
        with pytest.raises(UsageError) as caught:
            RunDirectory.create_at(tmp_path / name)
        expected = f"{tmp_path}/{name}: {what}; a run needs a directory of its own, name another --run-dir"
        assert str(caught.value) == expected


def test_open(tmp_path):
    run = RunDirectory.create(tmp_path, "digits", NOW)
    run.write_record({"status": "running"})
    assert RunDirectory.open(run.path) == run
    assert RunDirectory.open(tmp_path / "digits").read_record() == {"status": "running"}


def test_open_what_is_no_run(tmp_path):
    (tmp_path / "file").touch()
    messages = {
        "nothing": "no such directory; a run is at runs/<name>/<time>, the newest at runs/<name>/latest",
        "file": "expected a run directory, got a file",
        "": "is not a run directory: it has no run.json",
    }
    for name, message in messages.items():
        with pytest.raises(CheckpointError) as caught:
            RunDirectory.open(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_record_is_valid_json_whatever_the_numbers(tmp_path):
    run = RunDirectory.create_at(tmp_path / "run")
    run.write_record({"best": math.inf, "metrics": {"train/loss": math.nan, "é": [1.5, -math.inf]}, "pair": (1, True)})
    text = run.record.read_text(encoding="utf-8")
    expected = {"best": None, "metrics": {"train/loss": None, "é": [1.5, None]}, "pair": [1, True]}
    assert json.loads(text, parse_constant=pytest.fail) == expected
    assert run.read_record() == expected


def test_full_disk_keeps_the_old_record(tmp_path, monkeypatch):
    run = RunDirectory.create_at(tmp_path / "run")
    run.write_record({"status": "running"})

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError) as caught:
        run.write_record({"status": "finished"})
    assert str(caught.value) == (
        f"{run.record}: cannot be written: No space left on device; "
        "nothing of the run is saved yet: make room or free the directory, then start again"
    )
    assert run.read_record() == {"status": "running"}
    run.last.touch()
    with pytest.raises(CheckpointError) as caught:
        run.write_record({"status": "finished"})
    assert str(caught.value) == (
        f"{run.record}: cannot be written: No space left on device; "
        f"make room or free the directory, then go on with: bp train --resume {run.path}"
    )


def test_a_command_can_be_pasted():
    assert resume_command(Path("my runs/it's one")) == "bp train --resume 'my runs/it'\"'\"'s one'"


def test_unreadable_records(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        run.read_record()
    assert str(caught.value) == f"{tmp_path}/run.json: cannot be read: No such file or directory"
    run.record.write_text("{")
    with pytest.raises(CheckpointError) as caught:
        run.read_record()
    assert str(caught.value) == (
        f"{tmp_path}/run.json: is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )
    run.record.write_text("[]")
    with pytest.raises(CheckpointError) as caught:
        run.read_record()
    assert str(caught.value) == f"{tmp_path}/run.json: expected a JSON object, got list"


def test_names_of_files(tmp_path):
    run = RunDirectory(tmp_path)
    files = [run.config, run.resolved, run.record, run.journal, run.table, run.log, run.lock, run.best, run.last]
    files += [run.at_step(1200), run.gradient_check(0)]
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "config.yaml",
        "config.resolved.yaml",
        "run.json",
        "metrics.jsonl",
        "metrics.csv",
        "log.txt",
        ".lock",
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "checkpoints/step-00001200.safetensors",
        "gradient_check/step-00000000.json",
    ]


def test_step_checkpoints_are_sorted_by_number(tmp_path):
    run = RunDirectory.create_at(tmp_path / "run")
    for step in (300, 2, 123_456_789):
        run.at_step(step).touch()
    (run.checkpoints / ".step-00000009.safetensors.tmp").touch()
    (run.checkpoints / "step-x.safetensors").touch()
    assert list(step_checkpoints(run.checkpoints)) == [2, 300, 123_456_789]


def test_gradient_check_makes_its_folder(tmp_path):
    run = RunDirectory.create_at(tmp_path / "run")
    run.write_json(run.gradient_check(0), {"passed": True})
    assert json.loads(run.gradient_check(0).read_text()) == {"passed": True}
