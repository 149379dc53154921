"""Defaults of the sections checkpoint, log and run, and the record of the machine."""

import platform

import numpy as np
import pytest
from pydantic import ValidationError

from backprop_cli.run.environment import differences, environment
from backprop_cli.run.settings import CheckpointSettings, LogSettings, RunSettings


def test_defaults():
    assert CheckpointSettings().model_dump() == {
        "every_epochs": 1,
        "every_steps": None,
        "keep_last": 2,
        "keep_best": 1,
        "monitor": "validation/loss",
    }
    assert LogSettings().model_dump() == {"every_steps": None}
    assert RunSettings().model_dump() == {"directory": "runs"}


def test_a_configuration_of_an_earlier_version_is_read():
    assert LogSettings.model_validate({"every_steps": 5, "tensorboard": False}) == LogSettings(every_steps=5)


def test_none_switches_off():
    assert CheckpointSettings(every_epochs="none").every_epochs is None


@pytest.mark.parametrize("wrong", [{"every_steps": 0}, {"keep_last": -1}, {"keep_best": 1.5}, {"every": 1}])
def test_bounds(wrong):
    with pytest.raises(ValidationError):
        CheckpointSettings(**wrong)


def test_environment():
    found = environment()
    assert list(found) == ["bp", "python", "numpy", "blas", "platform", "processor", "cpus"]
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["blas"] is None or found["blas"]["threads"] >= 1


def test_what_decides_the_same_bits():
    now = environment()
    assert differences(now, now) == []
    assert differences({**now, "python": "2.7", "cpus": 1024, "platform": "CP/M"}, now) == []
    older = {key: value for key, value in now.items() if key != "processor"}
    assert differences({**older, "blas": None}, now) == []  # nothing was noted
    assert differences({**now, "processor": "an abacus"}, now) == [
        f"the processor was an abacus and is {now['processor']}"
    ]
    assert differences({"blas": {"architecture": "Haswell"}}, {"blas": {"architecture": "Zen"}}) == [
        "the kernel of BLAS was Haswell and is Zen"
    ]
