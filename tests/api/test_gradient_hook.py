"""The gradient check inside training: it leaves the run as it is, and a wrong rule does not get far."""

import json
from pathlib import Path

import pytest
from api_support import WITH_DROPOUT, assert_same_state, bp, epoch_numbers, record, rows, run_of, write_config

from backprop_cli.api.train import train
from backprop_cli.autodiff import OPS
from backprop_cli.errors import CheckError
from backprop_cli.training.events import Step


@pytest.fixture
def wrong_tanh(monkeypatch):
    """tanh's derivative is off by a thousandth."""
    right = OPS["tanh"].partials
    monkeypatch.setattr(OPS["tanh"], "partials", lambda self, x, *, out: (1.001 * right(self, x, out=out)[0],))


def test_a_run_with_checks_is_that_without_bit_for_bit():
    network = {"model": {"layers": WITH_DROPOUT}, "training": {"epochs": 3, "batch_size": 5, "accumulate": 2}}
    without, plain = run_of(write_config(**network), "without")
    config = write_config(**network, gradient_check={"every_steps": 2, "samples": "all", "adjoint_every_steps": 1})
    checked, result = run_of(config, "checked")
    assert_same_state(checked, without)
    assert epoch_numbers(checked) == epoch_numbers(without)
    assert result.metrics == plain.metrics
    steps = [0, 2, 4, 6, 8, 10, 12, 14]
    assert [row["step"] for row in rows(checked, "gradient_checked")] == steps
    assert [row["passed"] for row in rows(checked, "gradient_checked")] == [True] * 8
    files = sorted((checked / "gradient_check").iterdir())
    assert [path.name for path in files] == [f"step-{step:08d}.json" for step in steps]
    told = json.loads(files[1].read_text())
    assert list(told) == ["step", "seconds", "passed", "target", "method", "dtype", "tolerance", "checks"]
    assert (told["step"], told["passed"], told["target"]) == (2, True, "step 2")
    assert {check["name"] for check in told["checks"]} == {
        "dense_1.weight",
        "dense_1.bias",
        "dense_2.weight",
        "dense_2.bias",
    }
    assert all(check["checked"] == check["size"] for check in told["checks"])


def test_not_at_the_start():
    run, _ = run_of(write_config(gradient_check={"at_start": False, "every_steps": 5}), "run")
    assert [row["step"] for row in rows(run, "gradient_checked")] == [5, 10]


def test_off_unless_asked_for():
    run, _ = run_of(write_config(), "run")
    assert rows(run, "gradient_checked") == []
    assert not (run / "gradient_check").exists()


def test_max_seconds(capsys):
    assert bp("train", write_config(gradient_check={"max_seconds": 1e-9}), "--run-dir", "run") == 0
    run = Path("run")
    told = "warning: the gradient check of step 0 checked no entry within max_seconds: 1e-09"
    assert told in capsys.readouterr().err.splitlines()
    told = json.loads((run / "gradient_check" / "step-00000000.json").read_text())
    assert {(check["checked"], check["verdict"]) for check in told["checks"]} == {(0, "TINY")}


def test_a_check_ends_in_time():
    layers = [{"type": "dense", "units": 300, "activation": "tanh"}, {"type": "dense", "units": 3}]
    config = write_config(model={"layers": layers}, gradient_check={"samples": "all", "max_seconds": 0.2})
    run, _ = run_of(config, "run")
    (checked,) = rows(run, "gradient_checked")
    assert 0.1 < checked["seconds"] < 1.0
    told = json.loads((run / "gradient_check" / "step-00000000.json").read_text())
    assert all(check["checked"] > 0 for check in told["checks"])  # in turns, so that none is left out
    assert sum(check["checked"] for check in told["checks"]) < sum(check["size"] for check in told["checks"])


def test_a_wrong_rule_stops_the_run(wrong_tanh, capsys):
    config = write_config(gradient_check={"samples": "all"})
    assert bp("train", config, "--run-dir", "run", "--json") == 3
    captured = capsys.readouterr()
    path = Path("run/gradient_check/step-00000000.json")
    told = json.loads(path.read_text())
    assert not told["passed"]
    worst = told["checks"][0]
    assert (worst["verdict"], worst["name"].partition(".")[0]) == ("FAIL", "dense_1")
    at = ", ".join(map(str, worst["worst"]["index"]))
    message = (
        f"gradient check failed at step 0: {worst['name']}[{at}]: the program's gradient is "
        f"{worst['worst']['analytic']:.10g}, the loss's slope {worst['worst']['numeric']:.10g} (relative error "
        f"{worst['max_relative_error']:.2e}, tolerance 1e-05); "
        f"the rule of dense_1: tanh by operand 0 is wrong; see {path}"
    )
    assert captured.err.splitlines()[-1] == message
    assert json.loads(captured.out) == {
        "error": {"code": 3, "kind": "check", "problems": [{"message": message}]},
        "run_dir": "run",
        "status": "failed",
    }
    assert (record(Path("run"))["status"], record(Path("run"))["exit_code"]) == ("failed", 3)
    assert rows(Path("run"), "epoch") == []
    assert Path("run/checkpoints/last.safetensors").exists()
    assert [rule["name"] for rule in told["rules"]] == ["dense_1: tanh by operand 0"]
    assert worst["max_relative_error"] == pytest.approx(0.001, rel=0.01)


def test_a_wrong_rule_stops_the_run_where_it_is_checked_first(wrong_tanh):
    config = write_config(gradient_check={"at_start": False, "every_steps": 6, "samples": "all"})
    steps = []
    with pytest.raises(Exception, match="gradient check failed at step 6: dense_1"):
        train(config, run_dir=Path("run"), on_event=lambda e: steps.append(e.step) if isinstance(e, Step) else None)
    assert {4, 6} <= set(steps) <= set(range(1, 7))  # the end of an epoch, and the step that the check asked for


def test_a_wrong_rule_is_only_told_where_that_is_asked_for(wrong_tanh, capsys):
    config = write_config(gradient_check={"samples": "all", "on_failure": "warn", "every_steps": 5})
    assert bp("train", config, "--run-dir", "run") == 0
    said = capsys.readouterr().err
    for step in (0, 5, 10):
        assert f"GRADIENTS ARE WRONG at step {step}: " in said
        assert f"warning: gradient check failed at step {step}: dense_1." in said
    assert record(Path("run"))["status"] == "finished"
    assert [row["passed"] for row in rows(Path("run"), "gradient_checked")] == [False] * 3


def test_a_looser_tolerance_lets_it_pass(wrong_tanh):
    run_of(write_config(gradient_check={"samples": "all", "tolerance": 0.01}), "run")


def test_relu_at_its_kink_stops_no_run():
    layers = [
        {"type": "dense", "units": 6, "activation": "relu", "initializer": "zeros"},
        {"type": "dense", "units": 3},
    ]
    config = write_config(model={"layers": layers}, gradient_check={"samples": "all", "every_steps": 4})
    run, result = run_of(config, "run")
    told = json.loads((run / "gradient_check" / "step-00000000.json").read_text())
    assert {check["verdict"] for check in told["checks"]} <= {"KINK", "PASS"}
    assert result.status == "finished"


@pytest.mark.parametrize("method", ["central", "complex", "adjoint", "taylor", "projection"])
def test_by_every_method(method):
    run, _ = run_of(write_config(gradient_check={"method": method}), "run")
    told = json.loads((run / "gradient_check" / "step-00000000.json").read_text())
    assert (told["method"], told["passed"]) == (method, True)


def test_in_float64_whatever_the_training_is_in():
    config = write_config(model={"layers": WITH_DROPOUT}, gradient_check={"every_steps": 4, "method": "complex"})
    run, _ = run_of(config, "run")
    for path in (run / "gradient_check").iterdir():
        told = json.loads(path.read_text())
        assert told["dtype"] == "float64"
        assert max(check["max_relative_error"] for check in told["checks"]) < 1e-9


def test_the_adjoint_residual_is_a_metric():
    run, _ = run_of(write_config(gradient_check={"at_start": False, "adjoint_every_steps": 3}), "run")
    measured = rows(run, "measured")
    assert [row["step"] for row in measured] == [3, 6, 9, 12]
    assert all(0 <= row["adjoint_residual"] < 1e-14 for row in measured)
    assert rows(run, "gradient_checked") == []


def test_an_adjoint_residual_that_is_too_large_is_told(monkeypatch, capsys):
    right = OPS["tanh"].jvp
    monkeypatch.setattr(OPS["tanh"], "jvp", lambda self, *rule: right(self, *rule) * 1.001)
    config = write_config(gradient_check={"at_start": False, "adjoint_every_steps": 5})
    assert bp("train", config, "--run-dir", "run") == 0
    (first, second) = rows(Path("run"), "measured")
    assert min(first["adjoint_residual"], second["adjoint_residual"]) > 1e-7
    assert (
        f"warning: forward and reverse mode differ at step 5: adjoint residual {first['adjoint_residual']:.1e}, "
        "expected at most 1e-09; `bp gradcheck run` finds the wrong rule\n"
    ) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "rule", "words"),
    [
        ("taylor", "partials", r"\w+\.\w+: the rate expected of the remainder is 2, the measured one [\d.]+ "),
        ("adjoint", "jvp", r"\w+\.\w+\[[\d, ]+\]: reverse mode's derivative is \S+, forward mode's "),
        ("auto", "jvp", r"\w+\.\w+\[[\d, ]+\]: forward mode's gradient is \S+, the loss's slope "),
        ("projection", "partials", r"\w+\.\w+\[[\d, ]+\]: the program's gradient is \S+, the loss's slope "),
    ],
)
def test_the_message_says_what_the_method_compares(monkeypatch, method, rule, words):
    right = getattr(OPS["tanh"], rule)

    def wrong(self, *x, **more):
        found = right(self, *x, **more)
        return (1.001 * found[0],) if isinstance(found, tuple) else 1.001 * found

    monkeypatch.setattr(OPS["tanh"], rule, wrong)
    config = write_config(gradient_check={"method": method})
    with pytest.raises(CheckError, match=f"^gradient check failed at step 0: {words}"):
        train(config, run_dir=Path("run"))
