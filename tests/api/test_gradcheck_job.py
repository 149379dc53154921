"""``bp gradcheck``: of configurations, checkpoints and runs, and of all that is registered."""

import json
import re

import numpy as np
import pytest
from api_support import WITH_DROPOUT, bp, run_of, write_config
from numeric_derivatives import check_scalar

from backprop_cli import autodiff as ad
from backprop_cli.api.gradcheck import gradcheck
from backprop_cli.autodiff import OPS

SMOOTH = {"model": {"layers": WITH_DROPOUT}, "regularization": {"l1": 0.01, "l2": 0.1}}


def test_of_a_configuration(capsys):
    assert bp("gradcheck", write_config(**SMOOTH), "--samples", "all", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["passed", "target", "method", "dtype", "tolerance", "checks"]
    assert (found["passed"], found["target"], found["dtype"]) == (True, "flowers.yaml", "float64")
    assert {check["verdict"] for check in found["checks"]} == {"PASS"}
    assert all(check["checked"] == check["size"] for check in found["checks"])


def test_of_a_run_and_its_checkpoint():
    run, _ = run_of(write_config(**SMOOTH), "run")
    best = run / "checkpoints" / "best.safetensors"
    assert gradcheck(run).to_json() == gradcheck(best).to_json()
    assert gradcheck(run).target == str(best)
    assert gradcheck(run).passed
    assert gradcheck(run).checks[0].worst != gradcheck("flowers.yaml").checks[0].worst  # at its own weights


def test_shapes_in_the_configuration_need_no_data():
    config = write_config(model={"input": [2]}, data={"source": "nowhere.csv"})
    assert gradcheck(config).passed


def test_settings_are_the_configurations_unless_given():
    config = write_config(gradient_check={"samples": 2, "tolerance": 1e-4})
    report = gradcheck(config)
    assert report.tolerance == 1e-4
    assert {len(check.entries) for check in report.checks} == {2}
    report = gradcheck(config, samples=3, tolerance=1e-3)
    assert report.tolerance == 1e-3
    assert {len(check.entries) for check in report.checks} == {3}
    assert gradcheck(config, ["gradient_check.samples=1"]).checks[0].entries


@pytest.mark.parametrize(
    "loss", [{"type": "cross_entropy", "class_weight": "balanced", "label_smoothing": 0.1}, "cross_entropy"]
)
def test_class_weights_are_in_it(loss):
    assert gradcheck(write_config(loss=loss), samples="all").passed


def test_a_wrong_rule_is_named_and_ends_with_3(monkeypatch, capsys):
    right = OPS["tanh"].partials
    monkeypatch.setattr(OPS["tanh"], "partials", lambda self, x, *, out: (1.001 * right(self, x, out=out)[0],))
    assert bp("gradcheck", write_config(**SMOOTH), "--samples", "all", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert not found["passed"]
    assert {(check["name"], check["kind"]): check["verdict"] for check in found["checks"]} == {
        ("dense_1.weight", "parameter"): "FAIL",
        ("dense_1.bias", "parameter"): "FAIL",
        ("dense_2.weight", "parameter"): "PASS",
        ("dense_2.bias", "parameter"): "PASS",
        ("dense_1.weight", "regularization"): "PASS",
        ("dense_2.weight", "regularization"): "PASS",
    }
    (rule,) = found["rules"]
    assert (rule["name"], rule["kind"], rule["verdict"]) == ("dense_1: tanh by operand 0", "rule", "FAIL")
    assert len(rule["worst"]["index"]) == 2
    assert bp("gradcheck", "flowers.yaml", "--samples", "all") == 3
    shown = capsys.readouterr().out
    wrong = next(line.split() for line in shown.splitlines() if line.startswith("dense_1: tanh by operand 0"))
    assert float(wrong[-1]) == pytest.approx(1e-3, rel=0.01)
    assert shown.splitlines()[-1] == (
        "FAIL: 2 of 6 checks wrong, 69 of 69 entries judged (method auto, float64, tolerance 1e-05)"
    )


@pytest.mark.parametrize(("tolerance", "shown"), [("0", "0"), ("-1", "-1"), ("nan", "nan"), ("inf", "inf")])
def test_a_tolerance_that_is_none(tolerance, shown, capsys):
    assert bp("gradcheck", "--tolerance", tolerance) == 2
    assert capsys.readouterr().err == f"gradcheck: the tolerance must be a number greater than 0, got {shown}\n"


def test_what_cannot_be_checked(capsys):
    assert bp("gradcheck", "nowhere.yaml") == 2
    assert capsys.readouterr().err == "nowhere.yaml: no such file\n1 problem; nothing was run.\n"
    assert bp("gradcheck", "nowhere") == 5
    assert capsys.readouterr().err == (
        "nowhere: no such file or directory; expected a configuration (.yaml), a checkpoint (.safetensors) or a run "
        "directory\n"
    )
    write_config()
    assert bp("gradcheck", "flowers.csv") == 5
    assert capsys.readouterr().err == (
        "flowers.csv: is a table, expected a checkpoint or a run; name that first, such as runs/NAME/latest, then the "
        "data\n"
    )


TINY = {"model": {"layers": [{"type": "dense", "units": 3, "activation": "tanh"}]}}


@pytest.mark.slow
def test_it_tells_how_far_it_is():
    told = []
    linear = write_config(model={"layers": [{"type": "dense", "units": 3}]})
    score = gradcheck(linear, method="adjoint", mutate=True, on_progress=lambda *now: told.append(now)).mutants
    assert {what for what, _, _ in told} == {"broken rules"}  # adjoint checks no entries
    assert [done for _, done, _ in told] == list(range(len(told)))
    assert {total for _, _, total in told} == {len(told)}
    assert len(told) >= score.total  # some change no number

    told.clear()
    gradcheck(write_config(**TINY), samples=2, on_progress=lambda *now: told.append(now))
    assert told == [("entries", done, 4) for done in range(4)]


@pytest.mark.slow
def test_broken_rules_of_a_network(capsys):
    assert bp("gradcheck", write_config(**TINY), "--mutate", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mutants"]["killed"] == found["mutants"]["total"] > 50
    assert found["mutants"]["survivors"] == []


@pytest.mark.slow
def test_a_method_that_does_not_notice_all_says_no(capsys):
    assert bp("gradcheck", write_config(**TINY), "--mutate", "--method", "adjoint") == 3
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("not noticed: tanh: partials, node 1 (subtract): ") for line in shown)
    assert shown[-1] == (
        "FAIL: 2 checks passed, but not every broken rule is noticed (method adjoint, float64, tolerance 1e-12 of the "
        "gradient's length)"
    )


@pytest.mark.parametrize("method", ["central", "complex", "adjoint", "taylor", "projection", "auto"])
def test_by_every_method_and_of_either_order(method):
    config = write_config(**SMOOTH)
    for order in (1, 2):
        report = gradcheck(config, method=method, order=order)
        assert report.passed
        assert report.method == method


def test_the_method_is_the_configurations_unless_given():
    config = write_config(gradient_check={"method": "taylor"})
    assert gradcheck(config).method == "taylor"
    assert gradcheck(config, method="central").method == "central"


def test_a_method_that_there_is_not(capsys):
    for target in ([], [write_config()]):
        assert bp("gradcheck", *target, "--method", "taylr") == 2
        assert capsys.readouterr().err == "unknown method 'taylr'; did you mean 'taylor'?\n"


@pytest.mark.parametrize("words", [["--method", "nope"], ["--order", "3"], ["--samples", "0"], ["--tolerance", "-1"]])
def test_what_cannot_be_is_told_before_anything_is_read(words, capsys):
    assert bp("gradcheck", "nowhere.yaml", *words) == 2
    said = capsys.readouterr().err
    assert "nowhere.yaml" not in said
    assert bp("gradcheck", *words) == 2
    assert capsys.readouterr().err == said


def test_an_unknown_method(capsys):
    assert bp("gradcheck", "nowhere.yaml", "--method", "nope") == 2
    assert capsys.readouterr().err == (
        "unknown method 'nope'; known: adjoint, auto, central, complex, projection, taylor\n"
    )


ON_A_KINK = {
    "model": {
        "layers": [
            {"type": "dense", "units": 4, "activation": "relu", "initializer": "zeros"},
            {"type": "dense", "units": 3},
        ]
    }
}


def test_what_could_not_be_judged(capsys):
    config = write_config(**ON_A_KINK)
    assert bp("gradcheck", config, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (weight,) = [check for check in found["checks"] if check["name"] == "dense_1.weight"]
    assert (weight["verdict"], weight["checked"], weight["judged"]) == ("KINK", 8, 0)
    assert "dense_1.weight" in found["unjudged"]
    checked, judged = (sum(check[key] for check in found["checks"]) for key in ("checked", "judged"))
    assert bp("gradcheck", config) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"PASS: 4 checks, {judged} of {checked} entries judged (method auto, float64, tolerance 1e-05)"
    assert bp("gradcheck", config, "--strict", "--json") == 3
    assert json.loads(capsys.readouterr().out)["passed"] is False
    assert bp("gradcheck", config, "--strict") == 3
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"FAIL: no entry of {len(found['unjudged'])} checks could be judged, and --strict asks for that; {judged} of "
        f"{checked} entries judged (method auto, float64, tolerance 1e-05)"
    )
    assert bp("gradcheck", write_config(**SMOOTH), "--strict") == 0


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [
        ("taylor", r"tolerance 0\.1 of the rate"),
        ("adjoint", r"tolerance 1e-12 of the gradient's length"),
        ("projection", r"tolerance \d\.\d+e-\d+ of the gradient's length"),
        ("central", r"tolerance 1e-05"),
    ],
)
def test_the_tolerance_that_is_applied(method, tolerance, capsys):
    assert bp("gradcheck", write_config(), "--method", method) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        rf"PASS: \d checks?, (\d+) of \1 entries judged \(method {method}, float64, {tolerance}\)", last
    )


def test_a_derivative_that_rounding_hides_is_not_judged():
    """1e-14 beside a loss of 1: no method may say that it is right."""
    x = ad.input_("x", (1,))
    scalar = ad.sum(1e-14 * ad.sin(x)) + 1.0
    for method in ("central", "taylor", "projection"):
        (found, *_) = check_scalar(scalar, {"x": x}, {"x": np.ones(1)}, name="f", kind="op", method=method)
        assert (found.verdict, found.judged) == ("TINY", 0), method
