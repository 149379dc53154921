"""``bp train``: what a run leaves behind and says, from the same seed the same bits."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import (
    WITH_DROPOUT,
    assert_same_state,
    bp,
    epoch_numbers,
    last,
    record,
    rows,
    run_of,
    table,
    write_config,
    write_flowers,
)

from backprop_cli.api.train import train
from backprop_cli.errors import UsageError
from backprop_cli.run.checkpoint import load
from backprop_cli.training.events import Finished, Saved, Started

DROPOUT = {"model": {"layers": WITH_DROPOUT}}


def test_same_configuration_and_seed_same_bits():
    config = write_config(**DROPOUT, schedule="cosine")
    one, first = run_of(config, "one")
    two, second = run_of(config, "two")
    other, third = run_of(config, "other", ["seed=1"])
    assert_same_state(one, two)
    assert epoch_numbers(one) == epoch_numbers(two) != epoch_numbers(other)
    assert first.metrics == second.metrics != third.metrics


def test_the_resolved_configuration_repeats_the_run_from_where_it_lies():
    """Also where early stopping decides which checkpoint is the best: the default is written out."""
    stopping = {"monitor": "validation/accuracy", "patience": 2}
    config = write_config(**DROPOUT, early_stopping=stopping, regularization={"l2": 0.01})
    one, first = run_of(config, "deep/down/one", ["optimizer.learning_rate=0.02"])
    config.unlink()
    two, second = run_of(one / "config.resolved.yaml", "two")
    assert_same_state(one, two)
    assert epoch_numbers(one) == epoch_numbers(two)
    assert (first.metrics, first.best) == (second.metrics, second.best)
    assert first.best.monitor == "validation/accuracy"
    three, _ = run_of(two / "config.resolved.yaml", "three")
    again = (three / "config.resolved.yaml").read_text()
    assert again == (two / "config.resolved.yaml").read_text()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_precision(precision):
    run, _ = run_of(write_config(**DROPOUT, training={"precision": precision}), "run")
    assert {array.dtype.name for array in last(run).tensors.values()} == {precision}


def test_what_a_run_leaves_behind():
    config = write_config(gradient_check={"samples": 2}, log={"every_steps": 4})
    run, result = run_of(config, "run", ["training.epochs=2"])
    assert sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()) == [
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "checkpoints/step-00000004.safetensors",
        "config.resolved.yaml",
        "config.yaml",
        "gradient_check/step-00000000.json",
        "log.txt",
        "metrics.csv",
        "metrics.jsonl",
        "run.json",
    ]
    assert (run / "config.yaml").read_text() == config.read_text()
    assert yaml.safe_load((run / "config.resolved.yaml").read_text())["training"]["epochs"] == 2
    assert [row["event"] for row in rows(run)] == [
        "started",
        "gradient_checked",
        "step",
        "epoch",
        "saved",
        "saved",
        "step",
        "epoch",
        "saved",
        "saved",
        "finished",
    ]
    assert [int(row["step"]) for row in table(run)] == [4, 8]
    assert result.epochs == 2


def test_run_json_tells_how_it_went():
    run, result = run_of(write_config(), "run", ["seed=3", "training.epochs=2"])
    told = record(run)
    assert list(told) == [
        "status",
        "exit_code",
        "reason",
        "name",
        "argv",
        "overrides",
        "seed",
        "start",
        "end",
        "resumed",
        "threads",
        "workers",
        "compiled",
        "environment",
        "data",
        "plugins",
        "from_checkpoint",
        "metrics",
        "best",
        "steps",
        "epochs",
        "seconds",
        "baselines",
        "timings",
    ]
    assert (told["status"], told["exit_code"], told["name"], told["seed"]) == ("finished", 0, "flowers", 3)
    assert told["overrides"] == ["seed=3", "training.epochs=2"]
    assert (told["steps"], told["epochs"], told["resumed"]) == (8, 2, [])
    assert told["metrics"] == result.metrics
    assert told["best"] == result.best.to_json()
    (path,) = told["data"]
    assert path.endswith("flowers.csv")
    assert re.fullmatch("[0-9a-f]{64}", told["data"][path])
    assert told["start"] <= told["end"]
    assert list(told["timings"]) == list(result.timings)


def test_json_is_that_of_the_contract(capsys):
    assert bp("train", write_config(), "--run-dir", "run", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    keys = ["run_dir", "status", "epochs", "steps", "seconds", "metrics", "baselines", "best", "checkpoints", "timings"]
    assert list(found) == keys
    assert (found["run_dir"], found["status"], found["epochs"], found["steps"]) == ("run", "finished", 3, 12)
    assert list(found["metrics"]) == [f"{s}/{m}" for s in ("train", "validation", "test") for m in ("loss", "accuracy")]
    assert list(found["best"]) == ["epoch", "step", "monitor", "value"]
    assert found["best"]["monitor"] == "validation/loss"
    assert found["checkpoints"] == {
        "best": "run/checkpoints/best.safetensors",
        "last": "run/checkpoints/last.safetensors",
    }
    assert len(captured.err.splitlines()) == 5  # started, three epochs, finished


def test_timings_are_parts_of_a_total():
    config = write_config(gradient_check={"samples": 2})
    _, result = run_of(config, "run")
    parts = dict(result.timings)
    total = parts.pop("total")
    assert list(parts) == [
        "configuration",
        "data",
        "training",
        "gradient_check",
        "trace",
        "plan",
        "checkpoints",
        "baselines",
        "other",
    ]
    assert total == pytest.approx(sum(parts.values()), abs=1e-5)
    assert min(parts.values()) > 0
    assert result.seconds < total


def test_timings_of_a_dry_run_and_of_a_command(capsys):
    config = write_config()
    assert list(train(config, dry_run=True).timings) == ["configuration", "data", "trace", "plan", "other", "total"]
    assert bp("train", config, "--dry-run", "--json") == 0
    timings = json.loads(capsys.readouterr().out)["timings"]
    assert list(timings) == ["import", "configuration", "data", "trace", "plan", "other", "total"]
    assert timings["import"] > 0  # since the process began


def test_run_directories_are_new_and_latest_is_the_newest():
    config = write_config(training={"epochs": 1})
    first, second = train(config), train(config)
    assert first.run_dir.parent == second.run_dir.parent == Path("runs/flowers")
    assert first.run_dir != second.run_dir
    assert Path("runs/flowers/latest").resolve() == second.run_dir.resolve()


def test_a_run_directory_that_is_not_empty_is_refused(capsys):
    Path("full").mkdir()
    Path("full/x").touch()
    assert bp("train", write_config(), "--run-dir", "full") == 2
    assert capsys.readouterr().err == (
        "full: is not empty; a run needs a directory of its own, name another --run-dir\n"
    )


def test_a_dry_run_warns_as_the_run_does(capsys):
    config = write_config(
        training={"epochs": 1, "overfit_batches": 1}, optimizer={"type": "adam"}, lookahead={"steps": 9}
    )
    said = []
    for words in (["--dry-run"], ["--run-dir", "run"]):
        assert bp("train", config, *words) == 0
        said.append([line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")])
    assert len(said[0]) == 2
    assert said[0] == said[1][:2]


def test_dry_run_writes_nothing(capsys):
    config = write_config()
    before = sorted(Path().rglob("*"))
    assert bp("train", config, "--dry-run") == 0
    assert sorted(Path().rglob("*")) == before
    assert capsys.readouterr().out == "dry run\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "train: give either a CONFIG or --resume RUN\n"),
        (["flowers.yaml", "--resume", "run"], "train: give either a CONFIG or --resume RUN\n"),
        (
            ["--resume", "run", "--run-dir", "x"],
            "train: --run-dir is for a new run; --resume continues in the run's own directory\n",
        ),
        (
            ["flowers.yaml", "log.tensorboard=true"],
            "override log.tensorboard=true: unknown key; known: every_steps\n1 problem; nothing was run.\n",
        ),
    ],
)
def test_arguments_that_do_not_go_together(words, said, capsys):
    write_config()
    assert bp("train", *words) == 2
    assert capsys.readouterr().err == said


def test_failure_as_json(capsys):
    assert bp("train", "--json") == 2
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "code": 2,
            "kind": "usage",
            "problems": [{"message": "train: give either a CONFIG or --resume RUN"}],
        }
    }


def test_threads_are_those_asked_for():
    run, _ = run_of(write_config(), "run", threads=2)
    assert record(run)["threads"] == 2
    run, _ = run_of(write_config(), "small")
    assert record(run)["threads"] == 1  # by rule: the network is small


def test_threads_are_those_asked_for_of_a_process_that_begins_with_one():
    command = [sys.executable, "-m", "backprop_cli", "train", str(write_config()), "--run-dir", "run"]
    subprocess.run([*command, "--threads", "2", "--quiet"], check=True, capture_output=True)
    assert record(Path("run"))["environment"]["blas"]["threads"] == 2


def test_no_epochs_write_the_initial_weights_as_the_last_checkpoint():
    run, result = run_of(write_config(), "run", ["training.epochs=0"])
    longer, _ = run_of(write_config(), "longer", ["training.epochs=1", "optimizer.learning_rate=1e-30"])
    assert (result.status, result.epochs, result.steps, result.best) == ("finished", 0, 0, None)
    assert result.checkpoints == {"best": None, "last": "run/checkpoints/last.safetensors"}
    for name, array in last(run).tensors.items():
        if not name.startswith("optimizer."):
            np.testing.assert_allclose(last(longer).tensors[name], array, atol=1e-25)
    assert sorted(result.metrics) == sorted(
        f"{split}/{metric}" for split in ("train", "validation", "test") for metric in ("loss", "accuracy")
    )


def test_max_steps():
    run, result = run_of(write_config(), "run", ["training.max_steps=6"])
    assert (result.status, result.epochs, result.steps) == ("finished", 1, 6)
    assert [(row["epoch"], row["partial"]) for row in rows(run, "epoch")] == [(1, False), (2, True)]
    (stopped,) = rows(run, "stopped")
    assert stopped == {"event": "stopped", "step": 6, "epoch": 2, "reason": "max_steps: 6 steps are done"}


def test_max_seconds_is_a_normal_end(capsys):
    config = write_config()
    words = ["training.max_seconds=1e-3", "training.epochs=1000000", "checkpoint.every_epochs=none"]
    assert bp("train", config, *words, "--run-dir", "run") == 0
    assert re.search(r"stopped in epoch \d+, step \d+: max_seconds: 0.001 s are over\n", capsys.readouterr().err)


def test_events_reach_the_listener_in_order():
    events = []
    run_of(write_config(training={"epochs": 1}), "run", on_event=events.append)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert [(event.kind, event.step) for event in events if isinstance(event, Saved)] == [("last", 4), ("best", 4)]


def test_data_generated_needs_no_file():
    config = write_config(data={"source": None, "target": None})
    tree = yaml.safe_load(config.read_text())
    tree["data"] = {"generate": {"type": "spiral", "examples": 60}}
    config.write_text(yaml.safe_dump(tree))
    one, _ = run_of(config, "one")
    two, _ = run_of(one / "config.resolved.yaml", "two")
    assert_same_state(one, two)


def test_the_record_says_which_data_it_was():
    config = write_config()
    one, _ = run_of(config, "one")
    write_flowers(seed=1)
    two, _ = run_of(config, "two")
    assert record(one)["data"] != record(two)["data"]


def test_train_as_a_python_call_names_what_is_wrong():
    with pytest.raises(UsageError):
        train()


def test_the_best_checkpoint_is_that_of_the_best_epoch():
    config = write_config(optimizer={"type": "sgd", "learning_rate": 20.0}, training={"epochs": 8})
    run, result = run_of(config, "run")
    values = [row["validation/loss"] for row in rows(run, "epoch")]
    lowest = int(np.argmin(values))
    assert lowest < 7
    assert result.best.to_json() == {
        "epoch": lowest + 1,
        "step": 4 * (lowest + 1),
        "monitor": "validation/loss",
        "value": values[lowest],
    }
    best = load(run / "checkpoints" / "best.safetensors")
    assert best.metadata["state"]["step"] == 4 * (lowest + 1)
    assert result.metrics["validation/loss"] == values[lowest]


def test_balanced_class_weights_are_those_of_the_train_split():
    config = write_config(loss={"type": "cross_entropy", "class_weight": "balanced"})
    balanced, result = run_of(config, "balanced")
    weights = last(balanced).metadata["class_weights"]
    named = ", ".join(f"{name}: {weight!r}" for name, weight in zip("abc", weights, strict=True))
    by_name, same = run_of(config, "named", [f"loss.class_weight={{{named}}}"])
    plain, other = run_of(config, "plain", ["loss.class_weight=none"])
    assert_same_state(balanced, by_name)
    assert result.metrics == same.metrics != other.metrics
    assert last(plain).metadata["class_weights"] is None
    assert len(set(weights)) > 1
