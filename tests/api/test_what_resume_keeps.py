"""Every setting of the configuration, and what a resumed run does where it changed: as it is declared to.

The settings are found by walking over the schema, registries included, so that a new one is here by itself.
"""

from __future__ import annotations

import contextlib
import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from api_support import bp, known_run, resumed, write_config
from pydantic import ValidationError

from backprop_cli.config.changes import changes, rule_of
from backprop_cli.config.configuration import Config
from backprop_cli.errors import ConfigError
from backprop_cli.nn.average import AVERAGES
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.metric import METRICS
from backprop_cli.nn.optimizer import OPTIMIZERS, Optimizer
from backprop_cli.nn.schedule import SCHEDULES
from backprop_cli.registry import Choice
from backprop_cli.session.resumption import find_run, open_run
from backprop_cli.settings import FREE, REFUSED, OnResume, Settings


def settings_of(cls: type[Settings], rule: OnResume = REFUSED, path: str = "") -> Iterator[tuple[str, OnResume]]:
    """Every setting that is not one of a registry's types, with the rule that holds for it."""
    for key, field in cls.model_fields.items():
        own = rule_of(field, rule)
        yield path + key, own
        for each in classes_in(field.annotation, field.metadata):
            yield from settings_of(each, own, f"{path}{key}.")


def classes_in(annotation: Any, metadata: Any = ()) -> Iterator[type[Settings]]:
    if any(isinstance(mark, Choice) for mark in metadata):
        return
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from classes_in(inner, marks)
    elif isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Settings):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, tuple):
        for argument in get_args(annotation):
            yield from classes_in(argument)


RULES = dict(settings_of(Config))
FREE_KEYS = {
    "schedule",
    "early_stopping",
    "early_stopping.patience",
    "early_stopping.min_delta",
    "early_stopping.restore_best",
    "checkpoint",
    "checkpoint.every_epochs",
    "checkpoint.every_steps",
    "checkpoint.keep_last",
    "checkpoint.keep_best",
    "gradient_check",
    *(
        f"gradient_check.{key}"
        for key in ("at_start", "every_steps", "method", "samples", "tolerance", "adjoint_every_steps")
    ),
    "gradient_check.on_failure",
    "gradient_check.max_seconds",
    "log",
    "log.every_steps",
    "data.format",
    "lookahead.steps",
    "lookahead.rate",
    *(
        f"training.{key}"
        for key in ("epochs", "batch_size", "max_steps", "max_seconds", "accumulate", "clip_norm", "clip_value")
    ),
    "calibrate",
    "intervals",
    "training.recompute",
    "training.recompute.segments",
    "training.threads",
    "training.compile",
}
RESTARTING_KEYS = {
    "metrics",
    "regularization",
    "regularization.l1",
    "regularization.l2",
    "checkpoint.monitor",
    "early_stopping.monitor",
    "early_stopping.mode",
}


def test_what_is_free_and_what_restarts_is_what_was_decided():
    """All else is refused: a setting that nobody has thought about, too."""
    assert {key for key, rule in RULES.items() if rule.effect == "free"} == FREE_KEYS
    assert {key for key, rule in RULES.items() if rule.effect == "restarts"} == RESTARTING_KEYS


def other_values(annotation: Any, metadata: Any, value: Any) -> Iterator[Any]:
    """Values that a field may have instead of ``value``; some of them may not fit."""
    choice = next((mark for mark in metadata if isinstance(mark, Choice)), None)
    if choice is not None:
        yield from (name for name in choice.registry if name != getattr(value, "type", None))
        return
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *marks = get_args(annotation)
        yield from other_values(inner, marks, value)
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from other_values(argument, (), value)
    elif origin is Literal:
        yield from (word for word in get_args(annotation) if word != value)
    elif origin is tuple:
        (first, *_) = get_args(annotation)
        made = [item for item in other_values(first, (), None) if item is not None][:2]
        yield made[:1]
        yield made
        yield [3, 3]
    elif annotation is bool:
        yield not value
    elif annotation is int:
        yield from ((value + 1, value - 1, 2 * value) if type(value) is int else (2, 1, 3))
    elif annotation is float:
        yield from ((value / 2, value + 0.25, value + 1.0) if type(value) is float else (0.5, 1.5))
    elif annotation is str:
        yield from ("other", "validation/accuracy", "train/loss", "sum.other")
    elif annotation is type(None):
        yield None
    elif isinstance(annotation, type) and issubclass(annotation, Settings):
        yield {}


def changed_instances(base: Settings) -> Iterator[tuple[str, Settings]]:
    """For each key of ``base``, the same settings with another value there."""
    cls = type(base)
    for key, field in cls.model_fields.items():
        if key == "type" or (key == "groups" and isinstance(base, Optimizer)):
            continue
        value = getattr(base, key)
        for other in other_values(field.annotation, field.metadata, value):
            given = {name: getattr(base, name) for name in base.model_fields_set | {"type"} if name in cls.model_fields}
            try:
                made = cls.model_validate({**given, key: other})
            except (ValidationError, ValueError):
                continue
            if getattr(made, key) != value:
                yield key, made
                break


def instances(registry: Any) -> Iterator[Settings]:
    for _, cls in registry.items():
        samples = [getattr(sample, "settings", sample) for sample in cls.samples] or [{}]
        for sample in samples:
            yield cls.model_validate({"type": registry.name_of(cls), **sample})


@pytest.mark.parametrize("registry", [LAYERS, LOSSES], ids=["layers", "losses"])
def test_every_key_of_every_layer_and_loss_is_refused(registry):
    seen, missed = set(), set()
    for base in instances(registry):
        keys = set(type(base).model_fields) - {"type"}
        found = dict(changed_instances(base))
        missed |= {(base.type, key) for key in keys}  # type: ignore[attr-defined]
        for key, made in found.items():
            differences = list(changes(base, made, ("model",), RULES["model"]))
            assert differences, (base, made)
            assert all(change.rule.effect == "refused" for change in differences), (base, made)
            assert all(change.path[:2] == ("model", key) for change in differences)
            assert "was " in str(differences[0])
            seen.add((base.type, key))  # type: ignore[attr-defined]
    # Keys that hold names or whole layers have no other value that could be made up here.
    assert {key for _, key in missed - seen} <= {"layers", "share", "inputs", "initializer", "regularization", "levels"}


FREE_OF_OPTIMIZERS = {
    "learning_rate",
    "weight_decay",
    "weight_decay_schedule",
    "epsilon",
    "nesterov",
    "tolerance",
    "max_line_search",
}
RESTARTING_SCHEDULES = {"monitor", "mode"}


@pytest.mark.parametrize(
    ("section", "registry", "free", "restarts"),
    [
        ("optimizer", OPTIMIZERS, FREE_OF_OPTIMIZERS, set()),
        ("schedule", SCHEDULES, None, RESTARTING_SCHEDULES),
        ("average", AVERAGES, {"decay"}, set()),
        ("metrics", METRICS, set(), None),
    ],
)
def test_every_key_of_every_type(section, registry, free, restarts):
    """None: all others."""
    for base in instances(registry):
        for key, made in changed_instances(base):
            (change, *_) = changes(base, made, (section,), RULES[section])
            found = change.rule.effect
            expected = "refused"
            if restarts is None or key in restarts:
                expected = "restarts"
            elif free is None or key in free:
                expected = "free"
            if section == "optimizer" and key == "fallback":
                expected = "refused"
            assert found == expected, (base, key)
            assert change.path[:2] == (section, key)


# --- runs ------------------------------------------------------------------------------------------------------

BASE = {
    "model": {"layers": [{"type": "dense", "units": 6, "activation": "tanh"}, {"type": "dense", "units": 3}]},
    "loss": {"type": "cross_entropy"},
    "schedule": {"type": "plateau", "patience": 1},
    "regularization": {"l2": 0.01},
    "average": {"type": "ema", "decay": 0.9},
    "lookahead": {"steps": 2},
    "early_stopping": {"patience": 9},
    "gradient_check": {"samples": 1, "max_seconds": 1.0},
    "training": {"epochs": 2, "recompute": {"segments": 1}, "overfit_batches": None},
    "metrics": ["accuracy", {"type": "top_k_accuracy", "k": 2}],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of ``BASE`` that many tests look at, and none goes on with."""
    folder = tmp_path_factory.mktemp("trained")
    with contextlib.chdir(folder):
        known_run(write_config(**BASE), "run")
    return folder / "run"


def one_more(run: Path) -> list[tuple[str, Any, OnResume]]:
    """An override for each setting of the run's configuration that has another valid value: KEY, value, its rule."""
    directory, path = find_run(run)
    found: list[tuple[str, Any, OnResume]] = []

    def walk(settings: Settings, rule: OnResume, key: str) -> None:
        for name, field in type(settings).model_fields.items():
            here, own, value = f"{key}.{name}" if key else name, rule_of(field, rule), getattr(settings, name)
            if isinstance(value, Settings):
                walk(value, own, here)
                continue
            if isinstance(value, tuple) and value and all(isinstance(item, Settings) for item in value):
                for index, item in enumerate(value):
                    walk(item, own, f"{here}.{index}")
                continue
            others = other_values(field.annotation, field.metadata, value)
            found.extend((here, other, own) for other in others if other != value)

    walk(open_run(directory, path).loaded.config, REFUSED, "")
    return found


def written(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def test_every_setting_of_a_run_does_as_it_is_declared_to(trained):
    """Free and restarting overrides are taken; a refused one is reported with its old and new value."""
    tried: dict[str, str] = {}
    directory, path = find_run(trained)
    for key, value, rule in one_more(trained):
        if key in tried or key in ("name", "plugins") or (key == "model.input" and value == [2]):
            continue  # an input of 2 is what the data is
        override = f"{key}={written(value)}"
        try:
            open_run(directory, path, [override])
            outcome = "taken"
        except ConfigError as error:
            (problem, *_) = error.problems
            if "was " not in problem.reason or "would be" not in problem.reason:
                continue  # no value that this key could have
            assert problem.override == override
            assert "; leave it out, or start a new run" in problem.reason
            outcome = "refused"
        is_file = key in ("data.source", "data.train", "data.validation", "data.test")
        assert outcome == ("refused" if rule.effect == "refused" and not is_file else "taken"), override
        tried[key] = outcome
    sections = {key.partition(".")[0] for key in tried}
    assert sections == set(Config.model_fields) - {"name", "plugins"}
    assert len(tried) >= 80


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.learning_rate=0.5",
        "optimizer.epsilon=1e-6",
        "schedule.factor=0.5",
        "schedule=cosine",
        "schedule.warmup_steps=9",
        "average.decay=0.5",
        "lookahead.rate=0.25",
        "training.epochs=5",
        "training.max_steps=100",
        "training.max_seconds=100",
        "training.batch_size=7",
        "training.accumulate=2",
        "training.clip_norm=1",
        "training.recompute=none",
        "training.threads=1",
        "training.compile=false",
        "early_stopping.patience=4",
        "early_stopping.min_delta=0.5",
        "early_stopping.restore_best=false",
        "early_stopping=none",
        "checkpoint.every_steps=3",
        "checkpoint.keep_best=0",
        "checkpoint.keep_best=3",
        "checkpoint.keep_last=0",
        "gradient_check=none",
        "log.every_steps=2",
        "regularization.l2=0.5",
        "metrics=[accuracy, recall]",
    ],
)
def test_a_run_goes_on_with_what_is_free_and_says_nothing(override, capsys):
    run, _ = known_run(write_config(**BASE), "run")
    more = [] if override.startswith("training.epochs") else ["training.epochs=4"]
    result, told = resumed(run, override, *more)
    assert result.epochs == (5 if not more else 4)
    assert told == []


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("name=other", "name was flowers, would be other: a resumed run stays in its directory"),
        ("run.directory=others", "run.directory was runs, would be others: a resumed run stays in its directory"),
    ],
)
def test_what_names_the_directory_is_ignored_with_a_remark(override, told):
    run, _ = known_run(write_config(**BASE), "run")
    for epochs in (4, 5):  # the remark is the same again: nothing of the override was saved
        result, remarks = resumed(run, override, f"training.epochs={epochs}")
        assert (result.run_dir, result.epochs) == (run, epochs)
        assert remarks == [told]
    resolved = yaml.safe_load((run / "config.resolved.yaml").read_text())
    assert (resolved["name"], resolved["run"]["directory"]) == ("flowers", "runs")


def test_a_free_rule_is_inherited_by_what_is_below():
    assert RULES["gradient_check.samples"] == FREE
    assert RULES["data.transform.numeric"].why == "the network was trained on its inputs and targets as they were"
    assert RULES["model.layers"] == REFUSED


TIMES = '''\
from typing import Literal

from backprop_cli.nn.layer import LAYERS, Layer, Sample


@LAYERS.register
class Times(Layer):
    """``out = factor * x``."""

    type: Literal["times"] = "times"
    factor: float = 2.0
    samples = (Sample({}, ((4,),)),)

    def apply(self, params, *x):
        return x[0] * self.factor
'''


def test_a_key_of_a_plugins_layer_is_refused_by_default(capsys):
    Path("times.py").write_text(TIMES)
    layers = [{"type": "times"}, {"type": "dense", "units": 3}]
    run, _ = known_run(write_config(plugins=["times.py"], model={"layers": layers}), "run")
    assert bp("train", "--resume", run, "--plugins", "times.py", "model.layers.0.factor=3.0") == 2
    assert capsys.readouterr().err == (
        "override model.layers.0.factor=3.0: was 2.0, would be 3.0: the numbers that the run has saved would mean "
        "something else; leave it out, or start a new run\n1 problem; nothing was run.\n"
    )
