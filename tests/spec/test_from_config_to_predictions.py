"""A configuration is validated, trained, resumed, evaluated, and predicts."""

import csv
import json
import math
from pathlib import Path

import backprop_cli


def test_validate_accepts_a_usable_configuration_and_writes_nothing(bp, folder):
    assert bp("validate", "flowers.yaml").code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["flowers.csv", "flowers.yaml"]


def test_train_writes_a_run_directory(bp):
    trained = bp("train", "flowers.yaml", "--json").json
    assert (trained["status"], trained["epochs"]) == ("finished", 20)
    run = Path(trained["run_dir"])
    assert run.parent == Path("runs/flowers")
    assert {path.name for path in run.iterdir()} >= {"config.yaml", "config.resolved.yaml", "run.json", "metrics.jsonl"}
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {"best.safetensors", "last.safetensors"}


def test_the_journal_has_one_line_an_event_and_its_epochs_count_from_one(bp):
    bp("train", "flowers.yaml", "--run-dir", "run")
    events = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == list(range(1, 21))


def test_an_override_changes_one_key(bp):
    bp("train", "flowers.yaml", "training.epochs=2", "--run-dir", "run")
    assert json.loads(Path("run/run.json").read_text())["overrides"] == ["training.epochs=2"]
    assert Path("run/config.yaml").read_text() == Path("flowers.yaml").read_text()  # as it was written
    assert "epochs: 2" in Path("run/config.resolved.yaml").read_text()  # as it was run


def test_a_finished_run_goes_on_with_more_epochs(bp):
    bp("train", "flowers.yaml", "training.epochs=2", "--run-dir", "run")
    resumed = bp("train", "--resume", "run", "training.epochs=5", "--json").json
    assert (resumed["run_dir"], resumed["epochs"]) == ("run", 5)


def test_eval_computes_the_metrics_that_training_reported(bp):
    trained = bp("train", "flowers.yaml", "--run-dir", "run", "--json").json
    evaluated = bp("eval", "run", "--split", "test", "--json").json
    assert evaluated["examples"] == 13
    assert evaluated["metrics"]["accuracy"] == trained["metrics"]["test/accuracy"] > 0.9


def test_predict_names_a_class_for_each_row_in_the_rows_order(bp):
    bp("train", "flowers.yaml", "--run-dir", "run")
    Path("new.csv").write_text("width,length\n-0.1,0.2\n3.8,2.4\n")  # columns go by name
    predicted = bp("predict", "run", "new.csv")
    assert [row["prediction"] for row in csv.DictReader(predicted.out.splitlines())] == ["a", "c"]


def test_the_probabilities_of_a_row_add_up_to_one(bp):
    bp("train", "flowers.yaml", "--run-dir", "run")
    predicted = bp("predict", "run", "flowers.csv", "--proba")
    for row in csv.DictReader(predicted.out.splitlines()):
        assert math.isclose(sum(float(row[f"probability_{kind}"]) for kind in "abc"), 1.0, abs_tol=1e-6)


def test_every_gradient_of_a_network_can_be_checked(bp):
    checked = bp("gradcheck", "flowers.yaml", "--json").json
    assert checked["passed"]
    assert {check["verdict"] for check in checked["checks"]} == {"PASS"}


def test_what_a_command_does_is_one_python_call(folder):
    result = backprop_cli.train("flowers.yaml", ["training.epochs=2"], run_dir=folder / "run")
    assert result.run_dir == folder / "run"
    assert backprop_cli.evaluate(result.run_dir, split="test").examples == 13
