"""``bp gradcheck`` without a target: everything registered is checked, and a wrong rule of any kind is found."""

import pytest

from backprop_cli.autodiff import OPS
from backprop_cli.checks.registered import check_registered
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES


@pytest.fixture(scope="module")
def report():
    return check_registered()


def test_everything_is_right(report):
    assert report.passed
    assert report.target == "everything registered"
    assert {check.verdict for check in report.checks} <= {"PASS", "TINY", "KINK"}


def test_nothing_registered_is_left_out(report):
    named = {check.name.partition(" by ")[0] for check in report.checks}
    expected = {f"activation {name}" for name in ACTIVATIONS} | {f"layer {name}" for name in LAYERS}
    expected |= {f"loss {name}" for name in LOSSES}
    expected |= {f"op {name}" for name, op in OPS.items() if not op.blocks_gradient and name != "one_hot"}
    missing = expected - named
    assert not missing
    assert all(len(check.entries) > 0 for check in report.checks)


def test_same_seed_same_numbers(report):
    assert check_registered().to_json() == report.to_json()


def test_a_wrong_rule_shows_in_its_op_and_in_all_that_use_it(monkeypatch):
    right = OPS["tanh"].partials
    monkeypatch.setattr(OPS["tanh"], "partials", lambda self, x, *, out: (1.001 * right(self, x, out=out)[0],))
    report = check_registered()
    assert not report.passed
    wrong = {check.name for check in report.checks if check.verdict == "FAIL"}
    assert {"op tanh by operand 0", "activation tanh by x"} <= wrong
    assert "op exp by operand 0" not in wrong
    assert report.checks[0].verdict == "FAIL"
