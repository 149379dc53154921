"""``bp gradcheck`` without a target: everything registered is checked, and a wrong rule of any kind is found."""

import math
from itertools import product

import numpy as np
import pytest

from backprop_cli.autodiff import OPS
from backprop_cli.checks.formulas import check_initializers, check_optimizers
from backprop_cli.checks.registered import check_registered, op_objectives
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.average import AVERAGES
from backprop_cli.nn.initializer import INITIALIZERS
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.optimizer import OPTIMIZERS


@pytest.fixture(scope="module")
def report():
    return check_registered()


@pytest.mark.slow  # the tests of ops, layers, losses and activations check each gradient once already
def test_everything_is_right(report):
    assert report.passed
    assert report.target == "everything registered"
    assert {check.verdict for check in report.checks} <= {"PASS", "TINY", "KINK"}


@pytest.mark.slow
def test_nothing_registered_is_left_out(report):
    named = {check.name.partition(" by ")[0] for check in report.checks}
    expected = {f"activation {name}" for name in ACTIVATIONS} | {f"layer {name}" for name in LAYERS}
    expected |= {f"loss {name}" for name in LOSSES}
    expected |= {f"optimizer {name}" for name in OPTIMIZERS} | {f"average {name}" for name in AVERAGES}
    expected |= {f"initializer {name}" for name in INITIALIZERS}
    expected |= {f"op {name}" for name, op in OPS.items() if not op.blocks_gradient and name != "one_hot"}
    missing = expected - named
    assert not missing
    assert all(len(check.entries) > 0 for check in report.checks)


def test_ops_are_checked_at_the_edges_of_their_shapes():
    shapes = {}
    for objective in op_objectives(np.random.default_rng(0)):
        for tensor in objective.tensors:
            shapes.setdefault(tensor.name, set()).add(tensor.shape)
    assert {(), (1,), (1, 1), (0,), (1, 12), (12, 1)} - shapes["op add by operand 0"] == {(1,), (0,)}
    assert {(0, 0), (1, 1), (1, 4), (3, 1), (0, 4)} <= shapes["op matmul by operand 0"]
    assert {(1, 12), (12, 1)} <= shapes["op reshape by operand 0"]
    for name, found in shapes.items():
        assert any(math.prod(shape) == 1 for shape in found) or name.startswith(("op reshape", "op slice")), name
        assert len(found) > 1, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "order"),
    [("auto", 2), *product(("central", "complex", "adjoint", "taylor", "projection"), (1, 2))],
)
def test_by_every_other_method_and_order(method, order):
    found = check_registered(method=method, order=order)
    assert found.passed
    assert {check.verdict for check in found.checks} <= {"PASS", "KINK", "TINY"}


def test_a_wrong_optimizer_is_found(monkeypatch):
    right = OPTIMIZERS["adam"].scalars
    monkeypatch.setattr(OPTIMIZERS["adam"], "scalars", lambda self, step: right(self, step + 1))
    wrong = {check.name for check in check_optimizers(np.random.default_rng(0)) if check.verdict == "FAIL"}
    assert wrong == {"optimizer adam", "optimizer adam 2"}  # without and with amsgrad


@pytest.mark.parametrize("factor", [1.1, 0.9, 2**0.5])
def test_a_wrong_scale_is_found(monkeypatch, factor):
    right = INITIALIZERS["he_normal"].sample
    monkeypatch.setattr(INITIALIZERS["he_normal"], "sample", lambda self, *x: factor * right(self, *x))
    wrong = {check.name for check in check_initializers(np.random.default_rng(0)) if check.verdict == "FAIL"}
    assert wrong == {"initializer he_normal"}


def test_same_seed_same_numbers():
    kinds = (OPS, ACTIVATIONS, LAYERS, LOSSES, OPTIMIZERS, INITIALIZERS)
    some = {kind.plural: list(kind)[::18] for kind in kinds}
    first, again = (check_registered(method="adjoint", only=some).to_json() for _ in range(2))
    assert first == again
    assert check_registered(method="adjoint", only=some, seed=1).to_json() != first


def test_a_wrong_rule_shows_in_its_op_and_in_all_that_use_it(monkeypatch):
    right = OPS["tanh"].partials
    monkeypatch.setattr(OPS["tanh"], "partials", lambda self, x, *, out: (1.001 * right(self, x, out=out)[0],))
    some = {"ops": ("exp", "tanh"), "activations": ("elu", "tanh"), "layers": ("layer_norm", "rnn")}
    report = check_registered(only=some)
    assert not report.passed
    wrong = {check.name.partition(" by ")[0] for check in report.checks if check.verdict == "FAIL"}
    assert wrong == {"op tanh", "activation tanh", "layer rnn"}
    assert report.checks[0].verdict == "FAIL"
