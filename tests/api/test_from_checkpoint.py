"""Fine-tuning: a run that starts from another run's weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import write_config

from backprop_cli.api.gradcheck import gradcheck
from backprop_cli.api.train import train
from backprop_cli.api.validate import validate
from backprop_cli.errors import CheckpointError, ConfigError
from backprop_cli.run.checkpoint import load

BASE = [{"type": "dense", "units": 6}, "batch_norm", {"type": "dense", "units": 3}]
WIDER = [*BASE[:2], {"type": "dense", "units": 5}, {"type": "dense", "units": 3}]
TANH = {"type": "dense", "units": 3, "activation": "tanh"}
AT_START = ["training.epochs=0"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def base():
    """The run that others start from."""
    return train(write_config(model={"layers": BASE}, name="base"))


def tuned(settings, layers=BASE, **more):
    return write_config(Path("tuned.yaml"), model={"layers": layers, "from_checkpoint": settings}, seed=5, **more)


def text(source, layers, settings=None):
    model = {"layers": layers} if settings is None else {"layers": layers, "from_checkpoint": settings}
    tree = {"data": {"source": source, "text": {"context": 4}}, "model": model, "loss": "next_token"}
    Path("text.yaml").write_text(yaml.safe_dump(tree))
    return Path("text.yaml")


def last(result):
    return load(Path(result.checkpoints["last"])).tensors


def test_all_layers_start_from_it_buffers_too(base):
    found = last(train(tuned({"path": str(base.run_dir)}), AT_START))
    expected = load(base.run_dir / "checkpoints" / "best.safetensors").tensors
    names = {name for name in expected if not name.startswith("optimizer.")}
    assert names == {name for name in found if not name.startswith("optimizer.")}
    assert all(np.array_equal(found[name], expected[name]) for name in names)


def test_some_layers_start_from_it_the_others_are_drawn(base):
    given = {"path": str(base.run_dir), "layers": ["dense_1", "batch_*"]}
    config = tuned(given, WIDER)
    found, drawn = last(train(config, AT_START)), last(train(write_config(model={"layers": WIDER}, seed=5), AT_START))
    expected = load(base.run_dir / "checkpoints" / "best.safetensors").tensors
    for name, array in found.items():
        if not name.startswith("optimizer."):
            source = expected if name.startswith(("dense_1.", "batch_norm_1.")) else drawn
            np.testing.assert_array_equal(array, source[name], name)


def test_frozen_layers_keep_it_and_it_may_have_another_precision(base):
    layers = [{**BASE[0], "trainable": False}, *BASE[1:]]
    found = last(train(tuned({"path": str(base.run_dir)}, layers, training={"precision": "float64"})))
    expected = load(base.run_dir / "checkpoints" / "best.safetensors").tensors
    np.testing.assert_array_equal(found["dense_1.weight"], expected["dense_1.weight"].astype(np.float64))
    assert not np.array_equal(found["dense_2.weight"], expected["dense_2.weight"])


def test_the_layers_of_a_block_by_its_name():
    layers = [{"type": "block", "repeat": 2, "layers": [{"type": "dense", "units": 3}]}, {"type": "dense", "units": 3}]
    base = train(write_config(model={"layers": layers}, name="base"))
    result = train(tuned({"path": str(base.run_dir), "layers": "block_1"}, layers), AT_START)
    record = json.loads((result.run_dir / "run.json").read_text())["from_checkpoint"]
    assert record["layers"] == ["block_1.1.dense_1", "block_1.2.dense_1"]


def test_what_it_was_is_recorded_and_a_resumed_run_does_not_read_it(base):
    config = tuned({"path": str(base.run_dir)})
    whole = train(config)
    half = train(config, ["training.epochs=1"])
    record = json.loads((half.run_dir / "run.json").read_text())["from_checkpoint"]
    assert record["path"] == str((base.run_dir / "checkpoints" / "best.safetensors").resolve())
    assert len(record["sha256"]) == 64
    assert record["layers"] == ["dense_1", "batch_norm_1", "dense_2"]
    for path in (base.run_dir / "checkpoints").iterdir():
        path.unlink()
    resumed = train(resume=half.run_dir, overrides=["training.epochs=3"])
    assert json.loads((half.run_dir / "run.json").read_text())["from_checkpoint"] == record
    one, two = last(whole), last(resumed)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_its_path_starts_at_the_configuration_and_is_rewritten_in_the_resolved_one(base):
    Path("deep").mkdir()
    config = write_config(Path("deep/tuned.yaml"), model={"layers": BASE})
    text = config.read_text().replace("source: flowers.csv", "source: ../flowers.csv")
    config.write_text(text.replace("model:\n", "model:\n  from_checkpoint: {path: ../base.safetensors}\n"))
    Path(base.checkpoints["last"]).rename("base.safetensors")
    result = train(config, AT_START)
    resolved = (result.run_dir / "config.resolved.yaml").read_text()
    assert "from_checkpoint: {path: ../../../base.safetensors}" in resolved
    again = train(result.run_dir / "config.resolved.yaml")
    assert np.array_equal(last(again)["dense_1.weight"], last(result)["dense_1.weight"])


@pytest.mark.parametrize("command", [train, validate, gradcheck])
def test_mismatches_are_listed(base, command):
    with pytest.raises(CheckpointError) as caught:
        command(tuned({"path": str(base.run_dir)}, WIDER))
    (problem,) = caught.value.describe()
    assert problem.pop("message") == (
        f"{base.run_dir}/checkpoints/best.safetensors: does not fit the network: dense_2.weight is [3, 6], expected "
        "[5, 6]; dense_2.bias is [3], expected [5]; dense_3.weight is missing; dense_3.bias is missing; name the "
        "layers to start from it in model.from_checkpoint.layers"
    )
    assert problem.pop("line") > 1
    assert problem == {"path": "model.from_checkpoint.path", "file": "tuned.yaml", "column": 11}
    assert caught.value.exit_code == 5


def test_parameters_whose_own_names_have_dots():
    """As attention has them: out_proj.weight."""
    layers = [
        {"type": "embedding", "tokens": 4, "width": 4},
        {"type": "attention", "heads": 2, "causal": True},
        {"type": "dense", "units": 4},
    ]
    Path("a.txt").write_text("abc\n" * 30)
    base = train(text("a.txt", layers), ["training.epochs=1"])
    expected = load(Path(base.checkpoints["best"])).tensors
    for settings in ({}, {"layers": ["attention_1"]}):
        found = last(train(text("a.txt", layers, {"path": str(base.run_dir), **settings}), ["seed=3", *AT_START]))
        for name in ("in_proj_weight", "out_proj.weight", "out_proj.bias"):
            np.testing.assert_array_equal(found[f"attention_1.{name}"], expected[f"attention_1.{name}"])


@pytest.mark.parametrize(
    ("layers", "settings", "said"),
    [
        (
            [BASE[0], BASE[2]],
            {},
            "batch_norm_1.bias is not in the network; batch_norm_1.running_mean is not in the network; "
            "batch_norm_1.running_var is not in the network; batch_norm_1.weight is not in the network; name the "
            "layers to start from it in model.from_checkpoint.layers",
        ),
        (
            [{**BASE[0], "bias": False}, *BASE[1:]],
            {"layers": ["dense_1"]},
            "dense_1.bias is not in the network; leave these out of model.from_checkpoint.layers",
        ),
    ],
)
def test_what_the_network_has_no_place_for_is_listed(base, layers, settings, said):
    with pytest.raises(CheckpointError) as caught:
        train(tuned({"path": str(base.run_dir), **settings}, layers))
    assert caught.value.describe()[0]["message"].endswith(f"does not fit the network: {said}")
    named = {"path": str(base.run_dir), "layers": "dense_2"}
    assert train(tuned(named, layers), AT_START).status == "finished"


def test_layers_that_were_named_and_do_not_fit(base):
    with pytest.raises(CheckpointError, match=r"expected \[5\]; leave these out of model\.from_checkpoint\.layers\n"):
        validate(tuned({"path": str(base.run_dir), "layers": ["dense_1", "dense_2"]}, WIDER))


def test_a_checkpoint_that_is_not_there():
    with pytest.raises(CheckpointError) as caught:
        train(tuned({"path": "nowhere"}))
    assert str(caught.value) == (
        "tuned.yaml:12:11: model.from_checkpoint.path: nowhere: no such file or directory; expected a checkpoint "
        "(.safetensors) or a run directory\n"
        "   12 |     path: nowhere\n"
        "      |           ^^^^^^^"
    )


def test_rows_that_stand_for_other_classes(base):
    Path("others.csv").write_text(Path("flowers.csv").read_text().replace(",b\n", ",z\n"))
    settings, data = {"path": str(base.run_dir)}, {"source": "others.csv"}
    with pytest.raises(CheckpointError) as caught:
        train(tuned(settings, data=data))
    assert caught.value.describe()[0]["message"].endswith(
        "does not fit the network: dense_2 is for other classes: number 1 is 'b' there, 'c' here; name the layers to "
        "start from it in model.from_checkpoint.layers"
    )
    settings["layers"] = ["dense_1", "batch_norm_1"]
    assert train(tuned(settings, data=data), AT_START).status == "finished"


def test_rows_that_stand_for_other_tokens():
    layers = [{"type": "embedding", "tokens": 4, "width": 3}, TANH, {"type": "dense", "units": 4}]
    Path("a.txt").write_text("abc\n" * 30)
    Path("b.txt").write_text("axc\n" * 30)
    base = train(text("a.txt", layers), AT_START)
    with pytest.raises(CheckpointError) as caught:
        train(text("b.txt", layers, {"path": str(base.run_dir)}), AT_START)
    assert caught.value.describe()[0]["message"] == (
        f"{base.run_dir}/checkpoints/last.safetensors: does not fit the network: embedding_1 is for other tokens: "
        "number 2 is 'b' there, 'c' here; dense_2 is for other tokens: number 2 is 'b' there, 'c' here; name the "
        "layers to start from it in model.from_checkpoint.layers"
    )
    inner = train(text("b.txt", layers, {"path": str(base.run_dir), "layers": "dense_1"}), AT_START)
    np.testing.assert_array_equal(last(inner)["dense_1.weight"], last(base)["dense_1.weight"])
    assert train(text("a.txt", layers, {"path": str(base.run_dir)}), AT_START).status == "finished"


def test_a_pattern_of_no_layer(base):
    config = tuned({"path": str(base.run_dir), "layers": ["dense_1", "dens_2", "conv*"]})
    with pytest.raises(ConfigError) as caught:
        train(config)
    lines = str(caught.value).splitlines()
    assert [line.split(": ", 1)[1] for line in lines if "matches" in line] == [
        "model.from_checkpoint.layers[1]: 'dens_2' matches no layer; did you mean 'dense_2'?",
        "model.from_checkpoint.layers[2]: 'conv*' matches no layer; layers: dense_1, batch_norm_1, dense_2",
    ]
