"""The ready configurations, trained for a few steps, in C."""

import ctypes

import pytest
from c_support import STRICT
from test_c_networks import compiled, self_test

import backprop_cli
from backprop_cli.errors import UsageError
from backprop_cli.execution.compiler import has_compiler

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")]

SMALL = ["training.epochs=1", "training.max_steps=3", "gradient_check=none"]
READY = {
    "airline": ["jacobian"],
    "breast_cancer": ["jacobian", "hessian-vector", "training"],
    "california_housing": ["jacobian", "training"],
    "digits_autoencoder": ["training"],
    "digits_conv": ["jacobian", "training"],
    "diabetes": ["jacobian", "training"],
    "linear_regression": ["jacobian", "training"],
    "logistic_regression": ["jacobian", "training"],
    "names_gru": [],
    "names_lstm": [],
    "penguins": ["jacobian", "hessian-vector", "training"],
    "residual": ["jacobian"],
    "skip": ["jacobian", "training"],
    "spiral": ["jacobian"],
    "sunspots": ["jacobian", "training"],
    "xor": ["hessian-vector"],
}


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "float32") for name in READY), *((name, "float64") for name in ("digits_conv", "penguins", "sunspots"))],
)
def test_a_ready_configuration(name, precision, tmp_path, pytestconfig):
    config = pytestconfig.rootpath / "configs" / f"{name}.yaml"
    run = backprop_cli.train(config, SMALL, run_dir=tmp_path / "run").run_dir
    batch = 4 if {"hessian-vector", "training"} & set(READY[name]) else None
    backprop_cli.export(run, tmp_path / "net.c", parts=READY[name], precision=precision, batch=batch)
    assert "largest relative difference" in self_test(tmp_path / "net.c", "-O1")


def test_what_cannot_be_exported_is_named(tmp_path, pytestconfig):
    configs = pytestconfig.rootpath / "configs"
    airline = backprop_cli.train(configs / "airline.yaml", SMALL, run_dir=tmp_path / "airline").run_dir
    names = backprop_cli.train(configs / "names_gru.yaml", SMALL, run_dir=tmp_path / "names").run_dir
    with pytest.raises(UsageError, match="--with training: lbfgs reads the whole train split in each step"):
        backprop_cli.export(airline, tmp_path / "net.c", parts=["training"])
    with pytest.raises(UsageError, match="--with jacobian: the network reads tokens, which have no derivative"):
        backprop_cli.export(names, tmp_path / "net.c", parts=["jacobian"])
    assert not list(tmp_path.glob("net.*"))


def test_the_texts_of_tokens_are_those_of_the_data(tmp_path, pytestconfig):
    names = backprop_cli.train(pytestconfig.rootpath / "configs" / "names_gru.yaml", SMALL, run_dir=tmp_path / "run")
    backprop_cli.export(names.run_dir, tmp_path / "net.c")
    assert "extern const char *const net_vocabulary[27];" in (tmp_path / "net.h").read_text()
    flags = ["-Wconversion", "-fPIC", "-shared"]
    compiled(tmp_path / "net.c", *STRICT, *flags, "-o", "net.so")
    found = (ctypes.c_char_p * 27).in_dll(ctypes.CDLL(str(tmp_path / "net.so")), "net_vocabulary")
    assert [text.decode() for text in found] == ["\n", *"abcdefghijklmnopqrstuvwxyz"]
