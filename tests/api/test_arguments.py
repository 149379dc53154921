"""What all functions of the API accept: paths as text, and one value in place of a sequence of one."""

from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from api_support import write_config

import backprop_cli
from backprop_cli.errors import ConfigError, UsageError

FUNCTIONS = [getattr(backprop_cli, name) for name in backprop_cli.__all__ if name != "__version__"]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_path_may_be_text(function):
    """By annotation; mypy finds a body that takes less. A sequence or a path may also be a single value."""
    for parameter in signature(function).parameters.values():
        assert "Path" not in parameter.annotation or "Path | str" in parameter.annotation, parameter
        if parameter.annotation.startswith("Sequence["):
            assert hasattr(function, "__wrapped__"), f"{function.__name__} is not @one_or_many"


def test_every_path_as_text_is_that_path():
    config = str(write_config())
    run = backprop_cli.train(config, run_dir="run").run_dir
    assert run == Path("run")
    assert backprop_cli.train(resume="run", overrides="training.epochs=4").epochs == 4
    assert backprop_cli.find_lr(resume="run").steps
    assert backprop_cli.evaluate("run", data="flowers.csv").examples == 60
    assert backprop_cli.predict("run", "flowers.csv", "predicted.jsonl") == 60
    assert Path("predicted.jsonl").read_text().startswith('{"prediction"')
    with pytest.raises(UsageError, match="is the input"):
        backprop_cli.predict("run", "flowers.csv", "flowers.csv")
    found = backprop_cli.jacobian("run", "flowers.csv", rows=[2], output="j.npz")
    assert found.output == Path("j.npz") and Path("j.npz").exists()
    np.save("v.npy", np.ones(backprop_cli.show("run").trainable))
    assert backprop_cli.jacobian("run", hvp=Path("v.npy")).vector == backprop_cli.jacobian("run", hvp="v.npy").vector


def test_one_value_stands_for_a_sequence_of_one():
    config = write_config()
    assert backprop_cli.train(config, "training.epochs=1", run_dir="run").epochs == 1
    assert backprop_cli.validate(config, overrides="training.epochs=1").steps == 4
    assert backprop_cli.evaluate("run", require="accuracy>=0").requirements[0].met
    with pytest.raises(ConfigError, match="no such file"):
        backprop_cli.list_types(plugins=Path("mine.py"))
    with pytest.raises(ConfigError, match="override epochs: expected KEY=VALUE"):
        backprop_cli.train(config, "epochs")


def test_none_stands_for_an_empty_sequence():
    config = write_config()
    assert backprop_cli.train(config, None, run_dir="run", plugins=None).epochs == 3
    assert backprop_cli.validate(config, overrides=None).steps == 12
    assert backprop_cli.show("run", None) == backprop_cli.show("run")
    assert backprop_cli.evaluate("run", overrides=None, require=None).requirements == ()


def test_too_many_arguments_are_an_error_of_the_function():
    with pytest.raises(TypeError, match=r"validate\(\) takes .* but 3 were given"):
        backprop_cli.validate("a.yaml", (), "more")


def test_rows_may_be_numbers():
    write_config()
    backprop_cli.train("flowers.yaml", run_dir="run")
    rows = [backprop_cli.jacobian("run", "flowers.csv", rows=given).data.rows for given in ([3], ["3"], 3, "3")]
    assert rows == [rows[0]] * 4
    assert backprop_cli.jacobian("run", "flowers.csv", rows=[2, 3]).data.rows == [2, 3]
