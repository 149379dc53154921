"""Augmented training: only batches of training are changed, and a resumed run sees the same images."""

from pathlib import Path

import numpy as np
import pytest
from api_support import EVERY_STEP, assert_same_state, bp, last, run_of, stop_at, write_config

from backprop_cli.api.train import train
from backprop_cli.errors import InterruptionError

AUGMENT = {"shift": 1, "flip": "horizontal", "rotate": 15, "noise": 0.05, "cutout": 2}


@pytest.fixture
def config() -> Path:
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(40, 1, 6, 6))
    np.savez("images.npz", x=x, y=(x[:, 0, :3].sum((1, 2)) > x[:, 0, 3:].sum((1, 2))).astype(int))
    return write_config(
        data={
            "source": "images.npz",
            "target": "y",
            "transform": {"numeric": "none"},
            "augment": AUGMENT,
            "split": {"validation": 0.25, "test": 0},
        },
        model={
            "layers": [
                "flatten",
                {"type": "dense", "units": 8},
                {"type": "dropout", "rate": 0.2},
                {"type": "dense", "units": 2},
            ]
        },
        training={"epochs": 4, "batch_size": 7},
        gradient_check={},
    )


def test_it_changes_training_and_nothing_else(config, capsys):
    plain, _ = run_of(config, "plain", ["data.augment=none"])
    run, result = run_of(config, "run")
    again, _ = run_of(config, "again")
    assert_same_state(run, again)
    assert not np.array_equal(last(run).tensors["dense_1.weight"], last(plain).tensors["dense_1.weight"])
    assert last(run).metadata["state"]["random"] == last(plain).metadata["state"]["random"]  # dropout draws as ever
    assert bp("eval", run, "--split", "train", "--require", f"loss<={result.metrics['train/loss'] + 1e-9}") == 0


@pytest.mark.parametrize("overrides", [[], ["training.accumulate=2"]])
def test_a_resumed_run_sees_the_same_images(config, overrides):
    run_of(config, "whole", overrides)
    with pytest.raises(InterruptionError):
        train(
            config,
            [*overrides, f"log={{every_steps: {EVERY_STEP['every_steps']}}}"],
            run_dir=Path("cut"),
            on_event=stop_at(6),
        )
    train(resume=Path("cut"))
    assert_same_state(Path("whole"), Path("cut"))


def test_examples_that_are_no_images(config, capsys):
    text = config.read_text().replace("type: dense, units: 8", "type: dense, units: 8")
    config.write_text(text + "name: flat\n")
    assert bp("validate", config, "model.input=[36]") == 2
    assert "data.augment: is for images, examples of [channels, height, width]" in capsys.readouterr().err
    assert bp("validate", config, "data.augment={shift: 6}") == 2
    assert "must be at most 5: an image has 6 x 6 pixels" in capsys.readouterr().err
