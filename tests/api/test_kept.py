"""Which checkpoints a run keeps, which model it means, and that everyone means the same."""

from pathlib import Path

import numpy as np
import pytest
from api_support import WITH_DROPOUT, last, record, rows, run_of, write_config

from backprop_cli.api.eval import evaluate
from backprop_cli.run.checkpoint import load
from backprop_cli.training.events import Warned

JUMPY = {"optimizer": {"type": "sgd", "learning_rate": 20.0}, "training": {"epochs": 8}}
"""A learning rate at which the best epoch is not the last."""


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def step_of(run: Path, name: str) -> int:
    return load(run / "checkpoints" / name).metadata["state"]["step"]


@pytest.mark.parametrize(
    "case",
    ["plain", "early stopping", "last weights", "no best", "no validation", "regression", "average", "lookahead"],
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_metrics_of_a_run_are_exactly_those_of_eval(case, precision):
    more = {
        "plain": {"model": {"layers": WITH_DROPOUT}},
        "early stopping": {"early_stopping": {"monitor": "validation/accuracy", "patience": 2}},
        "last weights": {"early_stopping": {"patience": 2, "restore_best": False}},
        "no best": {"checkpoint": {"keep_best": 0}},
        "average": {"average": {"type": "swa", "from_epoch": 3, "every": 2}, "checkpoint": {"keep_best": 0}},
        "lookahead": {"average": {"type": "ema", "decay": 0.9}, "lookahead": {}},
        "no validation": {"data": {"split": {"validation": 0}}},
        "regression": {
            "data": {"target": "y", "features": ["x", "kind"], "transform": {"target": "standardize"}},
            "model": {"layers": [{"type": "dense", "units": 1}]},
            "loss": "mean_squared_error",
            "optimizer": {"learning_rate": 0.1},
        },
    }[case]
    settings = {**JUMPY, **more} | {"training": {"epochs": 8, "precision": precision}}
    run, result = run_of(write_config(**settings), "run")
    for split in ("train", "validation", "test"):
        expected = {name: value for name, value in result.metrics.items() if name.startswith(f"{split}/")}
        if expected:
            assert {f"{split}/{name}": v for name, v in evaluate(run, split=split).metrics.items()} == expected
    assert record(run)["metrics"] == result.metrics
    assert (result.checkpoints["best"] is None) == (case in ("last weights", "no best", "average"))


def test_the_best_weights_are_restored_or_the_last_ones_kept():
    stopping = {"patience": 3}
    best, first = run_of(write_config(**JUMPY, early_stopping=stopping), "best")
    values = [row["validation/loss"] for row in rows(best, "epoch")]
    lowest = int(np.argmin(values))
    assert lowest < len(values) - 1
    assert first.metrics["validation/loss"] == values[lowest]
    assert step_of(best, "best.safetensors") == first.best.step == 4 * (lowest + 1)
    assert step_of(best, "last.safetensors") == 4 * len(values)
    final, second = run_of(write_config(**JUMPY, early_stopping={**stopping, "restore_best": False}), "final")
    assert second.metrics["validation/loss"] == values[-1]
    assert "best.safetensors" not in names(final)
    assert second.best == first.best  # it is told all the same
    np.testing.assert_array_equal(last(final).tensors["dense_1.weight"], last(best).tensors["dense_1.weight"])


def test_what_is_best_where_more_is_better():
    config = write_config(**JUMPY, checkpoint={"monitor": "validation/accuracy"})
    run, result = run_of(config, "run")
    values = [row["validation/accuracy"] for row in rows(run, "epoch")]
    assert result.best.value == max(values)
    assert result.best.epoch == int(np.argmax(values)) + 1  # the first of equals


def test_mode_turns_it_round():
    config = write_config(early_stopping={"monitor": "validation/loss", "mode": "max", "patience": 9})
    run, result = run_of(config, "run")
    assert result.best.value == max(row["validation/loss"] for row in rows(run, "epoch"))


def test_numbered_checkpoints_are_the_ones_before_the_last():
    run, _ = run_of(write_config(training={"epochs": 5}, checkpoint={"keep_last": 3, "keep_best": 0}), "run")
    assert names(run) == [
        "last.safetensors",
        "step-00000008.safetensors",
        "step-00000012.safetensors",
        "step-00000016.safetensors",
    ]
    assert step_of(run, "last.safetensors") == 20
    assert step_of(run, "step-00000012.safetensors") == 12


def test_none_numbered():
    run, _ = run_of(write_config(checkpoint={"keep_last": 0, "keep_best": 0}), "run")
    assert names(run) == ["last.safetensors"]


def test_every_steps():
    run, _ = run_of(
        write_config(checkpoint={"every_steps": 5, "every_epochs": None, "keep_last": 9, "keep_best": 0}), "run"
    )
    assert names(run) == ["last.safetensors", "step-00000005.safetensors", "step-00000010.safetensors"]
    assert [(row["step"], row["kind"]) for row in rows(run, "saved")] == [(5, "last"), (10, "last"), (12, "last")]
    middle = load(run / "checkpoints" / "step-00000005.safetensors")
    assert (middle.metadata["state"]["epoch"], middle.metadata["state"]["position"]) == (2, 12)
    assert middle.tensors["epoch.predictions"].shape == (12, 3)
    assert "epoch.predictions" not in last(run).tensors


def test_a_checkpoint_of_the_middle_of_an_epoch_can_be_evaluated():
    run, _ = run_of(write_config(checkpoint={"every_steps": 5, "every_epochs": None, "keep_best": 0}), "run")
    assert evaluate(run / "checkpoints" / "step-00000005.safetensors").examples == 9


def test_several_best():
    settings = {"optimizer": {"learning_rate": 0.01}, "training": {"epochs": 5}}  # each epoch is better than before
    run, _ = run_of(write_config(**settings, checkpoint={"keep_best": 3, "keep_last": 0}), "run")
    assert names(run) == ["best-2.safetensors", "best-3.safetensors", "best.safetensors", "last.safetensors"]
    assert [step_of(run, name) for name in names(run)] == [16, 12, 20, 20]


def test_no_best_is_newer_than_the_last():
    """An interrupted run goes on from the last; a best beyond it would belong to no run."""
    run, _ = run_of(write_config(checkpoint={"every_epochs": None}), "run")
    kinds = [(row["step"], row["kind"]) for row in rows(run, "saved")]
    assert kinds == [(4, "last"), (4, "best"), (8, "last"), (8, "best"), (12, "last"), (12, "best")]


def test_saved_when_it_ends_whatever_the_settings():
    run, result = run_of(write_config(checkpoint={"every_epochs": 100, "keep_best": 0}), "run")
    assert step_of(run, "last.safetensors") == 12
    assert result.checkpoints == {"best": None, "last": "run/checkpoints/last.safetensors"}


def test_nothing_to_restore_is_told():
    warnings = []

    def listen(event):
        if isinstance(event, Warned):
            warnings.append(event.message)

    def told(name, **stopping) -> list[str]:
        warnings.clear()
        config = write_config(early_stopping=stopping, checkpoint={"keep_best": 0}, training={"epochs": 1})
        run_of(config, name, on_event=listen)
        return list(warnings)

    assert told("asked", restore_best=True) == [
        "flowers.yaml:19:17: early_stopping.restore_best: checkpoint.keep_best is 0, so there is no best "
        "checkpoint to restore and the last weights are kept; set checkpoint.keep_best: 1"
    ]
    assert told("by default", patience=2) == []
    assert told("not asked", restore_best=False) == []


def test_a_run_with_an_average_starts_from_another_runs_weights():
    first, _ = run_of(write_config(), "first")
    starting = {"model": {"from_checkpoint": {"path": "first"}}, "training": {"epochs": 0}}
    averaged = {**starting, "average": "ema", "lookahead": {}}
    begun, _ = run_of(write_config(**averaged), "begun")
    weights, found = load(first / "checkpoints" / "best.safetensors").tensors, last(begun).tensors
    for name in ("dense_1.weight", "dense_2.bias"):
        for prefix in ("", "training.", "lookahead."):
            np.testing.assert_array_equal(found[prefix + name], weights[name])
