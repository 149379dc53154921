"""Plugins: their gradients are checked before anything runs, and only files that somebody names are run."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from jobs_support import bp, merged, record, run_of, write_config

from backprop_cli.cache import cache_folder
from backprop_cli.checks.registered import check_registered
from backprop_cli.errors import BpWarning, CheckError, ConfigError, UsageError
from backprop_cli.jobs import plugins
from backprop_cli.jobs.evaluate import evaluate
from backprop_cli.jobs.explain import explain
from backprop_cli.jobs.gradcheck import gradcheck
from backprop_cli.jobs.listing import listing
from backprop_cli.jobs.show import show
from backprop_cli.jobs.train import train
from backprop_cli.jobs.validate import validate
from backprop_cli.run.checkpoint import load

ROOT = Path(__file__).parents[2]

CUBE = '''\
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.op import register, sample
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@register
class Cube(Elementwise):
    """``out = x^3``."""

    samples: ClassVar = (sample((3,)),)

    def eval(self, x, *, out):
        np.multiply(x, x, out=out)
        np.multiply(out, x, out=out)

    def partials(self, x, *, out):
        return (3.0 * x * x,)


@ACTIVATIONS.register
class Cubed(Activation):
    """``out = x^3``."""

    type: Literal["cubed"] = "cubed"

    def apply(self, x):
        return Cube()(x)
'''
LAYERS = [{"type": "dense", "units": 6, "activation": "cubed"}, {"type": "dense", "units": 3}]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def plugin(text=CUBE, name="mine.py"):
    Path(name).write_text(text)
    return Path(name)


def using(*names, **more):
    return write_config(**merged({"plugins": list(names or ["mine.py"]), "model": {"layers": LAYERS}}, more))


def wrong(old="3.0 * x * x", new="3.003 * x * x"):
    assert CUBE.count(old) == 1
    return CUBE.replace(old, new)


@pytest.fixture
def trained():
    plugin()
    run, _ = run_of(using(training={"epochs": 1}), "run")
    return run


def test_a_wrong_gradient_ends_it_before_anything_is_written(capsys):
    plugin(wrong())
    assert bp("train", using(), "--run-dir", "run") == 3
    said = capsys.readouterr().err
    assert said.startswith("mine.py:11: gradient check failed: op cube by operand 0[")
    assert said.endswith("(relative error 9.99e-04, tolerance 1e-05)\n")
    assert not Path("run").exists()
    for command in ("validate", "show", "explain", "gradcheck"):
        assert bp(command, using()) == 3
        assert capsys.readouterr().err == said


def test_the_verdict_is_kept_by_content(monkeypatch):
    plugin()
    checked = []
    right = plugins.check_addition
    monkeypatch.setattr(plugins, "check_addition", lambda entry: checked.append(entry.name) or right(entry))
    validate(using())
    assert checked == ["cube", "cubed"]
    (kept,) = cache_folder().iterdir()
    assert json.loads(kept.read_text())["passed"] == ["op cube by operand 0", "activation cubed by x"]
    validate(using())
    assert checked == ["cube", "cubed"]
    plugin(CUBE + "# another\n")
    validate(using())
    assert checked == ["cube", "cubed"] * 2
    monkeypatch.setattr(plugins, "__version__", "another")
    validate(using())
    assert checked == ["cube", "cubed"] * 3


def test_a_wrong_one_does_not_pass_the_second_time():
    plugin(wrong())
    for _ in range(2):
        with pytest.raises(CheckError):
            validate(using())
    assert not cache_folder().exists()


def test_without_a_cache_it_is_checked_every_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    plugin()
    assert validate(using()).parameters == 39
    plugin(wrong())
    with pytest.raises(CheckError):
        validate(using())


LAYER = """\
from typing import ClassVar, Literal

from backprop_cli.nn.initializer import INITIALIZERS, Initializer
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import LAYERS, Layer, Param, Sample
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.metric import METRICS, Metric
from backprop_cli.nn.optimizer import OPTIMIZERS, Optimizer


"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n",
            "mine.py:12:1: layer 'mine' has no samples, at which its gradient could be checked\n"
            "   12 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n",
            "mine.py:12:1: the method apply is missing\n   12 | class Mine(Layer):\n      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n        return x[0].nothing\n",
            "mine.py:17:9: AttributeError: 'Value' object has no attribute 'nothing'\n"
            "   17 |         return x[0].nothing\n"
            "      |         ^^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({'units': 3}, ((3,),)),)\n",
            "mine.py:12:1: layer 'mine' cannot be made of its samples: units: Extra inputs are not permitted\n"
            "   12 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def params(self, *x):\n"
            "        return {'weight': Param((3,), 'zeros')}\n",
            "mine.py:17:9: TypeError: expected an initializer such as Zeros(), got 'zeros'\n"
            "   17 |         return {'weight': Param((3,), 'zeros')}\n"
            "      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n"
            "        from backprop_cli.autodiff import mean\n        return mean(x[0])\n",
            "mine.py:12:1: mine: its apply gives [] for a batch of 4; the first axis must be the batch\n"
            "   12 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n        x[0] + 1\n",
            "mine.py:12:1: mine: its apply gives NoneType, expected a Value\n"
            "   12 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LOSSES.register\nclass Mine(Loss):\n    type: Literal['mine'] = 'mine'\n    task = 'regression'\n\n"
            "    def costs(self, outputs, targets):\n"
            "        from backprop_cli.autodiff import mean\n        return mean(outputs - targets)\n",
            "mine.py:12:1: loss mine: its costs are [] for a batch of 4; each example needs its own\n"
            "   12 | class Mine(Loss):\n"
            "      | ^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LOSSES.register\nclass Mine(Loss):\n    type: Literal['mine'] = 'mine'\n",
            "mine.py:12:1: loss 'mine' does not say its task, as every loss does\n"
            "   12 | class Mine(Loss):\n"
            "      | ^^^^^^^^^^^^^^^^^",
        ),
        (
            "@METRICS.register\nclass Mine(Metric):\n    type: Literal['mine'] = 'mine'\n    tasks = ('classes',)\n",
            "mine.py:12:1: metric 'mine' does not say its better, as every metric does\n"
            "   12 | class Mine(Metric):\n"
            "      | ^^^^^^^^^^^^^^^^^^^",
        ),
    ],
)
def test_what_does_not_keep_its_contract(text, said):
    plugin(LAYER + text)
    with pytest.raises(ConfigError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value) == f"{said}\n1 problem; nothing was run."


def test_a_loss_that_the_configuration_uses_before_it_is_checked():
    plugin(LAYER + "@LOSSES.register\nclass Mine(Loss):\n    type: Literal['mine'] = 'mine'\n")
    with pytest.raises(ConfigError) as caught:
        validate(write_config(plugins=["mine.py"], loss="mine"))
    assert str(caught.value).splitlines()[0] == "mine.py:12:1: loss 'mine' does not say its task, as every loss does"


def test_a_layer_that_the_network_has_before_it_is_checked():
    plugin(
        LAYER + "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
        "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n"
        "        from backprop_cli.autodiff import mean\n        return mean(x[0])\n"
    )
    config = write_config(plugins=["mine.py"], model={"input": [2], "layers": [{"type": "mine"}]})
    with pytest.raises(ConfigError) as caught:
        validate(config)
    assert (
        str(caught.value)
        .splitlines()[0]
        .endswith(
            "model.layers[0]: layer mine_1: its apply gives [] for a batch of 2; the first axis must be the batch "
            "(given input: [2])"
        )
    )


def test_the_name_of_a_type_in_a_file_of_another_name():
    plugin(CUBE.replace("Cube", "Tanh"))
    with pytest.raises(ConfigError) as caught:
        validate(using())
    assert str(caught.value).splitlines()[0] == (
        "mine.py:10:1: op 'tanh' is there already: Tanh of backprop_cli.autodiff.ops.exponential; rename one"
    )


def test_a_wrong_optimizer_and_a_wrong_initializer():
    step = "    def update(self, g, slot, scalar, parameter):\n        return {}, dict(slot)\n\n"
    formula = "    def formula(self, step, g, slot, parameter):\n        return g, dict(slot)\n"
    begin = "@OPTIMIZERS.register\nclass Mine(Optimizer):\n    type: Literal['mine'] = 'mine'\n\n"
    plugin(LAYER + begin + step.format("1.5 * g") + formula)
    with pytest.raises(CheckError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value).startswith("mine.py:12: gradient check failed: optimizer mine[")
    assert "the number of its update is " in str(caught.value)
    plugin(LAYER + begin + step.format("g") + formula)
    assert validate(write_config(plugins=["mine.py"], optimizer="mine")).parameters == 39
    draws = "    def sample(self, rng, shape, fan_in, fan_out):\n        return rng.standard_normal(shape)\n\n"
    moments = "    def moments(self, shape, fan_in, fan_out):\n        return 0.0, 1.2\n"
    begin = "@INITIALIZERS.register\nclass Mine(Initializer):\n    type: Literal['mine'] = 'mine'\n\n"
    plugin(LAYER + begin + draws + moments)
    with pytest.raises(CheckError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value).startswith(
        "mine.py:12: gradient check failed: initializer mine: mean and deviation of its "
    )


COMMANDS = ["eval", "predict", "jacobian", "show", "explain", "gradcheck", "train"]


def words(command, run):
    target = ["--resume", run] if command == "train" else [run / "checkpoints" / "last.safetensors"]
    return [command, *target, *(["flowers.csv"] if command == "predict" else [])]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_checkpoint_runs_no_code_unasked(trained, command, capsys):
    plugin("raise SystemExit('was run')\n")
    assert bp(*words(command, trained)) == 2
    needed = Path("mine.py").resolve()
    assert capsys.readouterr().err == (
        f"{trained}/checkpoints/last.safetensors: its network needs {needed}, whose code is not run unasked; if you "
        f"trust it, add --plugins {needed}\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_with_its_plugin_a_checkpoint_can_be_used(trained, command, capsys):
    moved = shutil.move("mine.py", "moved.py")
    overrides = ["training.epochs=2"] if command == "train" else []
    assert bp(*words(command, trained), *overrides, "--plugins", moved) == 0
    assert "warning" not in capsys.readouterr().err
    assert bp(*words(command, trained), *overrides, "--plugins", "absent.py") == 2
    assert capsys.readouterr().err == "--plugins absent.py: no such file\n1 problem; nothing was run.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_another_file_than_it_was_trained_with(trained, command, capsys):
    plugin(CUBE + "# edited\n", "edited.py")
    assert bp(*words(command, trained), "--plugins", "edited.py") == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert warnings == [
        f"warning: edited.py: is not the {Path('mine.py').resolve()} that {trained}/checkpoints/last.safetensors was "
        "trained with (its sha256 differs)"
    ]


def test_from_python_it_is_a_warning(trained):
    plugin(CUBE + "# edited\n")
    with pytest.warns(BpWarning, match=r"^mine.py: is not the .* was trained with \(its sha256 differs\)$"):
        evaluate(trained, plugins=["mine.py"])


def test_one_of_two_is_missing():
    plugin()
    plugin(CUBE.replace("cube", "root").replace("Cube", "Root"), "more.py")
    run, _ = run_of(using("more.py", "mine.py", training={"epochs": 1}), "run")
    assert evaluate(run, plugins=["mine.py", "more.py"]).examples == 9
    with pytest.raises(UsageError) as caught:
        evaluate(run, plugins=["mine.py"])
    more = Path("more.py").resolve()
    assert str(caught.value) == (
        f"run/checkpoints/best.safetensors: its network needs {more}, whose code is not run unasked; if you trust it, "
        f"add --plugins {more}"
    )


def test_the_run_says_what_it_used(trained):
    (path,) = Path("mine.py").resolve().parent.glob("mine.py")
    digest = record(trained)["plugins"][str(path)]
    assert load(trained / "checkpoints" / "last.safetensors").metadata["plugins"] == [digest]
    assert "plugins: [../mine.py]\n" in (trained / "config.resolved.yaml").read_text()
    assert train(trained / "config.resolved.yaml", run_dir=Path("again")).status == "finished"


def test_a_resumed_run_goes_on_with_what_it_was_given(trained):
    moved = Path(shutil.move("mine.py", "moved.py"))
    train(None, ["training.epochs=2"], resume=trained, plugins=[moved])
    assert list(record(trained)["plugins"]) == [str(moved.resolve())]
    assert f"plugins: [{moved.resolve()}]\n" in (trained / "config.resolved.yaml").read_text()


def test_a_run_without_a_checkpoint_runs_no_code_either(trained):
    shutil.rmtree(trained / "checkpoints")
    with pytest.raises(UsageError, match="whose code is not run unasked"):
        show(trained)
    assert show(trained, plugins=["mine.py"]).parameters == 39


@pytest.mark.parametrize("command", ["train", "show", "explain", "gradcheck"])
def test_a_configuration_names_its_own(command, capsys):
    plugin()
    assert bp(command, using(), "--plugins", "mine.py") == 2
    assert capsys.readouterr().err == (
        "--plugins is for checkpoints and runs; flowers.yaml names its own: plugins: [mine.py]\n"
    )


def test_what_is_listed(capsys):
    plugin()
    entries = {entry["name"]: entry for entry in listing("activations", plugins=["mine.py"])["entries"]}
    assert entries["cubed"]["summary"] == "out = x^3."
    assert bp("list", "ops", "cube", "--plugins", "mine.py") == 0
    assert capsys.readouterr().out.startswith("cube (ops)\n\n``out = x^3``.\n")
    assert bp("list", "ops", "cube") == 2
    assert capsys.readouterr().err.startswith("unknown op 'cube'")
    assert bp("schema", "--plugins", "mine.py") == 0
    assert "activations.cubed" in json.loads(capsys.readouterr().out)["$defs"]
    assert bp("schema") == 0
    assert "activations.cubed" not in json.loads(capsys.readouterr().out)["$defs"]


def test_what_is_registered_is_checked_with_the_rest(monkeypatch):
    some = {"ops": ("cube", "exp"), "activations": ("cubed", "tanh")}
    monkeypatch.setattr("backprop_cli.jobs.gradcheck.check_registered", partial(check_registered, only=some))
    plugin(wrong())
    report = gradcheck(plugins=["mine.py"])
    failed = {check.name for check in report.checks if check.verdict == "FAIL"}
    assert failed == {"op cube by operand 0", "activation cubed by x"}
    assert {check.name for check in report.checks} == failed | {"op exp by operand 0", "activation tanh by x"}


def test_a_network_is_explained_and_checked():
    plugin()
    assert gradcheck(using(model={"input": [2]})).passed
    assert "cube" in [node["op"] for node in explain(using()).nodes]


def test_an_error_of_a_plugin_later_on_is_not_ours(capsys):
    plugin(CUBE.replace("return Cube()(x)", "return Cube()(x) if x.shape[-1] != 6 else x.nothing"))
    assert bp("train", using()) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1] == f"{Path('mine.py').resolve()}:31: AttributeError: 'Value' object has no attribute 'nothing'"


@pytest.mark.parametrize("epochs", [3])
def test_the_example_learns(epochs):
    result = train(ROOT / "configs" / "plugins" / "diabetes.yaml", [f"training.epochs={epochs}"], run_dir=Path("run"))
    assert result.status == "finished"
    assert result.metrics["train/root_mean_squared_error"] < 75  # of the targets' mean alone: 77
