"""Divergence, a full disk, a bug: what the run leaves, what it says, and with which code it ends."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, last, record, rows, run_of, table, write_config

from backprop_cli.api.train import train
from backprop_cli.errors import CheckpointError
from backprop_cli.run import atomic, checkpointer
from backprop_cli.run import checkpoint as checkpoint_file
from backprop_cli.training.events import Epoch

WAY_OUT = "; lower optimizer.learning_rate or set training.clip_norm\n"
REGRESSION = {
    "data": {"target": "y", "features": ["x"]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mean_squared_error",
}


def ended(run: str = "run") -> tuple[str, int]:
    told = record(Path(run))
    return told["status"], told["exit_code"]


@pytest.mark.parametrize("rate", ["1e30", "1e300"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("batch", [12, 1000])
def test_a_learning_rate_out_of_all_bounds(rate, optimizer, batch, capsys):
    config = write_config(**REGRESSION, training={"batch_size": batch})
    words = [f"optimizer.type={optimizer}", f"optimizer.learning_rate={rate}"]
    assert bp("train", config, "--run-dir", "run", *words, "--json") == 4
    captured = capsys.readouterr()
    message = captured.err.splitlines()[-1]
    assert message.startswith("training diverged ")
    assert message + "\n" == message.removesuffix(WAY_OUT.strip()) + WAY_OUT
    found = json.loads(captured.out)
    assert found["error"] == {"code": 4, "kind": "diverged", "problems": [{"message": message}]}
    assert (found["run_dir"], found["status"]) == ("run", "diverged")
    assert ended() == ("diverged", 4)


def test_the_whole_message(capsys):
    config = write_config(**REGRESSION)
    assert bp("train", config, "optimizer={type: sgd, learning_rate: 1e30}", "--run-dir", "run") == 4
    text = f"run run\ntraining diverged at step 2 (epoch 1): loss inf, gradient norm inf, learning rate 1e+30{WAY_OUT}"
    assert capsys.readouterr().err.endswith(text)
    assert Path("run/log.txt").read_text().endswith(text)
    assert rows(Path("run"), "finished") == []


def test_the_last_good_checkpoint_stays():
    """It diverges in the third epoch: what the second one saved is still there, and the run can go on from it."""
    config = write_config(**REGRESSION, optimizer={"type": "sgd", "learning_rate": 1e-3})
    good, _ = run_of(config, "good", ["training.epochs=2"])
    run_of(config, "run", ["training.epochs=2"])
    assert bp("train", "--resume", "run", "training.epochs=9", "optimizer.learning_rate=1e30", "--quiet") == 4
    for name, array in last(good).tensors.items():
        np.testing.assert_array_equal(last(Path("run")).tensors[name], array)
    assert [row["epoch"] for row in table(Path("run"))] == ["1", "2"]
    assert bp("train", "--resume", "run", "training.epochs=3", "--quiet") == 0
    assert ended() == ("finished", 0)


@pytest.mark.parametrize("every", ["checkpoint.every_steps=1", "checkpoint.every_epochs=1"])
def test_infinite_weights_are_never_saved(every, capsys):
    """In float32 one update at 1e300 makes them infinite; the loss and norm of that step were finite."""
    config = write_config(training={"batch_size": 1000, "epochs": 1})
    words = ["optimizer={type: sgd, learning_rate: 1e300}", every]
    assert bp("train", config, "--run-dir", "run", *words) == 4
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("training diverged at step 1 (epoch 1): dense_1.weight[0, 0] is ")
    assert list(Path("run/checkpoints").iterdir()) == []
    assert bp("train", "--resume", "run") == 5


def test_a_model_whose_loss_is_not_finite_is_no_success(capsys):
    """One step, finite weights, but of a size that no prediction survives."""
    config = write_config(**REGRESSION, training={"batch_size": 1000, "epochs": 1})
    words = ["optimizer={type: sgd, learning_rate: 1e25}", "data.split.validation=0", "checkpoint.keep_best=0"]
    assert bp("train", config, "--run-dir", "run", *words) == 4
    assert capsys.readouterr().err.splitlines()[-1] + "\n" == (
        f"training diverged: train/loss of the trained model is inf{WAY_OUT}"
    )
    assert ended() == ("diverged", 4)


def full_disk(*_args, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_checkpoint_before(monkeypatch, capsys):
    config = write_config(training={"epochs": 4})
    good, _ = run_of(config, "good", ["training.epochs=2"])
    real, calls = checkpoint_file.write_atomically, []

    def fills_up(path, content, **how):
        calls.append(path)
        if len(calls) > 2:
            full_disk()
        real(path, content, **how)

    with monkeypatch.context() as full:
        full.setattr(checkpoint_file, "write_atomically", fills_up)
        assert bp("train", config, "--run-dir", "run", "--json") == 5
    message = (
        "run/checkpoints/last.safetensors: the checkpoint cannot be written: No space left on device; make room or "
        "free the directory, then resume with: bp train --resume run"
    )
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == message
    assert json.loads(captured.out) == {
        "error": {"code": 5, "kind": "checkpoint", "problems": [{"message": message}]},
        "run_dir": "run",
        "status": "failed",
    }
    assert ended() == ("failed", 5)
    for name, array in last(good).tensors.items():
        np.testing.assert_array_equal(last(Path("run")).tensors[name], array)
    assert not [path for path in Path("run").rglob("*") if path.name.startswith(".")]
    _, whole = run_of(config, "straight")
    assert train(resume=Path("run")).metrics == whole.metrics


def test_a_disk_so_full_that_nothing_can_be_told(monkeypatch):
    """Not even run.json: what ended the run is said all the same."""
    config = write_config()
    with monkeypatch.context() as full, pytest.raises(CheckpointError) as caught:

        def fills_up(event):
            if isinstance(event, Epoch):
                full.setattr(atomic.os, "fsync", full_disk)

        train(config, run_dir=Path("run"), on_event=fills_up)
    assert str(caught.value) == (
        "run/checkpoints/last.safetensors: the checkpoint cannot be written: No space left on device; "
        "nothing of the run is saved yet: make room or free the directory, then start again"
    )
    assert ended() == ("running", None)


def test_a_file_system_without_links_has_copies(monkeypatch):
    config = write_config()
    linked, _ = run_of(config, "linked")
    monkeypatch.setattr(checkpoint_file.os, "link", full_disk)
    copied, _ = run_of(config, "copied")
    names = sorted(path.name for path in (linked / "checkpoints").iterdir())
    assert sorted(path.name for path in (copied / "checkpoints").iterdir()) == names
    best = [run / "checkpoints" / "best.safetensors" for run in (linked, copied)]
    assert best[0].stat().st_nlink > 1
    assert best[1].stat().st_nlink == 1


def test_neither_links_nor_room_for_copies(monkeypatch, capsys):
    def no_second_name(source, target):
        monkeypatch.setattr(checkpoint_file, "write_atomically", full_disk)
        full_disk()

    monkeypatch.setattr(checkpoint_file.os, "link", no_second_name)
    assert bp("train", write_config(), "--run-dir", "run") == 5
    assert capsys.readouterr().err.splitlines()[-1] == (
        "run/checkpoints/best.safetensors: the checkpoint cannot be written: No space left on device; "
        "make room or free the directory, then resume with: bp train --resume run"
    )
    assert Path("run/checkpoints/last.safetensors").exists()


def test_a_bug_of_ours_is_recorded_as_one(monkeypatch, capsys):
    def broken(self, event):
        raise RuntimeError("oops")

    monkeypatch.setattr(checkpointer.Checkpointer, "is_due", broken)
    assert bp("train", write_config(), "--run-dir", "run") == 1
    said = capsys.readouterr().err
    assert "Traceback (most recent call last):" in said
    assert "RuntimeError: oops" in said
    assert ended() == ("failed", 1)


def test_a_run_directory_that_cannot_be_made(capsys):
    Path("file").touch()
    assert bp("train", write_config(), "--run-dir", "file/run") == 2
    assert capsys.readouterr().err == (
        "file/run: cannot make a run directory: Not a directory; choose another place with --run-dir or run.directory\n"
    )
