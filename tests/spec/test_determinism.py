"""The same configuration, data and seed give the same bits, however often a run is ended and resumed."""

import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import backprop_cli
from backprop_cli.errors import InterruptionError


def weights(run):
    return load_file(Path(run, "checkpoints", "last.safetensors"))


def same_bits(run, other):
    one, two = weights(run), weights(other)
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_the_same_seed_gives_the_same_bits(bp):
    for run in ("one", "two"):
        bp("train", "flowers.yaml", "--run-dir", run)
    assert same_bits("one", "two")


def test_another_seed_gives_another_network(bp):
    for seed in (1, 2):
        bp("train", "flowers.yaml", f"seed={seed}", "--run-dir", f"seed-{seed}")
    assert not same_bits("seed-1", "seed-2")


def test_the_resolved_configuration_alone_repeats_the_run(bp):
    bp("train", "flowers.yaml", "optimizer.learning_rate=0.01", "--run-dir", "run")
    bp("train", "run/config.resolved.yaml", "--run-dir", "again")
    assert same_bits("run", "again")


def test_a_run_in_two_pieces_ends_as_the_run_in_one(bp):
    bp("train", "flowers.yaml", "--run-dir", "whole")
    bp("train", "flowers.yaml", "training.epochs=7", "--run-dir", "pieces")
    bp("train", "--resume", "pieces", "training.epochs=20")
    assert same_bits("whole", "pieces")


def test_ctrl_c_saves_and_the_resumed_run_has_the_bits_of_one_that_was_not_interrupted(bp):
    def ctrl_c(event):
        if getattr(event, "epoch", 0) == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptionError) as ended:
        backprop_cli.train("flowers.yaml", run_dir=Path("stopped"), on_event=ctrl_c)
    assert ended.value.exit_code == 130
    assert "bp train --resume stopped" in str(ended.value)
    assert bp("train", "--resume", "stopped").code == 0
    bp("train", "flowers.yaml", "--run-dir", "whole")
    assert same_bits("stopped", "whole")
