"""Plugins: their gradients are checked before anything runs, and only files that somebody names are run."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from api_support import bp, record, run_of
from plugins_support import CUBE, plugin, using

from backprop_cli.api.eval import evaluate
from backprop_cli.api.explain import explain
from backprop_cli.api.gradcheck import gradcheck
from backprop_cli.api.list_types import list_types
from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.api.validate import validate
from backprop_cli.checks import registered
from backprop_cli.checks.registered import check_registered
from backprop_cli.errors import BpWarning, CheckError, UsageError
from backprop_cli.execution import cache
from backprop_cli.run.checkpoint import load
from backprop_cli.session import checked_plugins as plugins

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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
    assert said.startswith("mine.py:9: gradient check failed: op cube by operand 0[")
    assert said.endswith("(relative error 9.99e-04, tolerance 1e-05)\n")
    assert not Path("run").exists()
    for command in ("validate", "show", "explain", "gradcheck"):
        assert bp(command, using()) == 3
        assert capsys.readouterr().err == said


def test_the_verdict_is_kept_by_content(monkeypatch):
    plugin()
    checked = []
    right = registered.check_addition
    monkeypatch.setattr(registered, "check_addition", lambda entry: checked.append(entry.name) or right(entry))
    validate(using())
    assert checked == ["cube", "cubed"]
    (path,) = cache.cache_folder().iterdir()
    kept = cache.load("plugin", path.name.removeprefix("plugin_"))
    assert json.loads(kept)["passed"] == ["op cube by operand 0", "activation cubed by x"]
    validate(using())
    assert checked == ["cube", "cubed"]
    plugin(CUBE + "# another\n")
    validate(using())
    assert checked == ["cube", "cubed"] * 2
    monkeypatch.setattr(plugins, "__version__", "another")
    validate(using())
    assert checked == ["cube", "cubed"] * 3


def test_a_damaged_verdict_is_none(monkeypatch):
    plugin()
    validate(using())
    (path,) = cache.cache_folder().iterdir()
    path.write_bytes(b"")
    checked = []
    right = registered.check_addition
    monkeypatch.setattr(registered, "check_addition", lambda entry: checked.append(entry.name) or right(entry))
    validate(using())
    assert checked == ["cube", "cubed"]


def test_a_wrong_one_does_not_pass_the_second_time():
    plugin(wrong())
    for _ in range(2):
        with pytest.raises(CheckError):
            validate(using())
    assert not cache.cache_folder().exists()


def test_without_a_cache_it_is_checked_every_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    plugin()
    assert validate(using()).parameters == 39
    plugin(wrong())
    with pytest.raises(CheckError):
        validate(using())


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
    entries = {entry.name: entry for entry in list_types("activations", plugins=["mine.py"]).entries}
    assert entries["cubed"].summary == "out = x^3."
    assert bp("list", "ops", "cube", "--plugins", "mine.py") == 0
    assert capsys.readouterr().out.startswith("cube (ops)\n\n`out = x^3`.\n")
    assert bp("list", "ops", "cube") == 2
    assert capsys.readouterr().err.startswith("unknown op 'cube'")
    assert bp("schema", "--plugins", "mine.py") == 0
    assert "activations.cubed" in json.loads(capsys.readouterr().out)["$defs"]
    assert bp("schema") == 0
    assert "activations.cubed" not in json.loads(capsys.readouterr().out)["$defs"]


def test_what_is_registered_is_checked_with_the_rest(monkeypatch):
    some = {"ops": ("cube", "exp"), "activations": ("cubed", "tanh")}
    monkeypatch.setattr("backprop_cli.api.gradcheck.check_registered", partial(check_registered, only=some))
    plugin(wrong())
    report = gradcheck(plugins=["mine.py"])
    failed = {check.name for check in report.checks if check.verdict == "FAIL"}
    assert failed == {"op cube by operand 0", "activation cubed by x"}
    assert {check.name for check in report.checks} == failed | {"op exp by operand 0", "activation tanh by x"}


def test_a_network_is_explained_and_checked():
    plugin()
    assert gradcheck(using(model={"input": [2]})).passed
    assert "cube" in [node.op for node in explain(using()).nodes]


def test_an_error_of_a_plugin_later_on_is_not_ours(capsys):
    plugin(CUBE.replace("return Cube()(x)", "return Cube()(x) if x.shape[-1] != 6 else x.nothing"))
    assert bp("train", using()) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1] == f"{Path('mine.py').resolve()}:29: AttributeError: 'Value' object has no attribute 'nothing'"


@pytest.mark.parametrize("epochs", [3])
def test_the_example_learns(epochs):
    result = train(ROOT / "configs" / "plugins" / "diabetes.yaml", [f"training.epochs={epochs}"], run_dir=Path("run"))
    assert result.status == "finished"
    assert result.metrics["train/root_mean_squared_error"] < 75  # of the targets' mean alone: 77
