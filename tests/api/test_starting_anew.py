"""What a run remembers of one quantity is never compared with another: it starts anew, and says so."""

import json
from pathlib import Path

import pytest
from api_support import assert_same_state, bp, last, record, resumed, rows, run_of, stop_at, write_config

from backprop_cli.api.eval import evaluate
from backprop_cli.api.train import train
from backprop_cli.errors import InterruptionError
from backprop_cli.run.checkpoint import Checkpoint, load, save

SLOW = {
    "data": {"target": "y", "features": ["x", "kind"], "transform": {"numeric": "none"}},
    "model": {"layers": [{"type": "dense", "units": 1, "initializer": "zeros"}]},
    "loss": "mean_squared_error",
    "optimizer": {"type": "sgd", "learning_rate": 0.002},
    "training": {"epochs": 4},
}
"""Every epoch is better than the one before, in all metrics; losses are below their roots where both are below 1."""
LOSS, ROOT = "validation/loss", "validation/root_mean_squared_error"
OTHER = f"{ROOT} is monitored instead of {LOSS}"


def values(run: Path, metric: str) -> list[float]:
    return [row[metric] for row in rows(run, "epoch")]


def assert_as_eval(run: Path, metrics) -> None:
    for split in ("train", "validation", "test"):
        for name, value in evaluate(run, split=split).metrics.items():
            assert metrics[f"{split}/{name}"] == value


def test_the_best_by_another_monitor():
    run, first = run_of(write_config(**SLOW), "run")
    assert first.best is not None
    result, told = resumed(run, f"checkpoint.monitor={ROOT}", "training.epochs=8")
    assert told == [f"the best so far starts anew: {OTHER}"]
    found = values(run, ROOT)
    assert found == sorted(found, reverse=True)
    best = {"epoch": 8, "step": last(run).metadata["state"]["step"], "monitor": ROOT, "value": found[-1]}
    assert result.best is not None
    assert result.best.to_json() == record(run)["best"] == best
    assert load(run / "checkpoints/best.safetensors").metadata["state"]["epoch"] == 9
    assert_as_eval(run, result.metrics)


def test_no_value_stands_under_another_name_before_there_is_one():
    run, _ = run_of(write_config(**SLOW), "run")
    result, _ = resumed(run, f"checkpoint.monitor={ROOT}")
    assert (result.best, record(run)["best"]) == (None, None)
    assert_as_eval(run, result.metrics)


def test_several_best_are_of_one_monitor():
    run, _ = run_of(write_config(**SLOW, checkpoint={"keep_best": 3}), "run")
    resumed(run, f"checkpoint.monitor={ROOT}", "training.epochs=5")
    names = {path.name for path in (run / "checkpoints").glob("*best*")}
    assert names == {"best.safetensors", *(f"superseded-best{n}.safetensors" for n in ("", "-2", "-3"))}


def test_early_stopping_by_another_monitor():
    config = write_config(**SLOW, early_stopping={"patience": 3})
    run, _ = run_of(config, "run")
    monitors = (f"early_stopping.monitor={ROOT}", f"checkpoint.monitor={ROOT}")
    result, told = resumed(run, *monitors, "training.epochs=12")
    assert told == [f"the best so far and early stopping start anew: {OTHER}"]
    assert result.epochs == 12
    assert result.best.epoch == 12


def test_the_schedule_by_another_monitor_keeps_its_drops():
    plateau = {"type": "plateau", "patience": 0, "factor": 0.5, "min_delta": 100.0}
    run, _ = run_of(write_config(**SLOW, schedule=plateau), "run")
    rates = values(run, "learning_rate")
    assert rates == [0.002, 0.002, 0.001, 0.0005]
    _, told = resumed(run, f"schedule.monitor={ROOT}", "schedule.min_delta=0", "training.epochs=9")
    assert told == [f"the schedule starts anew: {OTHER}"]
    assert values(run, "learning_rate")[4:] == [0.00025] * 5


def test_another_direction():
    run, _ = run_of(write_config(**SLOW, early_stopping={"patience": 9}), "run")
    result, told = resumed(run, "early_stopping.mode=max", "training.epochs=6")
    assert told == [f"the best so far and early stopping start anew: higher values of {LOSS} are better now"]
    assert result.best.epoch == 5


def test_a_metric_that_is_computed_in_another_way():
    monitor = "validation/top_k_accuracy"
    config = write_config(metrics=[{"type": "top_k_accuracy", "k": 2}], checkpoint={"monitor": monitor})
    run, _ = run_of(config, "run")
    result, told = resumed(run, "metrics=[{type: top_k_accuracy, k: 1}]", "training.epochs=4")
    assert told == [f"the best so far starts anew: {monitor} is computed with other settings now"]
    assert result.best.epoch == 4
    assert resumed(run, "metrics=[accuracy, {type: top_k_accuracy, k: 1}]", "training.epochs=5")[1] == []


def test_the_penalty_where_it_is_monitored():
    monitor = "train/regularization"
    run, _ = run_of(write_config(regularization={"l2": 0.1}, checkpoint={"monitor": monitor}), "run")
    _, told = resumed(run, "regularization.l2=0.2", "training.epochs=4")
    assert told == [f"the best so far starts anew: {monitor} is computed with other settings now"]


def test_the_objective_of_a_full_batch_method():
    config = write_config(optimizer={"type": "lbfgs", "learning_rate": 1.0}, regularization={"l2": 0.1})
    config.write_text(config.read_text().replace("  batch_size: 12\n", ""))
    run, _ = run_of(config, "run")
    _, told = resumed(run, "regularization.l2=0.5", "training.epochs=40")
    assert told[0] == "the optimizer starts anew: the objective is computed with other settings now"
    straight, _ = run_of(config, "straight", ["regularization.l2=0.5", "training.epochs=80"])
    assert values(run, "train/loss")[-1] == pytest.approx(values(straight, "train/loss")[-1], rel=1e-3)


def test_settings_that_change_no_quantity_restart_nothing():
    run, _ = run_of(write_config(**SLOW, early_stopping={"patience": 2, "min_delta": 9.0}), "run")
    result, told = resumed(run, "early_stopping.patience=4", "training.epochs=9")
    assert told == []
    assert result.epochs == 5  # one with a value, four without a better one


def test_what_nothing_reads_is_forgotten():
    """Early stopping that was off for a while does not go on with a count of epochs before that."""
    run, _ = run_of(
        write_config(**SLOW, early_stopping={"patience": 3, "min_delta": 9.0}), "run", ["training.epochs=3"]
    )
    resumed(run, "early_stopping=none", "training.epochs=5")
    assert "early_stopping" not in last(run).metadata["state"]["memory"]
    again = (f"early_stopping={{monitor: {LOSS}, patience: 3, min_delta: 9.0}}", "training.epochs=20")
    assert resumed(run, *again)[0].epochs == 9


def test_a_kept_best_has_the_metrics_that_eval_has():
    jumpy = {"optimizer": {"type": "sgd", "learning_rate": 20.0}, "training": {"epochs": 8}}
    run, first = run_of(write_config(**jumpy), "run")
    assert first.best.epoch < 8
    result, told = resumed(run, "metrics=[f1]", "training.epochs=9", threads=2)
    assert (result.best, told) == (first.best, [])
    assert_as_eval(run, result.metrics)
    assert list(result.metrics) == list(first.metrics)


def test_no_best_where_none_is_kept():
    run, _ = run_of(write_config(**SLOW), "run")
    result, _ = resumed(run, "checkpoint.keep_best=0", "training.epochs=5")
    assert (result.best, result.checkpoints["best"]) == (None, None)
    assert (run / "checkpoints/superseded-best.safetensors").exists()
    assert_as_eval(run, result.metrics)
    result, told = resumed(run, "checkpoint.keep_best=1", "training.epochs=6")
    assert (result.best.epoch, told) == (6, [])


def test_a_best_without_a_file_is_looked_for_anew():
    jumpy = {"optimizer": {"type": "sgd", "learning_rate": 20.0}, "training": {"epochs": 8}}
    stopping = {"patience": 20, "restore_best": False}
    run, first = run_of(write_config(**jumpy, early_stopping=stopping), "run")
    result, told = resumed(run, "early_stopping.restore_best=true", "training.epochs=9")
    assert told == [
        f"the best checkpoint so far, of step {first.best.step}, is gone: the best is chosen among later ones"
    ]
    assert result.best.epoch == 9
    assert_as_eval(run, result.metrics)


def older(path: Path) -> None:
    """As a checkpoint was written that does not say what its memory is of."""
    checkpoint = load(path)
    state = {key: value for key, value in checkpoint.metadata["state"].items() if key != "measures"}
    metadata = {key: value for key, value in checkpoint.metadata.items() if key != "accepted_data"}
    metadata = {key: value for key, value in metadata.items() if key not in ("format_version", "sha256")}
    save(path, Checkpoint(checkpoint.tensors, {**metadata, "state": state}))


def test_memory_without_a_name_is_that_of_the_stored_configuration():
    config = write_config(**SLOW, log={"every_steps": 1})
    straight, whole = run_of(config, "straight")
    with pytest.raises(InterruptionError):
        train(config, run_dir=Path("broken"), on_event=stop_at(6))
    older(Path("broken/checkpoints/last.safetensors"))
    result, told = resumed(Path("broken"))
    assert (told, result.best, result.metrics) == ([], whole.best, whole.metrics)
    assert_same_state(Path("broken"), straight)
    older(straight / "checkpoints/last.safetensors")
    _, told = resumed(straight, f"checkpoint.monitor={ROOT}", "training.epochs=5")
    assert told == [f"the best so far starts anew: {OTHER}"]


def test_measures_that_are_none(capsys):
    run, _ = run_of(write_config(), "run")
    path = run / "checkpoints/last.safetensors"
    checkpoint = load(path)
    state = json.loads(json.dumps(checkpoint.metadata["state"]))
    for wrong in (
        {"best": 3},
        {"best": {"name": 3}},
        [],
        {"best": {"name": 1, "better": "", "settings": {}, "data": []}},
    ):
        save(path, checkpoint._replace(metadata={"": 0, **checkpoint.metadata, "state": {**state, "measures": wrong}}))
        assert bp("train", "--resume", run, "training.epochs=5") == 5
        assert "the state in it cannot be read" in capsys.readouterr().err
