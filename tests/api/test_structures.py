"""``bp explain``: the structure, size and entries of every matrix it prints are those of the numeric Jacobian."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from backprop_cli.accumulation.local_jacobian import LocalJacobian
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff import evaluate
from backprop_cli.inspection.chain_rule import derivatives_of_loss
from backprop_cli.inspection.symbols import Symbols
from backprop_cli.inspection.traced_example import trace_example
from backprop_cli.nn.layer import LAYERS

sys.path.append(str(Path(__file__).parents[1] / "training"))
from training_support import recipe

STEP, FEWEST_TRIES, MOST_TRIES = 1e-5, 5, 150
END = ({"type": "flatten"}, {"type": "dense", "units": 2})
SAMPLES = [
    (name, sample)
    for name, cls in LAYERS.items()
    for sample in cls.samples
    # With two columns in a table, no op knows that each reads rows of its own.
    if name != "categorical_embedding" or sample.settings.get("one_hot") != 0
]
NETWORKS = {
    "convolutions": (
        (2, 6, 6),
        [
            {"type": "conv2d", "channels": 2, "kernel": 3, "stride": 2, "activation": "relu"},
            {"type": "max_pool", "kernel": 2},
            *END,
        ],
    ),
    "convolution, norm": (
        (1, 4, 4),
        [{"type": "conv2d", "channels": 2, "kernel": 2}, "batch_norm", {"type": "activation", "function": "elu"}, *END],
    ),
    "in one dimension": ((1, 6), [{"type": "conv1d", "channels": 2, "kernel": 3, "activation": "tanh"}, *END]),
    "the other way": (
        (1, 2, 2),
        [{"type": "conv2d_transpose", "channels": 1, "kernel": 2, "activation": "tanh"}, *END],
    ),
    "an arrow": (
        (3,),
        [{"type": "dense", "units": 3, "activation": "silu"}, {"type": "add", "inputs": ["input", "dense_1"]}, *END],
    ),
    "one input twice": ((3,), [{"type": "multiply", "inputs": ["input", "input"]}, *END]),
    "on a sequence": ((2, 3), [{"type": "dense", "units": 2, "activation": "gelu"}, *END]),
}


def network_of(name, sample):
    """The layer on the example, or on layers of the sample's shapes, and two numbers made of its result."""
    layer = {"type": name, **sample.settings}
    if len(sample.inputs) == 1:
        return sample.inputs[0], [layer, *END]
    made = []
    for number, shape in enumerate(sample.inputs):
        made.append({"type": "dense", "units": math.prod(shape), "name": f"wide_{number}", "inputs": ["input"]})
        made.append({"type": "reshape", "shape": list(shape), "name": f"operand_{number}"})
    return (2,), [*made, {**layer, "inputs": [f"operand_{k}" for k in range(len(sample.inputs))]}, *END]


def traced_network(shape, layers, loss="mean_squared_error"):
    layers = [{"type": layer} if isinstance(layer, str) else layer for layer in layers]
    return trace_example(recipe(layers, shape, loss))


class Numeric:
    """Jacobians by central differences, at as many random points as it takes to see every entry."""

    def __init__(self, traced):
        self.traced = traced
        self.rng = np.random.default_rng(0)
        self.points = []

    def point(self, number):
        """Values of everything."""
        while len(self.points) <= number:
            given = [self.traced.inputs, self.traced.targets, *self.traced.params.values()]
            feed = {value: self.drawn(value) for value in given}
            rising = {value: 0.5 + np.sort(self.rng.random(value.shape)) for value in self.traced.buffers.values()}
            feed |= rising  # as edges of bins are
            names = [value for value in self.traced.names if value not in feed]
            self.points.append(feed | dict(zip(names, evaluate(names, feed), strict=True)))
        return self.points[number]

    def drawn(self, value):
        if not value.spec.is_inexact:
            tables = [table for name, table in self.traced.params.items() if name.startswith("embedding")]
            return self.rng.integers(0, tables[0].shape[0], value.shape)
        return 1.5 * self.rng.standard_normal(value.shape)

    def jacobian(self, of, by, feed):
        """``d of / d by``, what is in ``feed`` held. Shapes: (of.size, by.size)."""
        columns = []
        for place in range(by.size):
            ends = []
            for sign in (1, -1):
                array = feed[by].copy()
                array.reshape(-1)[place] += sign * STEP
                ends.append(evaluate([of], {**feed, by: array})[0].ravel())
            columns.append((ends[0] - ends[1]) / (2 * STEP))
        return np.array(columns).reshape(by.size, of.size).T

    def local(self, of, by, held, nonzeros):
        """What the Jacobians at many points have in common; ``held``: the values it is a function of.

        The search ends when all ``nonzeros`` entries have been seen, or one too many.
        """
        seen = np.zeros((of.size, by.size), bool)
        low, high = np.full(seen.shape, np.inf), np.full(seen.shape, -np.inf)
        for number in range(MOST_TRIES):
            point = self.point(number)
            found = self.jacobian(of, by, {value: point[value] for value in held})
            seen |= np.abs(found) > 1e-8
            low, high = np.minimum(low, found), np.maximum(high, found)
            if number >= FEWEST_TRIES and np.count_nonzero(seen) >= nonzeros:
                break
        ends = np.unique(np.round(np.concatenate([low[seen], high[seen]]), 6))
        is_unit = len(ends) == 1 and abs(ends[0]) == 1
        reads = np.where(seen, np.arange(by.size), -1)
        packed = np.sort(reads, axis=1)[:, ::-1][:, : max(int(seen.sum(axis=1).max(initial=0)), 1)]
        return LocalJacobian(
            packed[:, ::-1] if len(packed) else packed, is_unit, by.size, int(ends[0]) if is_unit else 1
        )


def assert_factors(traced):
    """Of every derivative that is printed, each factor once."""
    rule, numeric = Symbols(traced), Numeric(traced)
    values = {symbol: value for value, symbol in rule.symbols.items()}
    factors = {(f.of, f.by): f for d in derivatives_of_loss(rule) for term in d.terms for f in term}
    assert factors
    given = [traced.inputs, traced.targets, *traced.params.values(), *traced.buffers.values()]
    for factor in factors.values():
        of, by = values[factor.of], values[factor.by]
        assert factor.shape == (of.size, by.size)
        held = [*given, by] if of is traced.loss else [v for v in [*given, *rule.variables] if v is not of]
        found = numeric.local(of, by, held, factor.nonzeros)
        kind = "dense" if of is traced.loss and found.nonzeros == by.size else found.kind
        assert (factor.structure, factor.nonzeros) == (kind, found.nonzeros), f"d{factor.of}/d{factor.by}"


def assert_nodes(traced):
    """Of every operation, by each operand that is no constant; of steps that do the same, the first."""
    numeric, seen = Numeric(traced), set()
    for node, name in traced.names.items():
        key = node.op, *((x.spec, x.is_constant) for x in node.inputs)
        if node.op is None or node.op.blocks_gradient or not node.spec.is_inexact or key in seen:
            continue
        seen.add(key)
        operands = [x for x in node.inputs if x.array is None]
        for operand, local in zip(node.inputs, local_jacobians(node.op, node.inputs, node), strict=True):
            if operand.is_constant or not operand.spec.is_inexact:
                continue
            claimed = 0 if local is None else local.nonzeros
            held = [x for x in operands if x in traced.names]
            found = numeric.local(node, operand, held, claimed)
            assert found.nonzeros == claimed, f"{name} by {traced.names[operand]}"
            if local is not None:
                assert local.kind == found.kind, f"{name} by {traced.names[operand]}"


def marked(name, sample):
    """Slow but for the first sample of a layer: the others have its ops in other shapes."""
    slow = sample is not LAYERS[name].samples[0]
    return pytest.param(name, sample, marks=pytest.mark.slow if slow else (), id=f"{name} {sample.settings}")


@pytest.mark.parametrize(("name", "sample"), [marked(*each) for each in SAMPLES])
def test_every_layer(name, sample):
    traced = traced_network(*network_of(name, sample))
    assert_factors(traced)
    assert_nodes(traced)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    traced = traced_network(*NETWORKS[name])
    assert_factors(traced)
    assert_nodes(traced)


def test_a_pre_activation_is_named_in_the_layout_of_its_activation():
    rule = Symbols(
        traced_network((1, 4, 4), [{"type": "conv2d", "channels": 2, "kernel": 3, "activation": "relu"}, *END])
    )
    assert [(rule.symbols[v], v.shape) for v in rule.variables] == [
        ("z1", (1, 2, 2, 2)), ("a1", (1, 2, 2, 2)), ("z2", (1, 2)), ("L", ()),
    ]  # fmt: skip
    factors = {
        (f.of, f.by): (f.shape, f.structure, f.nonzeros) for d in derivatives_of_loss(rule) for t in d.terms for f in t
    }
    assert factors["a1", "z1"] == ((8, 8), "diagonal", 8)
    assert factors["z1", "W1"] == ((8, 18), "block diagonal", 72)
    assert factors["z1", "b1"] == ((8, 2), "broadcast", 8)
