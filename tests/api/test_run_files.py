"""The files of a run: written in an order that a power cut cannot turn round, never through a link, under any path."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from api_support import bp, known_run, last, record, rows, run_of, start_bp, table, write_config

from backprop_cli.api.eval import evaluate
from backprop_cli.api.predict import predict
from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.run import journal as journal_file
from backprop_cli.run import save_queue
from backprop_cli.run.checkpoint import load
from backprop_cli.training.events import Warned

INTERRUPTED = ["training.max_steps=10"]
WHOLE = ["training.max_steps=none"]
DIVERGING = {
    "data": {"target": "y", "features": ["x"]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mean_squared_error",
    "optimizer": {"type": "sgd", "learning_rate": 1e30},
}


def half() -> Path:
    """A run that stopped in its third epoch, with a checkpoint every second step."""
    run, _ = known_run(write_config(training={"epochs": 4}, checkpoint={"every_steps": 2}), "half", INTERRUPTED)
    return run


def warnings_of(*words, **options) -> list[str]:
    told = []
    train(*words, on_event=lambda event: told.append(event.message) if isinstance(event, Warned) else None, **options)
    return told


def refusing(real, refuses):
    """``real``, but for the paths that ``refuses`` says."""

    def call(path, *words, **options):
        if refuses(Path(path), *words):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return real(path, *words, **options)

    return call


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_no_checkpoint_is_there_before_the_lines_up_to_its_step(monkeypatch, seconds):
    """And its name is on the disk before an older one goes. Within a second, only the last ten are written."""
    journal, synced, order = Path("run/metrics.jsonl"), [0], []

    def flush(descriptor):
        status = os.fstat(descriptor)
        os.fsync(descriptor)
        if os.path.samestat(status, journal.stat()):
            synced[0] = status.st_size

    def replace(path, target, real=Path.replace):
        if target.name == "last.safetensors":
            lines = [json.loads(line) for line in journal.read_bytes()[: synced[0]].splitlines()]
            assert lines[-1]["step"] >= load(path).metadata["state"]["step"] > 0
            order.append("renamed")
        if target.name == "best.safetensors":
            assert order[-1] == "synced"
        return real(path, target)

    def unlink(path, missing_ok=False, real=Path.unlink):
        if path.name.startswith("step-"):
            assert order[-1] == "synced"
        return real(path, missing_ok)

    def fsync(descriptor, real=os.fsync):
        if os.path.samestat(os.fstat(descriptor), Path("run/checkpoints").stat()):
            order.append("synced")
        return real(descriptor)

    monkeypatch.setattr(os, "fdatasync", flush)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(save_queue, "SECONDS", seconds)
    run_of(write_config(checkpoint={"every_steps": 1, "keep_last": 9}, log={"every_steps": 1}), "run")
    assert order.count("renamed") >= 11
    assert order[-1] == "synced"


def test_a_journal_that_ends_before_its_checkpoint_is_told():
    run = half()
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join(lines[:2]))
    told = warnings_of(None, WHOLE, resume=run)
    lost = "half/metrics.jsonl: has lost 2 of 2 epochs, epoch 1 first, as after a power cut: the checkpoint is newer; "
    assert told == [f"{lost}metrics.csv lacks them"]
    assert [row["epoch"] for row in table(run)] == ["3", "4"]


def test_a_whole_journal_is_not_said_to_be_short():
    run = half()
    assert warnings_of(None, WHOLE, resume=run) == []
    assert [row["epoch"] for row in table(run)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("name", "line", "fault"),
    [
        (
            "metrics.jsonl",
            b'{"event": "epoch", "step": 10}\n',
            ":17: epoch: expected a count, got nothing; delete ",
        ),
        ("metrics.jsonl", b'{"event": "saved", "step": 3}\n', ":17: step 3 comes after step 10; delete that line, "),
        ("run.json", b"x", ":72:1: is not JSON: Extra data; correct it, or replace the whole content by {} to "),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--find-lr"]])
def test_a_damaged_file_is_noticed_before_anything_is_done(name, line, fault, more, capsys):
    run = half()
    with (run / name).open("ab") as file:
        file.write(line)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert bp("train", "--resume", run, *WHOLE, *more) == 5
    said = capsys.readouterr().err.splitlines()[-1]
    number = len((run / name).read_bytes().splitlines())
    place = fault.replace(":17:", f":{number}:").replace(":72:", f":{number}:")
    assert said.startswith(f"half/{name}{place}")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_diverged_run_keeps_its_reason(capsys):
    config = write_config(**DIVERGING)
    assert bp("train", config, "--run-dir", "run") == 4
    reason = (
        "training diverged at step 2 (epoch 1): loss inf, gradient norm inf, learning rate 1e+30; "
        "lower optimizer.learning_rate or set training.clip_norm"
    )
    assert capsys.readouterr().err.splitlines()[-1] == reason
    assert (record(Path("run"))["status"], record(Path("run"))["reason"]) == ("diverged", reason)
    assert rows(Path("run"))[-1] == {"event": "failed", "step": 2, "epoch": 1, "status": "diverged", "reason": reason}
    assert bp("show", "run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["run"]["reason"] == reason


def test_a_run_from_python_has_the_log_of_the_command():
    config = write_config()
    shown = run_bp("train", config, "--run-dir", "shell").splitlines()
    run_of(config, "python")
    logs = [Path(name, "log.txt").read_text() for name in ("shell", "python")]
    assert sorted(logs[0].splitlines()) == sorted(shown)
    timeless = [re.sub(r"[\d,.]+ (s|examples/s)$", "", log, flags=re.MULTILINE) for log in logs]
    assert timeless[1] == timeless[0].replace("shell", "python")


def test_latest_is_the_newest_run_with_a_checkpoint():
    config = write_config(name="flowers")
    first = train(config).run_dir
    latest = Path("runs/flowers/latest")
    assert latest.readlink() == Path(first.name)
    assert bp("train", write_config(Path("bad.yaml"), **DIVERGING), "name=flowers", "--quiet") == 4
    assert latest.readlink() == Path(first.name)
    assert bp("eval", "runs/flowers/latest") == 0
    second = train(config).run_dir
    assert latest.readlink() == Path(second.name)
    assert train(resume=latest, overrides=["training.epochs=4"]).run_dir == second


LINKS = {
    "checkpoints/.last.safetensors.tmp": "",
    "checkpoints/last.safetensors": "",
    ".run.json.tmp": "",
    "run.json": "",
    "config.resolved.yaml": "",
    "metrics.csv": "",
    "metrics.jsonl": "half/metrics.jsonl: cannot be written: it is a link, which is not followed; ",
    "log.txt": "warning: half/log.txt: cannot be written: it is a link, which is not followed; the run continues ",
    ".lock": "half/.lock: cannot be written: it is a link, which is not followed; ",
    "checkpoints": "half/checkpoints: is a link, and links in a run directory are not followed; put the folder in ",
    "gradient_check": "half/gradient_check: is a link, and links in a run directory are not followed; put the folder ",
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_in_a_run_is_not_written_through(name, capsys):
    run, victim = half(), Path("victim")
    place = run / name
    if place.is_dir():
        shutil.copytree(place, victim)
    elif place.exists():
        shutil.copy(place, victim)
    elif name == "gradient_check":
        victim.mkdir()
    else:
        victim.write_text("precious")
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    place.symlink_to(victim.resolve())
    files = [victim, *victim.rglob("*")]
    before = {path: path.read_bytes() for path in files if path.is_file()}
    code = bp("train", "--resume", run, *WHOLE)
    said = capsys.readouterr().err
    assert {path: path.read_bytes() for path in [victim, *victim.rglob("*")] if path.is_file()} == before
    assert code == (5 if LINKS[name] and name != "log.txt" else 0)
    assert any(line.startswith(LINKS[name]) for line in said.splitlines())


def test_a_run_that_is_reached_through_a_link():
    run = half()
    Path("elsewhere").symlink_to(run.resolve())
    assert bp("train", "--resume", "elsewhere", *WHOLE, "--quiet") == 0
    assert record(run)["status"] == "finished"


@pytest.mark.parametrize("name", ["checkpoints/step-00000006.safetensors", "run.json", "metrics.csv"])
def test_what_cannot_be_removed_or_replaced_is_a_warning_in_the_log(name, monkeypatch):
    run = half()
    stubborn = run / name
    monkeypatch.setattr(Path, "unlink", refusing(Path.unlink, lambda path, *_: path == stubborn))
    monkeypatch.setattr(Path, "replace", refusing(Path.replace, lambda path, target: target == stubborn))
    assert bp("train", "--resume", run, *WHOLE, "--quiet") == 0
    what = "removed" if "step" in name else "replaced"
    told = [line for line in (run / "log.txt").read_text().splitlines() if line.startswith("warning:")]
    assert told == [line for line in told if line.startswith(f"warning: {stubborn}: cannot be {what}: Operation not")]
    assert len(told) == 1
    assert last(run).metadata["state"]["step"] == 16


def test_last_lines_that_cannot_be_synced_end_no_run(monkeypatch):
    run = half()
    real = journal_file._flush

    def flush(descriptor):
        if record(run)["status"] == "finished":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(journal_file, "_flush", flush)
    told = warnings_of(None, WHOLE, resume=run)
    assert told == ["half/metrics.jsonl: its last lines may not be on the disk: Input/output error"]


def run_bp(*words) -> str:
    """A command in a process of its own, whose output takes any text; what it said."""
    process = start_bp(*words)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out + err


@pytest.mark.parametrize("name", ["r\udce9", "ü ́", "-x", " ", "a" * 200])
def test_any_name_of_a_run_directory(name):
    config = write_config(gradient_check={})
    # What pytest captures takes no lone surrogate; an output of a process of its own does.
    command = run_bp if "\udce9" in name else bp
    command("train", config, "--run-dir", f"./{name}", *INTERRUPTED)
    command("train", "--resume", f"./{name}", *WHOLE)
    assert record(Path(name))["status"] == "finished"
    assert load(Path(name) / "checkpoints" / "best.safetensors").metadata["config"]
    assert evaluate(Path(name)).examples == 9
    assert show(name).run["status"] == "finished"
    assert predict(name, Path("flowers.csv"), Path("predictions.csv")) == 60


def test_data_and_configuration_below_a_path_that_is_not_utf_8(monkeypatch):
    folder = Path("d\udce9")
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_config(Path("c\udcff.yaml"))
    run_bp("train", "c\udcff.yaml")
    (run,) = Path("runs/c_").glob("2*")
    run_bp("train", run / "config.resolved.yaml", "--run-dir", "again")
    assert record(Path("again"))["metrics"] == record(run)["metrics"]
    assert "test/loss" in run_bp("eval", run)


LONG = "x" * 300


@pytest.mark.parametrize("path", [LONG, "x/" * 3000, "a\0b", f"{LONG}.yaml"])
def test_names_that_no_file_can_have(path, capsys):
    config = write_config()
    assert bp("train", config, "--run-dir", path) == 2
    assert bp("train", config, f"run.directory={json.dumps(path)}") == 2
    if "/" not in path:
        assert bp("train", config, f"name={json.dumps(path)}") == 2
    assert bp("train", "--resume", path) in (2, 5)
    for command in ("eval", "predict", "show", "explain", "gradcheck", "jacobian", "generate"):
        assert bp(command, path) in (2, 5), command
    assert "Traceback" not in capsys.readouterr().err
