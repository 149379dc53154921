"""The run directory: names, refusals, records."""

import errno
import json
import math
import os
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from backprop_cli.errors import BpWarning, CheckpointError, UsageError
from backprop_cli.run import directory
from backprop_cli.run.directory import RunDirectory, resume_command, step_checkpoints

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def saved(run):
    """The run with a checkpoint, as the checkpointer leaves it."""
    run.last.touch()
    run.point_latest()
    return run


def test_create_names_by_utc_time(tmp_path):
    first = RunDirectory.create(tmp_path / "runs", "digits", NOW)
    assert re.fullmatch(r"20260131T120000Z-[0-9a-f]{4}", first.path.name)
    assert first.path.parent == tmp_path / "runs" / "digits"
    assert first.checkpoints.is_dir()
    second = RunDirectory.create(tmp_path / "runs", "digits", NOW.astimezone(timezone(timedelta(hours=5))))
    assert second.path.name.startswith("20260131T120000Z-")
    assert {entry.name for entry in first.path.parent.iterdir()} == {first.path.name, second.path.name}


def test_latest_is_the_newest_run_with_a_checkpoint(tmp_path):
    latest = tmp_path / "digits" / "latest"
    runs = [RunDirectory.create(tmp_path, "digits", NOW + timedelta(seconds=second)) for second in range(3)]
    assert not latest.is_symlink()
    saved(runs[1])
    assert latest.readlink() == Path(runs[1].path.name)
    saved(runs[0])  # older, though its checkpoint came later
    assert latest.readlink() == Path(runs[1].path.name)
    runs[1].last.unlink()
    saved(runs[0])
    assert latest.readlink() == Path(runs[0].path.name)
    saved(runs[2])
    assert latest.readlink() == Path(runs[2].path.name)
    assert len(list(latest.parent.iterdir())) == 4


def test_a_run_at_a_place_of_its_own_is_nobodys_latest(tmp_path):
    saved(RunDirectory.create_at(tmp_path / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_file_called_latest_stays(tmp_path):
    run = RunDirectory.create(tmp_path, "digits", NOW)
    latest = run.path.with_name("latest")
    latest.write_text("notes")
    with pytest.warns(BpWarning) as warned:
        run.point_latest()
    assert latest.read_text() == "notes"
    assert [str(each.message) for each in warned] == [
        f"{latest}: cannot point at {run.path.name}: it is a file that no run wrote; name the run itself"
    ]


def test_latest_that_cannot_be_made_is_a_warning(tmp_path):
    run = RunDirectory.create(tmp_path, "digits", NOW)
    (tmp_path / "digits" / "latest").mkdir()
    with pytest.warns(BpWarning) as caught:
        saved(run)
    assert [str(each.message) for each in caught] == [
        f"{tmp_path}/digits/latest: cannot point at {run.path.name}: Is a directory; name the run itself"
    ]
    assert len(list((tmp_path / "digits").iterdir())) == 2


def test_create_never_reuses_a_directory(tmp_path, monkeypatch):
    draws = iter([b"\xaa\xaa", b"\xaa\xaa", b"\xbb\xbb"])
    monkeypatch.setattr(directory.os, "urandom", lambda _: next(draws))
    assert RunDirectory.create(tmp_path, "digits", NOW).path.name.endswith("-aaaa")
    assert RunDirectory.create(tmp_path, "digits", NOW).path.name.endswith("-bbbb")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/abs", "latest", "a\0b"])
def test_create_refuses_a_name_that_is_no_folder(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        RunDirectory.create(tmp_path, name, NOW)
    assert str(caught.value) == f"name: {name!r} cannot be a folder's name; give the run another `name`"
    assert list(tmp_path.iterdir()) == []


def test_create_where_it_cannot(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UsageError) as caught:
        RunDirectory.create(tmp_path / "runs", "digits", NOW)
    assert str(caught.value) == (
        f"{tmp_path}/runs/digits: cannot make a run directory: Not a directory; "
        "choose another place with --run-dir or run.directory"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x" * 300, "File name too long"),
        ("x/" * 3000, "File name too long"),
        ("a\0b", "embedded null byte"),
        ("\ud800", "'utf-8' codec can't encode character '\\ud800' in position {at}: surrogates not allowed"),
    ],
)
def test_names_that_no_folder_can_have(tmp_path, name, why):
    path = tmp_path / name
    why = why.format(at=len(str(tmp_path)) + 1)
    for make in (RunDirectory.create_at, lambda path: RunDirectory.create(path.parent, path.name, NOW)):
        with pytest.raises(UsageError) as caught:
            make(path)
        if "\0" not in name or make is RunDirectory.create_at:
            assert str(caught.value) == (
                f"{path}: cannot make a run directory: {why}; choose another place with --run-dir or run.directory"
            )
    with pytest.raises(CheckpointError):
        RunDirectory.open(path)


def test_a_name_that_is_not_utf_8(tmp_path):
    run = RunDirectory.create(tmp_path, "r\udce9", NOW)
    run.write_record({"name": "r\udce9"})
    assert b'"r\\udce9"' in run.record.read_bytes()
    assert run.read_record() == {"name": "r\udce9"}


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
    run = saved(RunDirectory.create(tmp_path, "digits", NOW))
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
    run.write_record({"metrics": {"train/loss": math.nan}, "é": [1.5, -math.inf], "pair": (1, True)})
    text = run.record.read_text(encoding="utf-8")
    expected = {"metrics": {"train/loss": None}, "é": [1.5, None], "pair": [1, True]}
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
        f"make room or free the directory, then resume with: bp train --resume {run.path}"
    )


def test_a_command_can_be_pasted():
    assert resume_command(Path("my runs/it's one")) == "bp train --resume 'my runs/it'\"'\"'s one'"


def test_unreadable_records(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        run.read_record()
    assert str(caught.value) == f"{tmp_path}/run.json: cannot be read: No such file or directory"


WAY_OUT = "; correct it, or replace the whole content by {} to continue without what the run recorded"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ":1:1: is not JSON: Expecting value"),
        ('{"a', ":1:2: is not JSON: Unterminated string"),
        ('{"a": "\t"}', ":1:8: is not JSON: Invalid control character"),
        ("{", ":1:2: is not JSON: Expecting property name enclosed in double quotes"),
        ('{\n  "a": 1,,\n}', ":2:10: is not JSON: Expecting property name enclosed in double quotes"),
        (
            "[" * 100_000,
            ": is not JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        ),
        ("\udcff", ": is not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("[]", ": expected a JSON object, got []"),
        ("null", ": expected a JSON object, got null"),
        ('"' + "x" * 100 + '"', ': expected a JSON object, got "' + "x" * 37 + "..." + "x" * 18 + '"'),
        ('{\n  "name": "x",\n  "resumed": null\n}', ":3: resumed: expected a list, got null"),
        ('{"resumed": [1]}', ":1: resumed.0: expected a mapping, got 1"),
        ('{"resumed": [{"step": 1.5}]}', ":1: resumed.0.step: expected an integer, got 1.5"),
        ('{"data": ["a"]}', ':1: data: expected a mapping, got ["a"]'),
        ('{"data": {"a": 1}}', ":1: data.a: expected text, got 1"),
        (
            '{"status": "done"}',
            ":1: status: expected 'running', 'finished', 'interrupted', 'diverged' or 'failed', got \"done\"",
        ),
        ('{"overrides": "x"}', ':1: overrides: expected a list, got "x"'),
        ('{"seconds": "3"}', ':1: seconds: expected a number, got "3"'),
        ('{"seconds": NaN}', ":1: seconds: expected a finite number, got NaN"),
        ('{"steps": -1}', ":1: steps: expected 0 or more, got -1"),
        ('{"threads": true}', ":1: threads: expected an integer, got true"),
        ('{"compiled": 1}', ":1: compiled: expected true or false, got 1"),
        ('{"metrics": {"train/loss": "low"}}', ':1: metrics.train/loss: expected a number, got "low"'),
        ('{"plugins": []}', ":1: plugins: expected a mapping, got []"),
        ('{"from_checkpoint": {"layers": 3}}', ":1: from_checkpoint.layers: expected text, got 3"),
    ],
)
def test_a_record_that_no_run_writes(tmp_path, text, fault):
    run = RunDirectory(tmp_path)
    run.record.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError) as caught:
        run.read_record()
    assert str(caught.value) == f"{run.record}{fault}{WAY_OUT}"
    run.record.write_text("{}")
    assert run.read_record() == {}


def test_a_record_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(CheckpointError, match=r"run\.json: cannot be read: it is not a regular file"):
        RunDirectory(tmp_path).read_record()


def test_a_record_that_cannot_be_replaced_is_a_warning(tmp_path, monkeypatch):
    run = RunDirectory.create_at(tmp_path / "run")
    run.write_record({"status": "running"})

    def refuse(*_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.warns(BpWarning) as caught:
        run.write_record({"status": "finished"})
    assert [str(each.message) for each in caught] == [
        f"{run.record}: cannot be replaced: Operation not permitted; it is out of date"
    ]
    assert run.read_record() == {"status": "running"}


def test_folders_that_are_links_are_refused(tmp_path):
    run = RunDirectory.create_at(tmp_path / "run")
    run.refuse_links()
    (tmp_path / "elsewhere").mkdir()
    run.gradient_checks.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError) as caught:
        run.refuse_links()
    assert str(caught.value) == (
        f"{run.path}/gradient_check: is a link, and links in a run directory are not followed; "
        "put the folder in its place"
    )


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
