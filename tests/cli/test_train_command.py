"""``bp train`` passes what it was given to its job, and shows what comes of it, also while it runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backprop_cli.api.train import Best, TrainResult
from backprop_cli.cli import app
from backprop_cli.errors import DivergenceError
from backprop_cli.training.events import Epoch, Finished, Started

TRAINED = TrainResult(
    run_dir=Path("runs/digits/20260131T120000Z-ab12"),
    status="finished",
    epochs=30,
    steps=1200,
    seconds=1.5,
    metrics={"train/loss": 0.01, "validation/loss": 0.05, "test/loss": 0.06, "test/accuracy": 0.975},
    best=Best(12, 480, "validation/loss", 0.0475),
    checkpoints={
        "best": "runs/digits/x/checkpoints/best.safetensors",
        "last": "runs/digits/x/checkpoints/last.safetensors",
    },
)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")


def test_train_passes_everything_on(job, capsys):
    calls = job("train", TRAINED)
    options = ["--run-dir", "out", "--threads", "2", "--dry-run", "--quiet"]
    words = ["train", "a.yaml", "seed=1", *options, "optimizer.learning_rate=1e-2"]
    assert app.run(words) == 0
    assert calls == [
        (
            (Path("a.yaml"), ["seed=1", "optimizer.learning_rate=1e-2"]),
            {
                "resume": None,
                "run_dir": Path("out"),
                "threads": 2,
                "dry_run": True,
                "accept_changed_data": False,
                "plugins": [],
                "folds": None,
                "seeds": None,
                "on_run": None,
            },
        )
    ]


def test_train_ends_with_run_checkpoint_and_test_metrics(job, capsys):
    job("train", TRAINED)
    assert app.run(["train", "a.yaml"]) == 0
    assert capsys.readouterr().out == (
        "run runs/digits/20260131T120000Z-ab12\n"
        "checkpoint runs/digits/x/checkpoints/best.safetensors (best validation/loss 0.0475, epoch 12)\n"
        "test/loss 0.06\n"
        "test/accuracy 0.975\n"
    )


def test_train_without_best_or_test_split(job, capsys):
    checkpoints = {"best": None, "last": "x/last.safetensors"}
    job("train", replace(TRAINED, best=None, checkpoints=checkpoints, metrics={"train/loss": 0.5}))
    assert app.run(["train", "a.yaml"]) == 0
    assert capsys.readouterr().out == (
        "run runs/digits/20260131T120000Z-ab12\ncheckpoint x/last.safetensors\ntrain/loss 0.5\n"
    )


def test_train_that_wrote_nothing(job, capsys):
    job("train", TrainResult(status="usable"))
    assert app.run(["train", "a.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out == "usable\n"


def test_nan_is_null(job, capsys):
    job("train", replace(TRAINED, metrics={"train/loss": float("nan")}))
    assert app.run(["train", "a.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["metrics"] == {"train/loss": None}


@pytest.mark.parametrize("words", ["training.epochs=60", "training.epochs=60 seed=2"])
def test_resume_takes_overrides_only(job, words):
    calls = job("train", TRAINED)
    assert app.run(["train", "--resume", "runs/digits/latest", *words.split()]) == 0
    assert calls[0][0] == (None, words.split())
    assert calls[0][1]["resume"] == Path("runs/digits/latest")


def test_progress_goes_to_stderr(job, capsys):
    def during(on_event):
        on_event(Started(10, {"train": 8}, 4, 1, 2, 2, 1))
        on_event(Epoch(2, 1, 0.5, {"train/loss": 0.5}))
        on_event(Finished("finished", 2, 1, 0.5))

    lines = [
        "training 10 parameters on 8 examples; 1 epoch of 2 steps, batch 4, 1 thread",
        "epoch 1/1  loss 0.5",
        "finished after 2 steps, 0.50 s",
    ]
    job("train", TRAINED, during=during)
    assert app.run(["train", "a.yaml", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == TRAINED.to_json()
    assert captured.err.splitlines() == lines
    assert app.run(["train", "a.yaml", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""


def test_failure_is_printed_once(job, capsys):
    def during(on_event):
        on_event(Started(10, {"train": 8}, 4, 1, 2, 2, 1))
        raise DivergenceError("loss is nan at step 2")

    job("train", TRAINED, during=during)
    assert app.run(["train", "a.yaml", "--quiet"]) == 4
    assert capsys.readouterr() == ("", "loss is nan at step 2\n")
