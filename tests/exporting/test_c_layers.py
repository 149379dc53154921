"""Every layer, activation and prediction of a loss in C: what the project's own plan computes."""

from typing import Annotated

import numpy as np
import pytest
from c_support import written
from pydantic import TypeAdapter

from backprop_cli.autodiff import Program, input_, spec_of
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.activation import ACTIVATIONS
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.registry import Choice
from backprop_cli.settings import Settings

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")


def build(registry, settings):
    return TypeAdapter(Annotated[Settings, Choice(registry)]).validate_python(settings)


def _layers():
    """A layer of each sample of each type but blocks, which are unrolled; (name, function of arrays, arrays)."""
    for name, cls in LAYERS.items():
        for sample in cls.samples if name != "block" else ():
            layer = build(LAYERS, {"type": name, **sample.settings})
            rng = np.random.default_rng(1)
            x = {
                f"x{k}": rng.normal(size=(1, *shape))
                if layer.vocabulary is None
                else rng.integers(0, layer.vocabulary, (1, *shape))
                for k, shape in enumerate(sample.inputs)
            }
            specs = [spec_of(array) for array in x.values()]
            held = {**layer.params(*specs), **layer.buffers(*specs)}
            params = {key: np.abs(rng.normal(size=one.shape)) for key, one in held.items()}

            def apply(values, layer=layer, x=x, params=params):
                return layer.apply({key: values[key] for key in params}, *(values[key] for key in x))

            yield f"{name} {sample.settings}", apply, {**x, **params}


def _functions():
    x = {"x": np.random.default_rng(2).normal(size=(1, 6)) * 3}
    for name, cls in ACTIVATIONS.items():
        for settings in cls.samples:
            found = build(ACTIVATIONS, {"type": name, **settings})
            yield f"{name} {settings}", lambda values, found=found: found.apply(values["x"]), x
    for name, cls in LOSSES.items():
        for settings in cls.samples:
            found = build(LOSSES, {"type": name, **settings})
            yield f"{name} {settings}", lambda values, found=found: found.activate(values["x"]), x


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float64", 1e-13), pytest.param("float32", 1e-5, marks=pytest.mark.slow)]
)
def test_layers_activations_and_predictions(kind, tolerance, tmp_path):
    cases, programs, feeds = [], [], []
    for name, function, arrays in [*_layers(), *_functions()]:
        feed = {key: x.astype(kind) if x.dtype.kind == "f" else x for key, x in arrays.items()}
        values = {key: input_(key, x.shape, x.dtype) for key, x in feed.items()}
        cases.append(name)
        programs.append(simplify(Program(values, {"out": function(values)})))
        feeds.append(feed)
    assert {name.split()[0] for name in cases} >= {*LAYERS, *ACTIVATIONS, *LOSSES} - {"block"}
    functions, library = written(programs, tmp_path, kind)
    wrong = []
    for name, program, function, feed in zip(cases, programs, functions, feeds, strict=True):
        plan = Plan(program, feed)
        plan.run()
        expected, out = plan.outputs["out"], function.run(library, feed)["out"]
        scale = max(float(np.abs(expected).max(initial=0.0)), 1e-30)
        if not np.abs(out - expected).max(initial=0.0) <= tolerance * scale:
            wrong.append((name, float(np.abs(out - expected).max()) / scale))
    assert not wrong
