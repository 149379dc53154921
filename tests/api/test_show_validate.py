"""``bp show`` and ``bp validate``: the figures of a network, and everything short of the first step."""

import json
from pathlib import Path

import pytest
from api_support import WITH_DROPOUT, bp, record, run_of, start_bp, write_config

from backprop_cli.api.show import show
from backprop_cli.api.validate import validate

LAYER_KEYS = ["name", "type", "inputs", "output_shape", "parameters", "multiplications"]


def test_json_of_show_is_that_of_the_contract(capsys):
    assert bp("show", write_config(model={"layers": WITH_DROPOUT}), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["layers", "parameters", "trainable", "bytes"]
    assert [list(layer) for layer in found["layers"]] == [LAYER_KEYS] * 3
    assert [list(layer.values()) for layer in found["layers"]] == [
        ["dense_1", "dense", ["input"], [6], 18, 12],
        ["dropout_1", "dropout", ["dense_1"], [6], 0, 0],
        ["dense_2", "dense", ["dropout_1"], [3], 21, 18],
    ]
    assert (found["parameters"], found["trainable"]) == (39, 39)
    assert set(found["bytes"]) >= {"parameters", "optimizer", "plan"}
    assert (found["bytes"]["parameters"], found["bytes"]["optimizer"]) == (39 * 4, 2 * 39 * 4)  # adam has two slots
    assert found["bytes"]["plan"] >= found["bytes"]["plan_lower_bound"] > 0


@pytest.mark.parametrize(
    ("overrides", "parameters", "optimizer"),
    [
        (["optimizer=sgd"], 39 * 4, 0),
        (["optimizer={type: sgd, momentum: 0.9}"], 39 * 4, 39 * 4),
        (["optimizer={type: adam, amsgrad: true}"], 39 * 4, 3 * 39 * 4),
        (["optimizer={type: muon, fallback: adam}"], 39 * 4, (30 + 2 * 9) * 4),
        (["training.precision=float64"], 39 * 8, 39 * 16),
    ],
)
def test_memory(overrides, parameters, optimizer):
    found = show(write_config(), overrides).bytes
    assert (found.parameters, found.optimizer) == (parameters, optimizer)


def test_shapes_in_the_configuration_need_no_data():
    config = write_config(model={"input": [2]}, data={"source": "nowhere.csv"})
    assert show(config).parameters == 39


def test_of_a_run_also_its_outcome():
    config = write_config(training={"epochs": 1})
    result = run_of(config, "runs/flowers/one")[1]
    Path("runs/flowers/latest").symlink_to("one")
    run = Path("runs/flowers/one")
    keys = ["status", "exit_code", "start", "end", "steps", "epochs", "seconds", "metrics", "best"]
    best = run / "checkpoints" / "best.safetensors"
    for target in (run, best, Path("runs/flowers"), Path("runs/flowers/latest")):
        found = show(target).to_json()
        assert list(found) == ["layers", "parameters", "trainable", "bytes", "run"]
        assert found["run"] == {key: record(run)[key] for key in keys}
        assert found["run"]["metrics"] == result.metrics
    best.rename("alone.safetensors")
    assert "run" not in show("alone.safetensors").to_json()


OUTCOME = ["status", "exit_code", "start", "end", "steps", "epochs", "seconds", "metrics", "best"]


def test_of_a_run_that_saved_nothing(capsys):
    """It diverged in its first step; its network is that of its configuration, its outcome that of run.json."""
    config = write_config(training={"batch_size": 1000})
    assert bp("train", config, "--run-dir", "run", "optimizer={type: sgd, learning_rate: 1e300}") == 4
    capsys.readouterr()
    for target in ("run", Path("run").resolve()):
        found = show(target).to_json()
        assert (found["parameters"], found["bytes"]["optimizer"]) == (39, 0)
        assert found["run"] == {key: record(Path("run"))[key] for key in [*OUTCOME, "reason"]}
        assert (found["run"]["status"], found["run"]["exit_code"]) == ("diverged", 4)
    assert show("run", ["optimizer=adam"]).to_json()["bytes"]["optimizer"] == 2 * 39 * 4
    Path("run/config.resolved.yaml").unlink()
    assert bp("show", "run") == 5
    assert capsys.readouterr().err == (
        "run: has no checkpoint; expected best.safetensors or last.safetensors in its checkpoints/\n"
    )


def test_of_what_is_no_run(capsys):
    Path("empty").mkdir()
    assert bp("show", "empty") == 5
    assert capsys.readouterr().err == (
        "empty: has no checkpoint; expected best.safetensors or last.safetensors in its checkpoints/\n"
    )
    assert bp("show", "nowhere") == 5
    assert capsys.readouterr().err == (
        "nowhere: no such file or directory; expected a configuration (.yaml), a checkpoint (.safetensors) or a run "
        "directory\n"
    )


def test_of_a_run_that_goes_on_and_of_one_that_was_killed():
    process = start_bp("train", write_config(), "--run-dir", "run", "training.epochs=1000000")
    assert process.stderr is not None
    for _ in range(3):
        process.stderr.readline()
    assert show("run").to_json()["run"]["status"] == "running"
    process.kill()
    process.communicate(timeout=30)
    assert show("run").to_json()["run"]["status"] == "killed"
    assert record(Path("run"))["status"] == "running"


def test_json_of_validate(capsys):
    config = write_config()
    before = sorted(Path().rglob("*"))
    assert bp("validate", config, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "valid": True,
        "examples": {"train": 42, "validation": 9, "test": 9},
        "input_shape": [2],
        "classes": ["a", "b", "c"],
        "parameters": 39,
        "steps": 12,
        "warnings": [],
    }
    assert sorted(Path().rglob("*")) == before


def test_validate_warns(capsys):
    config = write_config(model={"layers": [{"type": "dense", "units": 3, "activation": "softmax"}]})
    assert bp("validate", config) == 0
    assert "already applies softmax" in capsys.readouterr().err
    assert bp("validate", config, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1


def test_steps_are_those_of_the_training():
    config = write_config()
    for overrides, steps in ((["training.accumulate=3"], 6), (["training.max_steps=5"], 5), (["training.epochs=0"], 0)):
        assert validate(config, overrides).steps == steps
        assert run_of(config, overrides[0], overrides)[1].steps == steps


def test_what_is_wrong_only_with_the_data_at_hand(capsys):
    assert bp("validate", write_config(), "model.layers.1.units=4") == 2
    assert capsys.readouterr().err == (
        "override model.layers.1.units=4: the network has 4 outputs, but the data has 3 classes; set units: 3\n"
        "1 problem; nothing was run.\n"
    )
    assert bp("validate", "flowers.yaml", "data.source=gone.csv") == 6
    reason = "gone.csv: no such file; paths in a configuration start at its own folder"
    assert capsys.readouterr().err == f"override data.source=gone.csv: {reason}\n"
    assert bp("validate", "flowers.yaml", "data.source=gone.csv", "--json") == 6
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "code": 6,
            "kind": "data",
            "problems": [{"path": "data.source", "message": reason, "override": "data.source=gone.csv"}],
        }
    }
    assert bp("validate", "flowers.yaml", "data.target=color") == 2
    assert capsys.readouterr().err == (
        "override data.target=color: no column 'color' in flowers.csv; its columns: x, y, kind\n"
        "1 problem; nothing was run.\n"
    )
    assert bp("validate", "flowers.yaml", "data.target=color", "--json") == 2
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "code": 2,
            "kind": "config",
            "problems": [
                {
                    "path": "data.target",
                    "message": "no column 'color' in flowers.csv; its columns: x, y, kind",
                    "override": "data.target=color",
                }
            ],
        }
    }
