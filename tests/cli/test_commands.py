"""Each command passes what it was given to its job and shows what the job returns."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from backprop_cli.api.eval import Confusion, EvalResult
from backprop_cli.api.export import ExportResult
from backprop_cli.api.show import ShowResult
from backprop_cli.api.validate import ValidateResult
from backprop_cli.checks.requirements import Requirement
from backprop_cli.checks.result import Check, CheckedEntry, Report, Score
from backprop_cli.cli import app
from backprop_cli.inspection.network_figures import LayerFigures, MemoryFigures


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")


EVALUATED = EvalResult(
    checkpoint=Path("best.safetensors"),
    split="test",
    examples=270,
    metrics={"loss": 0.06, "accuracy": 0.975},
    confusion=Confusion(["no", "yes"], [[100, 2], [5, 163]]),
)


def test_eval(job, tmp_path, capsys):
    checkpoint = tmp_path / "checkpoints" / "best.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    calls = job("eval", EVALUATED, "evaluate")
    words = ["eval", str(tmp_path), "seed=1", "--data", "new.csv", "--confusion", "--require", "accuracy>=0.9"]
    assert app.run(words) == 0
    options = {"split": "test", "data": Path("new.csv"), "require": ["accuracy>=0.9"], "confusion": True}
    unused = {"bootstrap": None, "accept_changed_data": False, "plugins": []}
    assert calls == [((checkpoint, ["seed=1"]), {**options, **unused})]
    captured = capsys.readouterr()
    assert captured.err == f"checkpoint {checkpoint}\n"
    assert captured.out == (
        "270 examples\n"
        "test/loss 0.06\n"
        "test/accuracy 0.975\n"
        "\n"
        "true \\ predicted   no  yes\n"
        "no                100    2\n"
        "yes                 5  163\n"
    )


def test_eval_requirement_not_met(job, tmp_path, capsys):
    (tmp_path / "model.safetensors").touch()
    judged = Requirement.parse("accuracy>=0.99", "test").judge({"accuracy": 0.975})
    job("eval", replace(EVALUATED, requirements=(judged,)), "evaluate")
    assert app.run(["eval", str(tmp_path / "model.safetensors"), "--require", "accuracy>=0.99", "--json"]) == 3
    captured = capsys.readouterr()
    assert captured.err == "not met: accuracy is 0.975, required >= 0.99\n"
    missed = {"requirement": "accuracy>=0.99", "value": 0.975, "met": False}
    problem = {"message": "accuracy is 0.975, required >= 0.99", **missed}
    assert json.loads(captured.out) == {
        "error": {"code": 3, "kind": "check", "problems": [problem]},
        "checkpoint": "best.safetensors",
        "split": "test",
        "examples": 270,
        "metrics": {"loss": 0.06, "accuracy": 0.975},
        "requirements": [missed],
        "confusion": {"classes": ["no", "yes"], "counts": [[100, 2], [5, 163]]},
    }


def test_eval_without_checkpoint(job, tmp_path, capsys):
    job("eval", EVALUATED, "evaluate")
    assert app.run(["eval", str(tmp_path / "x")]) == 5
    assert capsys.readouterr().err == (
        f"{tmp_path}/x: no such file or directory; expected a checkpoint (.safetensors) or a run directory\n"
    )


def test_predict(job, tmp_path):
    model = tmp_path / "model.safetensors"
    model.touch()
    calls = job("predict", None)
    assert app.run(["predict", str(model), "new.csv", "-o", "out.npz", "--proba", "--format", "npz"]) == 0
    assert app.run(["predict", str(model), "-"]) == 0
    assert app.run(["predict", str(model), "a.csv", "b.csv", "--keep", 'id,"a, b"', "--threshold", "0.2"]) == 0
    none = {"input_format": None, "plugins": [], "keep": [], "threshold": None}
    kept = {**none, "keep": ["id", "a, b"], "threshold": 0.2}
    assert calls == [
        ((model, [Path("new.csv")], Path("out.npz")), {**none, "format": "npz", "proba": True}),
        ((model, sys.stdin.buffer, sys.stdout.buffer), {**none, "format": None, "proba": False}),
        ((model, [Path("a.csv"), Path("b.csv")], sys.stdout.buffer), {**kept, "format": None, "proba": False}),
    ]


def test_predict_reads_a_pipe_but_not_a_terminal(job, tmp_path, monkeypatch, capsys):
    model = tmp_path / "model.safetensors"
    model.touch()
    calls = job("predict", None)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert app.run(["predict", str(model)]) == 0
    assert calls[0][0][1] is sys.stdin.buffer
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert app.run(["predict", str(model)]) == 2
    assert capsys.readouterr().err == "predict: INPUT is missing; name a file, or - for standard input\n"


def report(*verdicts, **more):
    """A report with a check of each verdict, at 32 of 640 entries."""
    checks = []
    for number, verdict in enumerate(verdicts, start=1):
        entries = [CheckedEntry((0, 1), 0.5, 0.5 + 1e-8, verdict), *[CheckedEntry((0, 2), 0.25, 0.25, verdict)] * 31]
        checks.append(Check(f"dense_{number}.weight", "parameter", (10, 64), tuple(entries)))
    return Report("a.yaml", 1e-5, tuple(checks), 1.5, "central", **more)


def test_gradcheck(job, capsys):
    calls = job("gradcheck", report("PASS", "KINK"))
    words = ["gradcheck", "a.yaml", "seed=1", "--samples", "all", "--method", "central", "--tolerance", "1e-4"]
    assert app.run(words) == 0
    options = {"method": "central", "order": 1, "samples": "all", "tolerance": 1e-4, "mutate": False, "strict": False}
    options |= {"plugins": [], "on_progress": ANY}
    assert calls == [((Path("a.yaml"), ["seed=1"]), options)]
    assert capsys.readouterr().out == (
        "name            kind       shape     checked  relative error  absolute error  verdict\n"
        "dense_1.weight  parameter  [10, 64]  32/640            2e-08           1e-08  PASS\n"
        "dense_2.weight  parameter  [10, 64]  32/640            2e-08           1e-08  KINK\n"
        "\n"
        "PASS: 2 checks, 32 of 64 entries judged (method central, float64, tolerance 1e-05)\n"
    )


def test_gradcheck_wrong(job, capsys):
    result = report("FAIL", "NONFINITE", "PASS")
    calls = job("gradcheck", result)
    assert app.run(["gradcheck"]) == 3
    options = {"method": None, "order": 1, "samples": None, "tolerance": None, "mutate": False, "strict": False}
    options |= {"plugins": [], "on_progress": ANY}
    assert calls == [((None, []), options)]
    assert capsys.readouterr().out.endswith(
        "\n\n"
        "wrong           kind       index   analytic  numeric     relative error\n"
        "dense_1.weight  parameter  [0, 1]  0.5       0.50000001           2e-08\n"
        "dense_2.weight  parameter  [0, 1]  0.5       0.50000001           2e-08\n"
        "\n"
        "FAIL: 2 of 3 checks wrong, 96 of 96 entries judged (method central, float64, tolerance 1e-05)\n"
    )
    assert app.run(["gradcheck", "--json", "--samples", "5"]) == 3
    assert json.loads(capsys.readouterr().out) == result.to_json()
    assert calls[1][1]["samples"] == 5


def test_gradcheck_mutate(job, capsys):
    score = Score(1234, 1233, ("tanh: vjp, node 2 (multiply): sign",))
    calls = job("gradcheck", report("PASS", mutants=score))
    assert app.run(["gradcheck", "--mutate", "--order", "2"]) == 3
    assert (calls[0][1]["mutate"], calls[0][1]["order"]) == (True, 2)
    assert capsys.readouterr().out.endswith(
        "\n\n"
        "not noticed: tanh: vjp, node 2 (multiply): sign\n"
        "1,233 of 1,234 broken rules noticed\n"
        "\n"
        "FAIL: 1 check passed, but not every broken rule is noticed (method central, float64, tolerance 1e-05)\n"
    )


def test_show(job, capsys):
    result = ShowResult(
        [LayerFigures("dense_1", "dense", ["input"], [64], 4160, 4096)],
        4160,
        4160,
        MemoryFigures(16640, 33280, 2048, 1024),
        {"status": "finished", "metrics": {"test/accuracy": 0.975}},
    )
    calls = job("show", result)
    assert app.run(["show", "runs/digits/latest"]) == 0
    assert calls == [((Path("runs/digits/latest"), []), {"plugins": []})]
    assert capsys.readouterr().out == (
        "layer    type   inputs  output  parameters  multiplications\n"
        "dense_1  dense  input   [64]         4,160            4,096\n"
        "\n"
        "parameters                 4,160\n"
        "trainable                  4,160\n"
        "memory of parameters       16.6 kB\n"
        "memory of optimizer        33.3 kB\n"
        "memory of a training step  2.0 kB\n"
        "least it could be          1.0 kB\n"
        "\n"
        "run.status                 finished\n"
        "run.metrics.test/accuracy  0.975\n"
    )
    assert app.run(["show", "x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "layers": [
            {
                "name": "dense_1",
                "type": "dense",
                "inputs": ["input"],
                "output_shape": [64],
                "parameters": 4160,
                "multiplications": 4096,
            }
        ],
        "parameters": 4160,
        "trainable": 4160,
        "bytes": {"parameters": 16640, "optimizer": 33280, "plan": 2048, "plan_lower_bound": 1024},
        "run": {"status": "finished", "metrics": {"test/accuracy": 0.975}},
    }


def validated(classes):
    return ValidateResult(
        examples={"train": 1257}, input_shape=(2,), classes=classes, parameters=12, steps=80, warnings=["a warning"]
    )


def test_export(job, tmp_path, capsys):
    checkpoint = tmp_path / "best.safetensors"
    checkpoint.touch()
    files = [Path("net.c"), Path("net.h")]
    counts = {"predict": 112, "jacobian": 1}
    calls = job("export", ExportResult(checkpoint, "c", files, "float32", {"static": 80, "constants": 1804}, counts))
    words = ["export", str(checkpoint), "-o", "net.c", "--with", "jacobian", "--with", "training", "--batch", "8"]
    assert app.run(words) == 0
    options = {"to": None, "parts": ["jacobian", "training"], "precision": None, "weights": None, "batch": 8}
    assert calls == [((checkpoint, Path("net.c")), {**options, "plugins": []})]
    assert capsys.readouterr().out == (
        "wrote net.c\n"
        "wrote net.h\n"
        "static     80 B\n"
        "constants  1.8 kB\n"
        "predict    112 multiplications\n"
        "jacobian   1 multiplication\n"
    )


def test_validate(job, capsys):
    calls = job("validate", validated(None))
    assert app.run(["validate", "a.yaml", "seed=1"]) == 0
    assert calls == [(("a.yaml", ["seed=1"]), {})]
    captured = capsys.readouterr()
    assert captured.err == "warning: a warning\n"
    assert captured.out.splitlines() == [
        "valid           yes",
        "examples.train  1,257",
        "input_shape     2",
        "classes         -",
        "parameters      12",
        "steps           80",
    ]


def test_tokens_that_could_not_be_seen_are_quoted(job, capsys):
    job("validate", validated(["\n", " ", " a", "a", 3]))
    assert app.run(["validate", "a.yaml"]) == 0
    assert "classes         '\\n', ' ', ' a', a, 3\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["eval", "predict", "jacobian", "show", "explain", "gradcheck", "train", "schema"])
def test_plugins_are_passed_on(job, tmp_path, command):
    target = tmp_path / "model.safetensors"
    target.touch()
    module = {"schema": "config_schema"}.get(command, command)
    calls = job(module, None, "evaluate" if command == "eval" else None)
    words = [] if command == "schema" else [target] if command != "train" else ["--resume", tmp_path]
    sink = ["-"] if command == "predict" else []
    app.run([command, *map(str, words), *sink, "--plugins", "a.py", "--plugins", "b/c.py"])
    assert calls[0][1]["plugins"] == [Path("a.py"), Path("b/c.py")]


def test_list_kinds(capsys):
    assert app.run(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kind", "number"]
    assert [line.split()[0] for line in lines[1:]][:3] == ["layers", "activations", "losses"]


def test_list_kind_and_page(capsys):
    assert app.run(["list", "layer"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("layers\n")
    assert re.search(r"^dense +Affine map out = activation\(x @ weight.T \+ bias\).$", out, re.MULTILINE)
    assert app.run(["list", "layers", "dropout"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("dropout (layers)\n\n")
    assert "\nrate      number >= 0, < 1      0.5      " in out


def test_list_json(capsys):
    assert app.run(["list", "losses", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "losses"
    assert "cross_entropy" in [entry["name"] for entry in found["entries"]]
    assert app.run(["list", "losess", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "code": 2,
            "kind": "usage",
            "problems": [{"message": "unknown kind 'losess'; did you mean 'losses'?"}],
        }
    }


def test_schema(job, capsys):
    calls = job("config_schema", {"$schema": "https://json-schema.org/draft/2020-12/schema"})
    assert app.run(["schema"]) == 0
    assert calls == [((), {"plugins": []})]
    assert json.loads(capsys.readouterr().out)["$schema"].endswith("2020-12/schema")
