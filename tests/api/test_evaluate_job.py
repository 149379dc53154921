"""``bp eval``: splits, other data, requirements, confusion, and checkpoints that are none."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, known_run, run_of, write_config, write_flowers

from backprop_cli.api.eval import evaluate
from backprop_cli.api.predict import predict
from backprop_cli.checks.requirements import Requirement
from backprop_cli.nn.losses.cross_entropy import CrossEntropy
from backprop_cli.nn.metric import METRICS
from backprop_cli.run.checkpoint import load, save


@pytest.fixture
def run():
    return known_run(write_config(), "run")[0]


def said(capsys, code: int, *words) -> str:
    """What `bp eval` says on standard error."""
    assert bp("eval", *words) == code
    return capsys.readouterr().err


def test_json_is_that_of_the_contract(run, capsys):
    assert bp("eval", run, "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert list(found) == ["checkpoint", "split", "examples", "metrics"]
    assert list(found["metrics"]) == ["loss", "accuracy"]
    assert (found["checkpoint"], found["split"], found["examples"]) == (
        "run/checkpoints/best.safetensors",
        "test",
        9,
    )
    assert captured.err == "checkpoint run/checkpoints/best.safetensors\n"


def test_a_file_means_itself(run, capsys):
    assert said(capsys, 0, run / "checkpoints" / "last.safetensors") == ""


def test_other_data(run):
    write_flowers(Path("more.csv"), rows=30, seed=5)
    result = evaluate(run, data=Path("more.csv"))
    assert (result.split, result.examples) == ("data", 30)
    whole = evaluate(run, data=Path("flowers.csv"))
    parts = [evaluate(run, split=split) for split in ("train", "validation", "test")]
    assert whole.examples == sum(part.examples for part in parts) == 60
    for metric in ("loss", "accuracy"):
        mean = sum(part.examples * part.metrics[metric] for part in parts) / 60
        assert whole.metrics[metric] == pytest.approx(mean, rel=1e-6)


def test_the_runs_own_data_need_not_be_there_for_other_data(run):
    Path("flowers.csv").rename("renamed.csv")
    assert evaluate(run, data=Path("renamed.csv")).examples == 60


def test_confusion_counts_what_predict_predicts(run, capsys):
    predict(run, Path("flowers.csv"), Path("out.jsonl"))
    predicted = [json.loads(line)["prediction"] for line in Path("out.jsonl").read_text().splitlines()]
    true = [line.split(",")[2] for line in Path("flowers.csv").read_text().splitlines()[1:]]
    counts = [[sum(t == a and p == b for t, p in zip(true, predicted, strict=True)) for b in "abc"] for a in "abc"]
    assert bp("eval", run, "--data", "flowers.csv", "--confusion", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["confusion"] == {"classes": ["a", "b", "c"], "counts": counts}
    assert found["metrics"]["accuracy"] == pytest.approx(np.trace(counts) / 60)


REGRESSION = {
    "data": {"target": "y", "features": ["x"]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mean_squared_error",
}
BINARY = {
    "model": {"layers": [{"type": "dense", "units": 2}]},
    "data": {"target": ["p", "q"], "source": "binary.csv"},
    "loss": "binary_cross_entropy",
}


def write_binary(columns=("p", "q")) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{int(a > 0)},{int(b > 0)}" for a, b in rng.standard_normal((60, 2))]
    Path("binary.csv").write_text("\n".join([f"x,{','.join(columns)}", *rows]) + "\n")


def test_confusion_needs_classes(capsys):
    run, _ = run_of(write_config(**REGRESSION), "numbers")
    assert said(capsys, 2, run / "checkpoints" / "best.safetensors", "--confusion") == (
        "--confusion: mean_squared_error predicts numbers, not classes\n"
    )
    write_binary()
    run, _ = run_of(write_config(Path("b.yaml"), **BINARY), "several")
    assert said(capsys, 2, run / "checkpoints" / "best.safetensors", "--confusion") == (
        "--confusion: there are 2 targets; a matrix needs one\n"
    )


def test_confusion_of_a_binary_target():
    write_binary()
    binary = {**BINARY, "model": {"layers": [{"type": "dense", "units": 1}]}}
    binary["data"] = {"target": "p", "features": ["x"], "source": "binary.csv"}
    run, _ = run_of(write_config(Path("b.yaml"), **binary), "run")
    confusion = evaluate(run, split="train", confusion=True).confusion
    assert confusion.classes == [0, 1]
    assert np.sum(confusion.counts) == 42


# --- requirements ----------------------------------------------------------------------------------------------


def test_requirements_that_are_met(run):
    texts = ["accuracy>=0", "test/accuracy<=1", "loss<100", "loss>0", " f1 >= 0 "]
    assert evaluate(run, require=texts).failed == ()


def test_a_metric_that_is_not_configured_is_computed_for_its_requirement(run):
    assert list(evaluate(run).metrics) == ["loss", "accuracy"]
    assert list(evaluate(run, require=["f1>=0", "recall>=0"]).metrics) == ["loss", "accuracy", "f1", "recall"]


def test_a_requirement_that_is_not_met_ends_with_3(run, capsys):
    found = evaluate(run).metrics
    words = ("--require", "accuracy>=1.5", "--require", " loss>0", "--require", "loss<0")
    assert bp("eval", run / "checkpoints" / "best.safetensors", *words) == 3
    captured = capsys.readouterr()
    missed = [f"accuracy is {found['accuracy']:.6g}, required >= 1.5", f"loss is {found['loss']:.6g}, required < 0"]
    assert captured.err == "".join(f"not met: {reason}\n" for reason in missed)
    assert captured.out.startswith("9 examples\ntest/loss ")
    assert bp("eval", run / "checkpoints" / "best.safetensors", *words, "--json") == 3
    captured = capsys.readouterr()
    assert captured.err == "".join(f"not met: {reason}\n" for reason in missed)
    judged = [
        {"requirement": "accuracy>=1.5", "value": found["accuracy"], "met": False},
        {"requirement": "loss>0", "value": found["loss"], "met": True},
        {"requirement": "loss<0", "value": found["loss"], "met": False},
    ]
    problems = [{"message": missed[0], **judged[0]}, {"message": missed[1], **judged[2]}]
    assert json.loads(captured.out) == {
        "error": {"code": 3, "kind": "check", "problems": problems},
        "checkpoint": "run/checkpoints/best.safetensors",
        "split": "test",
        "examples": 9,
        "metrics": found,
        "requirements": judged,
    }


def test_requirements_that_are_met_are_in_the_json_too(run, capsys):
    assert bp("eval", run, "--require", "loss>0", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["requirements"] == [{"requirement": "loss>0", "value": found["metrics"]["loss"], "met": True}]
    assert "error" not in found


OF_CLASSES = sorted(name for name, metric in METRICS.items() if metric.suits(CrossEntropy()))
FORM = "expected a metric, one of >= <= > < ==, and a number, as in 'accuracy>=0.95'\n"


@pytest.mark.parametrize(
    "text", ["accuracy", "accuracy=0.9", "accuracy>=", ">=0.9", "accuracy>=much", "accuracy>=nan", "a b>=1", ""]
)
def test_what_is_no_requirement(run, text, capsys):
    assert said(capsys, 2, run / "checkpoints" / "best.safetensors", "--require", text) == (
        f"--require {text!r}: {FORM}"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("acuracy>=0.9", "unknown metric 'acuracy'; did you mean 'accuracy'?"),
        ("validation/accuracy>=0.9", "is about 'validation', but 'test' is evaluated"),
        (
            "r2>=0.9",
            f"unknown metric 'r2'; known: loss, {', '.join(OF_CLASSES)}",
        ),
    ],
)
def test_a_requirement_of_no_metric(run, text, reason, capsys):
    assert said(capsys, 2, run / "checkpoints" / "best.safetensors", "--require", text) == (
        f"--require {text!r}: {reason}\n"
    )


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("x>=1", 1.0, True),
        ("x>1", 1.0, False),
        ("x<=1", 1.0, True),
        ("x<1", 1.0, False),
        ("x==1", 1.0, True),
        ("x>=1e-3", 0.01, True),
        ("x>=0", float("nan"), False),
        ("x<=0", float("nan"), False),
    ],
)
def test_comparisons(text, value, met):
    assert Requirement.parse(text, "test").judge({"x": value}).met == met


# --- what cannot be evaluated ----------------------------------------------------------------------------------


def test_splits_that_are_not_there(capsys):
    run, _ = run_of(write_config(data={"split": {"test": 0}}), "run")
    best = run / "checkpoints" / "best.safetensors"
    assert said(capsys, 2, best) == "--split test: the run has no such split; name one it has: train, validation\n"
    assert said(capsys, 2, best, "--split", "tset") == (
        "--split 'tset': expected one of train, validation, test; did you mean 'test'?\n"
    )


def test_checkpoints_that_are_none(run, capsys):
    best = run / "checkpoints" / "best.safetensors"
    content = best.read_bytes()
    truncated = Path("truncated.safetensors")
    truncated.write_bytes(content[:-10])
    assert said(capsys, 5, truncated) == (
        f"truncated.safetensors: is truncated or damaged ({len(content) - 10} bytes); "
        "use another checkpoint of the run\n"
    )
    assert said(capsys, 5, "flowers.csv") == (
        "flowers.csv: is a table, expected a checkpoint or a run; name that first, such as runs/NAME/latest, then the "
        "data\n"
    )
    assert said(capsys, 5, "nowhere") == (
        "nowhere: no such file or directory; expected a checkpoint (.safetensors) or a run directory\n"
    )
    train_first = "train first: bp train flowers.yaml, then name its run, runs/flowers/latest\n"
    assert said(capsys, 5, "flowers.yaml") == (
        f"flowers.yaml: is a configuration, expected a checkpoint or a run; {train_first}"
    )
    assert said(capsys, 5, "new/flowers/latest") == f"new/flowers/latest: no such file or directory; {train_first}"
    Path("empty").mkdir()
    assert said(capsys, 5, "empty") == (
        "empty: has no checkpoint; expected best.safetensors or last.safetensors in its checkpoints/\n"
    )
    checkpoint = load(best)
    save(Path("bare.safetensors"), type(checkpoint)(checkpoint.tensors, {"config": checkpoint.metadata["config"]}))
    assert said(capsys, 5, "bare.safetensors") == (
        "bare.safetensors: is not a checkpoint of a run: its metadata has no input_shape, classes, class_weights, "
        "target_names, transform, threads, data, state\n"
    )


def test_a_checkpoint_of_another_network(run, capsys):
    best = run / "checkpoints" / "best.safetensors"
    assert said(capsys, 5, best, "model.layers.0.units=7") == (
        f"{best}: the checkpoint is of another network: dense_1.weight is float32 [6, 2], expected float32 [7, 2]; "
        "dense_1.bias is float32 [6], expected float32 [7]; "
        "dense_2.weight is float32 [3, 6], expected float32 [3, 7]\n"
    )


def test_another_network_that_the_weights_fit(run, capsys):
    best = run / "checkpoints" / "best.safetensors"
    change, why = "model.layers.0.activation=relu", "the numbers that the run has saved would mean something else"
    told = (
        f"override {change}: model.layers[0].activation.type: was tanh, would be relu: {why}; leave it out, or start a "
        "new run\n"
    )
    assert said(capsys, 2, best, change) == f"{told}1 problem; nothing was run.\n"
    # The shape of an example that the data has is no change.
    assert bp("eval", best, "model.input=[2]") == 0
    capsys.readouterr()
    for command in ("explain", "show", "gradcheck"):
        assert bp(command, best, change) == 0
        assert f"warning: {told}" in capsys.readouterr().err


def test_data_that_does_not_fit(run, capsys):
    best = run / "checkpoints" / "best.safetensors"
    Path("other.csv").write_text("x,y,kind\n1,2,d\n")
    assert said(capsys, 6, best, "--data", "other.csv") == (
        "other.csv:2: column 'kind': class 'd' is not in the train split, which has a, b, c; "
        "train with rows that have it, or remove this row\n"
    )
    Path("other.csv").write_text("x,y,kind\n")
    assert said(capsys, 6, best, "--data", "other.csv") == "other.csv: has no rows under the header\n"
    Path("other.csv").write_text("")
    assert said(capsys, 6, best, "--data", "other.csv") == "other.csv: the file is empty\n"
    Path("other.csv").write_text("x,kind\n1,a\n")
    assert said(capsys, 6, best, "--data", "other.csv") == "other.csv: no column 'y'; its columns: x, kind\n"
    Path("other.csv").write_text("x,y\n1,2\n")
    assert said(capsys, 6, best, "--data", "other.csv") == "other.csv: no column 'kind'; its columns: x, y\n"
    assert said(capsys, 6, best, "--data", "gone.data.csv") == "gone.data.csv: no such file\n"
    Path("flowers.csv").rename("renamed.csv")
    assert said(capsys, 6, best) == "flowers.csv: no such file\n"


def test_a_network_is_evaluated_as_it_was_trained(run, capsys):
    best = run / "checkpoints" / "best.safetensors"
    overridden = "override seed=3: would test the network on rows it was trained on; name other data\n"
    assert said(capsys, 2, best, "seed=3") == overridden
    assert said(capsys, 2, best, "optimizer=sgd") == (
        "override optimizer=sgd: the network is evaluated as it was trained; eval can override only "
        "data.source, data.train, data.validation, data.test, data.format, metrics\n"
    )
    assert said(capsys, 2, best, "--data", "flowers.csv", "--split", "train") == (
        "--split train: --data names the examples itself; leave one of the two out\n"
    )
