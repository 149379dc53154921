"""A checkpoint whose metadata is not what a run writes, though its checksum fits: exit code 5, and why."""

import math
from pathlib import Path

import pytest
from api_support import bp, known_run, write_config

from backprop_cli.run.checkpoint import Checkpoint, load, save

CASES = [
    ("config", None, "config in its metadata: expected a mapping, got null"),
    ("config", "x", 'config in its metadata: expected a mapping, got "x"'),
    (
        "config",
        {"a": 1},
        "the configuration in it is wrong: data: required, but not given: source of the examples, their split "
        "and their transforms; model: required, but not given: the network; loss: required, but not given: function "
        "that training minimizes; use another checkpoint",
    ),
    ("input_shape", {"a": 1}, 'input_shape in its metadata: expected counts, got {"a": 1}'),
    ("input_shape", [], "input_shape in its metadata: expected counts, got []"),
    ("input_shape", [2.0], "input_shape in its metadata: expected counts, got [2.0]"),
    ("input_shape", [-2], "input_shape in its metadata: expected counts, got [-2]"),
    (
        "input_shape",
        [3],
        "the checkpoint is of another network: dense_1.weight is float32 [6, 2], expected float32 [6, 3]",
    ),
    ("classes", 3, "classes in its metadata: expected names, or null, got 3"),
    ("class_weights", {"a": 1}, 'class_weights in its metadata: expected numbers, or null, got {"a": 1}'),
    ("class_weights", [1.0], "class_weights in its metadata: expected 3 numbers, got [1.0]"),
    (
        "class_weights",
        [1.0, 1e300, 1.0],
        "class_weights in its metadata: expected numbers from 0 to 3.4e+38, got [1.0, 1e+300, 1.0]",
    ),
    (
        "class_weights",
        [1, -1, 1],
        "class_weights in its metadata: expected numbers from 0 to 3.4e+38, got [1, -1, 1]",
    ),
    (
        "class_weights",
        [1.0, math.nan, 1.0],
        "class_weights in its metadata: expected numbers from 0 to 3.4e+38, got [1.0, NaN, 1.0]",
    ),
    (
        "class_weights",
        ["x"] * 30,
        "class_weights in its metadata: expected numbers, or null, got [" + '"x", ' * 7 + '"x..."x", "x", "x", "x"]',
    ),
    ("target_names", [1], "target_names in its metadata: expected names, or null, got [1]"),
    ("transform", [], "transform in its metadata: expected a mapping, got []"),
    (
        "transform",
        {},
        "the fitted transform in it cannot be read (KeyError: 'target'); use another checkpoint",
    ),
    ("threads", "2", 'threads in its metadata: expected a count, got "2"'),
    ("threads", 0, "threads in its metadata: expected a count, got 0"),
    ("data", [1], "data in its metadata: expected sha256 digests, got [1]"),
    ("accepted_data", [1], "accepted_data in its metadata: expected lists of sha256 digests, got [1]"),
    ("state", None, "state in its metadata: expected a mapping, got null"),
]


@pytest.mark.parametrize(("name", "value", "fault"), CASES)
def test_metadata_of_another_kind(name, value, fault, capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    path = run / "checkpoints" / "last.safetensors"
    good = load(path)
    save(path, Checkpoint(good.tensors, {**good.metadata, name: value}))
    commands = [("eval", path), ("predict", path, "flowers.csv"), ("show", path)]
    if name != "input_shape":  # resuming builds the network from it
        commands.append(("train", "--resume", run, "training.epochs=2"))
    for words in commands:
        assert bp(*words) == 5, words
        way_out = "; use another checkpoint" if " in its metadata: " in fault else ""
        assert capsys.readouterr().err == f"{path}: {fault}{way_out}\n"


def test_a_transform_for_another_network(capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    path = run / "checkpoints" / "last.safetensors"
    good = load(path)
    transform = {**good.metadata["transform"], "input_shape": [1, 2]}
    save(path, Checkpoint(good.tensors, {**good.metadata, "transform": transform}))
    assert bp("eval", path) == 5
    assert capsys.readouterr().err == (
        f"{path}: the fitted transform in it makes inputs of shape [1, 2], its network reads [2]; "
        "use another checkpoint\n"
    )


def test_overrides_do_not_take_the_blame(capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    path = run / "checkpoints" / "last.safetensors"
    assert bp("show", path, "loss=mse") == 2
    capsys.readouterr()
    good = load(path)
    save(path, Checkpoint(good.tensors, {**good.metadata, "config": {**good.metadata["config"], "seed": -1}}))
    for words in (("show", path, "training.batch_size=4"), ("train", "--resume", run, "training.epochs=2")):
        assert bp(*words) == 5
        assert capsys.readouterr().err == (
            f"{path}: the configuration in it is wrong: seed: must be at least 0, got -1; use another checkpoint\n"
        )


@pytest.mark.parametrize("missing", ["config", "state", "transform"])
def test_metadata_that_is_missing(missing, capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    path = run / "checkpoints" / "last.safetensors"
    good = load(path)
    save(path, Checkpoint(good.tensors, {k: v for k, v in good.metadata.items() if k != missing}))
    for words in (("eval", path), ("train", "--resume", run)):
        assert bp(*words) == 5
        said = capsys.readouterr().err
        assert said == f"{path}: is not a checkpoint of a run: its metadata has no {missing}\n"


def test_a_changed_digit_is_noticed(capsys):
    """In the fitted transform, which decides every prediction."""
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    path = run / "checkpoints" / "best.safetensors"
    content = path.read_bytes()
    place = content.index(b'\\"shift\\": [') + len(b'\\"shift\\": [0.')
    Path("copy.safetensors").write_bytes(content[:place] + b"%d" % (content[place] == 48) + content[place + 1 :])
    assert bp("predict", "copy.safetensors", "flowers.csv") == 5
    assert capsys.readouterr().err == (
        "copy.safetensors: is damaged: its contents do not match its checksum; use another checkpoint of the run\n"
    )


def with_feature(metadata, **fields):
    transform = metadata["transform"]
    return {
        "transform": {**transform, "features": [{**transform["features"][0], **fields}, *transform["features"][1:]]}
    }


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda m: {"target_names": ["x"]},
            'target_names in its metadata: expected those of its transform, ["kind"], got ["x"]',
        ),
        (
            lambda m: {"classes": ["a", "b"]},
            'classes in its metadata: expected those of its transform, ["a", "b", "c"], got ["a", "b"]',
        ),
        (lambda m: {"threads": 2**40}, "threads in its metadata: expected a count, got 1099511627776"),
        (
            lambda m: {"config": {**m["config"], "plugins": None}},
            "config.plugins in its metadata: expected names of files, got null",
        ),
        (
            lambda m: with_feature(m, divisor=[0.0]),
            "the fitted transform in it cannot be read (ValueError: features[0].divisor: must be finite, and a divisor "
            "not 0)",
        ),
        (
            lambda m: with_feature(m, name=3),
            "the fitted transform in it cannot be read (ValueError: features[0].name: has the wrong type: 3)",
        ),
        (
            lambda m: with_feature(m, shift=[1.0, 2.0]),
            "the fitted transform in it cannot be read (ValueError: features[0].shift: expected 1 or 1 numbers, got 2)",
        ),
    ],
)
def test_parts_that_do_not_fit(change, fault, capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    path = run / "checkpoints" / "last.safetensors"
    good = load(path)
    save(path, Checkpoint(good.tensors, {**good.metadata, **change(good.metadata)}))
    assert bp("predict", path, "flowers.csv") == 5
    assert capsys.readouterr().err == f"{path}: {fault}; use another checkpoint\n"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"memory": {"best": {"value": 1.0}}}, "ValueError: best: expected epoch, step, value, waited, got value"),
        ({"memory": {"epoch": {"begin": -1}}}, "ValueError: epoch.begin: expected a count, got -1"),
        ({"memory": {"best": {"value": "low"}}}, "TypeError: best.value: expected a number, got 'low'"),
        ({"memory": []}, "AttributeError: 'list' object has no attribute 'items'"),
        ({"step": 2**60}, "ValueError: expected a count, got 1152921504606846976"),
        ({"random": None}, "TypeError: state must be a dict"),
    ],
)
def test_a_state_that_no_run_has(change, fault, capsys):
    run, _ = known_run(write_config(), "run", ["training.epochs=1"])
    path = run / "checkpoints" / "last.safetensors"
    good = load(path)
    save(path, Checkpoint(good.tensors, {**good.metadata, "state": {**good.metadata["state"], **change}}))
    assert bp("train", "--resume", run, "training.epochs=2") == 5
    assert capsys.readouterr().err == f"{path}: the state in it cannot be read ({fault}); use another checkpoint\n"
