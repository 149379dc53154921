"""Files that are read, and files that are not."""

from pathlib import Path
from shlex import quote

import pytest
from config_support import DIGITS, changed, write

from backprop_cli.config.load import from_tree, load_config
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.errors import ConfigError, Problem

NO_VALIDATION = "  target: digit\n  split: {validation: 0, test: 0.2}\n"


def refused(path):
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_what_is_not_said_has_the_documented_defaults(tmp_path):
    config = load_config(write(tmp_path)).config
    assert config.name == "digits"
    assert config.seed == 0
    assert config.optimizer.model_dump() == {
        "type": "adam",
        "learning_rate": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "amsgrad": False,
        "groups": (),
    }
    assert config.schedule.model_dump() == {"type": "constant", "warmup_steps": 0}
    assert [metric.type for metric in config.metrics] == ["accuracy"]
    assert config.data.split.model_dump() == {
        "validation": 0.15,
        "test": 0.15,
        "stratify": True,
        "by": None,
        "time": None,
        "fold": None,
    }
    assert config.training.model_dump() == {
        "epochs": 30,
        "batch_size": 32,
        "max_steps": None,
        "max_seconds": None,
        "overfit_batches": None,
        "accumulate": 1,
        "clip_norm": None,
        "clip_value": None,
        "shuffle": True,
        "precision": "float32",
        "members": None,
        "recompute": None,
        "threads": "auto",
        "compile": "auto",
    }
    assert config.regularization.model_dump() == {"l1": 0.0, "l2": 0.0}
    assert config.early_stopping is None
    assert config.gradient_check is None
    assert config.checkpoint.monitor == "validation/loss"
    assert config.run.directory == "runs"


@pytest.mark.parametrize("word", ["none", "null", "~", ""])
def test_sections_that_can_be_off(tmp_path, word):
    config = load_config(write(tmp_path, DIGITS + f"early_stopping: {word}\ngradient_check: {word}\n")).config
    assert config.early_stopping is None
    assert config.gradient_check is None


def test_an_empty_section_is_on_with_its_defaults(tmp_path):
    config = load_config(write(tmp_path, DIGITS + "early_stopping: {}\ngradient_check: {}\n")).config
    assert config.early_stopping.patience == 5
    assert config.gradient_check.model_dump() == {
        "at_start": True,
        "every_steps": None,
        "adjoint_every_steps": None,
        "method": "auto",
        "samples": 32,
        "tolerance": 1e-5,
        "on_failure": "stop",
        "max_seconds": None,
    }


def test_regression_has_metrics_of_its_own(tmp_path):
    text = changed("loss: cross_entropy", "loss: mean_squared_error")
    assert [metric.type for metric in load_config(write(tmp_path, text)).config.metrics] == [
        "root_mean_squared_error",
        "r2",
    ]


def test_a_section_without_type_is_of_the_default_type(tmp_path):
    text = DIGITS + "optimizer: {learning_rate: 1e-2}\nschedule: {warmup_steps: 10}\n"
    config = load_config(write(tmp_path, text)).config
    assert (config.optimizer.type, config.optimizer.learning_rate) == ("adam", 0.01)
    assert (config.schedule.type, config.schedule.warmup_steps) == ("constant", 10)


def test_layers_get_their_names_and_inputs(tmp_path):
    layers = load_config(write(tmp_path)).config.model.layers
    assert [(layer.name, layer.inputs) for layer in layers] == [
        ("dense_1", ("input",)),
        ("dropout_1", ("dense_1",)),
        ("dense_2", ("dropout_1",)),
    ]


def test_the_best_checkpoint_without_validation_is_that_of_the_train_loss(tmp_path):
    path = write(tmp_path, changed("  target: digit\n", NO_VALIDATION))
    assert load_config(path).config.checkpoint.monitor == "train/loss"
    assert load_config(path, ["checkpoint.keep_last=3"]).config.checkpoint.monitor == "train/loss"
    assert load_config(path, ["data.split.validation=0.1"]).config.checkpoint.monitor == "validation/loss"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("optimizer.learning_rate=1e-2", ("optimizer", "learning_rate"), 0.01),
        ("optimizer=sgd", ("optimizer", "type"), "sgd"),
        ("optimizer.type=sgd", ("optimizer", "type"), "sgd"),
        ("loss.label_smoothing=0.1", ("loss", "label_smoothing"), 0.1),
        ("model.layers.0.units=128", ("model", "layers", 0, "units"), 128),
        ("model.layers[0].units=128", ("model", "layers", 0, "units"), 128),
        ("model.layers.-1.units=12", ("model", "layers", 2, "units"), 12),
        ("model.layers.0.activation.negative_slope=0.2", ("model", "layers", 0, "activation", "negative_slope"), 0.2),
        ("early_stopping.patience=3", ("early_stopping", "patience"), 3),
        ("name=run 1", ("name",), "run 1"),
        (" seed = 7", ("seed",), 7),
        ("loss.class_weight={1: 2.0}", ("loss", "class_weight", 1), 2.0),
        ("loss.class_weight.1=2", ("loss", "class_weight", 1), 2.0),
    ],
)
def test_overrides_set_one_value(tmp_path, override, path, value):
    text = changed("activation: relu", "activation: leaky_relu") + "early_stopping: none\n"
    found = load_config(write(tmp_path, text), [override]).config
    for step in path:
        found = getattr(found, step) if isinstance(step, str) else found[step]
    assert found == value


def test_the_last_override_wins(tmp_path):
    loaded = load_config(write(tmp_path), ["seed=1", "seed=2"])
    assert loaded.config.seed == 2
    assert loaded.overrides == ("seed=1", "seed=2")


def test_what_is_kept_beside_the_configuration(tmp_path):
    path = write(tmp_path, "# mine\r\n" + DIGITS)
    loaded = load_config(path)
    assert loaded.text.encode() == path.read_bytes()
    assert (loaded.path, loaded.base) == (path, tmp_path)


def test_a_problem_found_later_has_its_place(tmp_path):
    loaded = load_config(write(tmp_path), ["optimizer.learning_rate=10"])
    assert str(loaded.problem(("data", "source"), "no such file")) == (
        f"{tmp_path}/digits.yaml:2:11: data.source: no such file\n    2 |   source: digits.csv\n"
        f"      |           ^^^^^^^^^^"
    )
    assert str(loaded.placed(Problem(("data", "target"), "why", at_key=True))).startswith(
        f"{tmp_path}/digits.yaml:3:3: data.target: why"
    )
    assert str(loaded.problem(("data", "split", "test"), "too small")) == (
        f"{tmp_path}/digits.yaml:1:1: data.split.test: too small\n    1 | data:\n      | ^^^^"
    )
    assert str(loaded.problem(("optimizer", "learning_rate"), "diverges")) == (
        "override optimizer.learning_rate=10: diverges"
    )


def test_a_stored_configuration(tmp_path):
    tree = resolved_tree(load_config(write(tmp_path)), tmp_path)
    loaded = from_tree(tree, ["seed=3"], base=tmp_path, label="best.safetensors")
    assert loaded.config.seed == 3
    assert tree["seed"] == 0
    with pytest.raises(ConfigError) as caught:
        from_tree(tree | {"seed": -1}, ["training.epochs=x"], base=tmp_path, label="best.safetensors")
    assert str(caught.value) == (
        "best.safetensors: seed: must be at least 0, got -1\n"
        "override training.epochs=x: expected an integer, got 'x' (text)\n"
        "2 problems; nothing was run."
    )


def test_a_missing_file():
    assert refused(Path("configs/figures.yaml")) == "configs/figures.yaml: no such file\n1 problem; nothing was run."


def test_a_misspelt_file():
    write(Path())
    assert refused(Path("digts.yaml")) == (
        "digts.yaml: no such file; did you mean 'digits.yaml'?\n1 problem; nothing was run."
    )


def test_a_directory():
    Path("configs").mkdir()
    assert refused(Path("configs")) == (
        "configs: is a directory; name the YAML file in it\n1 problem; nothing was run."
    )


def test_a_path_below_a_file():
    write(Path())
    assert refused(Path("digits.yaml/x")) == (
        "digits.yaml/x: cannot be read: Not a directory\n1 problem; nothing was run."
    )


def test_a_file_that_is_not_text():
    Path("digits.yaml").write_bytes(b"name: a\nseed: \xff\xfe\n")
    assert refused(Path("digits.yaml")) == (
        "digits.yaml:2:7: not UTF-8 text (byte 0xff); a configuration is a YAML text\n1 problem; nothing was run."
    )


def test_an_empty_file_with_overrides_still_needs_the_rest():
    Path("empty.yaml").write_text("")
    with pytest.raises(ConfigError) as caught:
        load_config("empty.yaml", ["loss=huber"])
    assert str(caught.value) == (
        "empty.yaml: data: required, but not given: source of the examples, their split and their transforms\n"
        "empty.yaml: model: required, but not given: the network\n"
        "2 problems; nothing was run."
    )


def test_a_table_is_no_configuration(tmp_path):
    for name in ("clean data.csv", "rows.jsonl", "rows.parquet", "rows.csv.gz"):
        (tmp_path / name).write_bytes(b"a: b,c\n1,2\n")
        path = tmp_path / name
        way_out = f"bp init {quote(str(path))} writes one"
        assert refused(path).splitlines()[0] == f"{path}: is a table, not a configuration; {way_out}"
