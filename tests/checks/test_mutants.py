"""The check of the check: rules broken on purpose, all of which `auto` notices."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.autodiff import OPS
from backprop_cli.checks.edge_samples import edge_samples
from backprop_cli.checks.method import Options
from backprop_cli.checks.mutation import ON_RESULTS, mutated, mutations
from backprop_cli.checks.mutation_score import network_score, op_score
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.nn.regularization import RegularizationSettings
from backprop_cli.training.state import State
from backprop_cli.training.step_program import INPUTS, PARAMETERS, TARGETS, Recipe

FEW = ("tanh", "matmul", "sum", "slice")


def traced(name, *shapes, **fields):
    op = OPS[name](**fields)
    inputs = [ad.input_(f"x{k}", shape) for k, shape in enumerate(shapes)]
    return op, inputs, op(*inputs)


def derivatives(op, inputs, arrays, seed=0):
    """Reverse and forward rule along random directions."""
    rng, out = np.random.default_rng(seed), op(*inputs)
    cotangent = ad.constant(rng.standard_normal(out.shape))
    tangents = [ad.constant(rng.standard_normal(x.shape)) for x in inputs]
    rules = [*op.vjp(inputs, out, cotangent), op.jvp(inputs, tangents, out)]
    return ad.evaluate([rule for rule in rules if rule is not None], dict(zip(inputs, arrays, strict=True)))


@pytest.mark.slow
def test_every_broken_rule_of_every_op_is_noticed():
    score = op_score()
    assert score.survivors == ()
    assert score.killed == score.total > 1500


def test_every_broken_rule_of_a_few_ops_is_noticed():
    score = op_score(names=FEW)
    assert score.survivors == ()
    assert score.killed == score.total > 150


def test_a_blind_check_leaves_survivors():
    """The adjoint identity does not see what both modes share, and sees all else."""
    score = op_score(names=["tanh", "square"], method="adjoint")
    assert 0 < score.killed < score.total
    assert all(": partials, " in survivor for survivor in score.survivors)
    assert "tanh: partials, node 1 (subtract): factor 1.001" in score.survivors
    assert score.to_json() == {
        "total": score.total,
        "killed": score.killed,
        "survivors": list(score.survivors),
    }


@pytest.mark.slow
def test_every_broken_rule_in_a_network_is_noticed():
    layers = [{"type": "dense", "units": 2, "activation": "tanh"}, {"type": "dense", "units": 1}]
    recipe = Recipe(
        model=Model.build([LAYERS["dense"].model_validate(layer) for layer in layers], (2,)),
        loss=LOSSES["mean_squared_error"].model_validate({}),
        optimizer=OPTIMIZERS["sgd"].model_validate({}),
        regularization=RegularizationSettings(l2=0.1),
    )
    rng = np.random.default_rng(0)
    arrays = {
        PARAMETERS: State.start(recipe, 0).parameters,
        INPUTS: rng.standard_normal((4, 2)),
        TARGETS: rng.standard_normal((4, 1)),
    }
    score = network_score(recipe, arrays, method="auto", order=1, options=Options(4))
    assert score.survivors == ()
    assert score.killed == score.total > 50


def test_every_mistake_can_be_made_somewhere():
    made = set()
    for _, cls in OPS.items():
        for own in cls.samples:
            for sample in (own, *edge_samples(cls, own, np.random.default_rng(0))):
                op = cls(**sample.fields)
                if op.blocks_gradient or any(k in sample.labels for k in range(len(sample.shapes))):
                    continue
                inputs = [ad.input_("x", shape) for shape in sample.shapes]
                made |= {mutation.operator for mutation in mutations(op, inputs, op(*inputs))}
    assert made == set(ON_RESULTS)


MISTAKES = [
    (("tanh", (3,)), {}, "partials, node 1 (subtract): second term dropped", lambda x, c, t: (c, t)),
    (("tanh", (3,)), {}, "partials, node 1 (subtract): sign", lambda x, c, t: _scaled(x, c, t, -1)),
    (
        ("tanh", (3,)),
        {},
        "vjp, node 2 (multiply): factor 1.001",
        lambda x, c, t: (_scaled(x, c, t, 1.001)[0], _right(x, t)),
    ),
    (
        ("tanh", (3,)),
        {},
        "jvp, node 2 (multiply): columns off by one",
        lambda x, c, t: (_right(x, c), np.roll(_right(x, t), -1)),
    ),
    (("sum", (2, 3)), {"axes": (0,)}, "vjp, result 0 (result): dropped", lambda x, c, t: (0 * x, t.sum(0))),
    (
        ("reshape", (2, 2)),
        {"to": (4,)},
        "vjp, node 0 (reshape): transposed",
        lambda x, c, t: (c.reshape(2, 2).T, t.ravel()),
    ),
    (
        ("slice", (4,)),
        {"axis": 0, "start": 1, "stop": 3},
        "vjp, node 0 (pad): index off by one",
        lambda x, c, t: (np.array([0, 0, *c]), t[1:3]),
    ),
]


def _right(x, direction):
    return (1 - np.tanh(x) ** 2) * direction


def _scaled(x, c, t, factor):
    return factor * _right(x, c), factor * _right(x, t)


@pytest.mark.parametrize(("call", "fields", "name", "wanted"), MISTAKES, ids=[name for _, _, name, _ in MISTAKES])
def test_the_mistake_is_the_one_that_is_named(call, fields, name, wanted):
    op, inputs, out = traced(*call, **fields)
    (mutation,) = [each for each in mutations(op, inputs, out) if str(each) == name]
    rng = np.random.default_rng(1)
    x = rng.standard_normal(call[1])
    found = derivatives(mutated(op, mutation), inputs, [x])
    rng = np.random.default_rng(0)
    cotangent, tangent = rng.standard_normal(out.shape), rng.standard_normal(x.shape)
    for got, want in zip(found, wanted(x, cotangent, tangent), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


def test_a_broadcast_sum_that_is_missing():
    op, inputs, out = traced("add", (3,), (2, 3))
    (mutation,) = [
        each for each in mutations(op, inputs, out) if each.rule == "vjp" and each.operator == "broadcast sum missing"
    ]
    wrong, _, _ = derivatives(mutated(op, mutation), inputs, [np.zeros(3), np.zeros((2, 3))])
    cotangent = np.random.default_rng(0).standard_normal((2, 3))
    np.testing.assert_array_equal(wrong, cotangent[0])


def test_values_are_those_of_the_right_op():
    op, inputs, out = traced("tanh", (3,))
    for mutation in mutations(op, inputs, out):
        wrong = mutated(op, mutation)
        np.testing.assert_array_equal(ad.evaluate([wrong(*inputs)], {inputs[0]: np.ones(3)})[0], np.tanh(np.ones(3)))


def test_what_changes_no_number_is_not_counted():
    """A copy of one number cannot be rolled, and transposing it is nothing."""
    score = op_score(names=["copy"])
    assert score.killed == score.total
    every = {m for shape in [(3, 4), (3, 3)] for m in mutations(*traced("copy", shape))}
    assert score.total == len(every)  # all of them change numbers at a square
    alone = list(mutations(*traced("copy", (1, 1))))
    op, inputs, _ = traced("copy", (1, 1))
    right = derivatives(op, inputs, [np.ones((1, 1))])
    same = [m for m in alone if np.array_equal(derivatives(mutated(op, m), inputs, [np.ones((1, 1))]), right)]
    assert {m.operator for m in same} <= {"transposed", "operand 0 transposed"}
    assert same
