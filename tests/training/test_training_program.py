"""The training step as a program: against formulas by hand, and against itself run another way."""

import math

import numpy as np
import pytest
from training_support import DENSE, DROPOUT, Examples, examples, recipe

from backprop_cli.autodiff import evaluate
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.optimizer import OPTIMIZERS, FullBatch
from backprop_cli.training.parameter_spans import LEARNING_RATE
from backprop_cli.training.state import State
from backprop_cli.training.step_program import (
    GRADIENT,
    GRADIENT_NORM,
    GRADIENT_SUM,
    INPUTS,
    LOSS,
    PARAMETERS,
    PREDICTIONS,
    REGULARIZATION,
    SHARE,
    TARGETS,
    evaluation_step,
    gradient_program,
    prediction_step,
    training_step,
)

LINEAR = ({"type": "dense", "units": 3},)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def feed(program, r, data: Examples, state: State, seed=0, rate=0.1):
    """Arrays for every input of a program, by name."""
    rng = np.random.default_rng(seed)
    arrays = {INPUTS: data.inputs, TARGETS: data.targets, **state.vectors}
    arrays |= {name: np.asarray(value, r.model.dtype) for name, value in r.optimizer.scalars(1).items()}
    arrays |= {LEARNING_RATE: np.asarray(rate, r.model.dtype), SHARE: np.asarray(1.0, r.model.dtype)}
    for name, value in program.inputs.items():
        if name not in arrays:
            arrays[name] = rng.random(value.shape).astype(value.dtype)
    return {name: arrays[name] for name in program.inputs}


def run(program, arrays):
    plan = Plan(program)
    for name, array in plan.inputs.items():
        array[...] = arrays[name]
    plan.run()
    return plan


def gradient(r, data: Examples, state: State, seed=0):
    program = gradient_program(r, len(data))
    return run(program, feed(program, r, data, state, seed)).outputs[GRADIENT].copy()


def stepped(r, data: Examples, rate=0.1):
    """(parameters before, parameters after, outputs) of one step."""
    state = State.start(r, 0)
    program = training_step(r, len(data))
    plan = run(program, feed(program, r, data, state, rate=rate))
    return state.parameters, plan.inputs[PARAMETERS], plan.outputs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_with_cross_entropy_comes_out_as_p_minus_onehot(dtype):
    r = recipe(LINEAR, dtype=dtype)
    data, state = examples(12, r), State.start(r, 3)
    params = r.layout.arrays(state.parameters)
    p = softmax(data.inputs @ params["dense_1.weight"].T + params["dense_1.bias"])
    error = (p - np.eye(3)[data.targets]) / len(data)
    found = r.layout.arrays(gradient(r, data, state))
    scale = np.finfo(dtype).eps * 8
    np.testing.assert_allclose(found["dense_1.weight"], error.T @ data.inputs, rtol=0, atol=scale)
    np.testing.assert_allclose(found["dense_1.bias"], error.sum(axis=0), rtol=0, atol=scale)


def test_sigmoid_with_binary_cross_entropy_comes_out_as_p_minus_y():
    r = recipe(({"type": "dense", "units": 1},), loss="binary_cross_entropy")
    data, state = examples(12, r), State.start(r, 3)
    params = r.layout.arrays(state.parameters)
    p = 1 / (1 + np.exp(-(data.inputs @ params["dense_1.weight"].T)))
    error = (p - data.targets) / len(data)
    np.testing.assert_allclose(r.layout.arrays(gradient(r, data, state))["dense_1.weight"], error.T @ data.inputs)


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error", "huber", "binary_cross_entropy"])
def test_gradient_of_a_batch_is_the_mean_of_its_examples(loss):
    r = recipe(loss=loss)
    data, state = examples(7, r), State.start(r, 1)
    alone = [gradient(r, Examples(data.inputs[i : i + 1], data.targets[i : i + 1]), state) for i in range(7)]
    np.testing.assert_allclose(gradient(r, data, state), np.mean(alone, axis=0), rtol=0, atol=1e-15)


def test_weighted_batch_is_the_mean_of_its_examples():
    r = recipe(loss={"type": "cross_entropy", "label_smoothing": 0.1}, class_weights=np.array([0.5, 1.0, 3.0]))
    data, state = examples(6, r), State.start(r, 1)
    alone = [gradient(r, Examples(data.inputs[i : i + 1], data.targets[i : i + 1]), state) for i in range(6)]
    np.testing.assert_allclose(gradient(r, data, state), np.mean(alone, axis=0), rtol=0, atol=1e-15)


def test_class_weights_and_label_smoothing_by_hand():
    weights = np.array([0.5, 1.0, 3.0])
    r = recipe(LINEAR, loss={"type": "cross_entropy", "label_smoothing": 0.3}, class_weights=weights)
    data, state = examples(9, r), State.start(r, 3)
    params = r.layout.arrays(state.parameters)
    p = softmax(data.inputs @ params["dense_1.weight"].T)
    q = 0.7 * np.eye(3)[data.targets] + 0.1
    by_hand = np.mean(weights[data.targets] * -(q * np.log(p)).sum(axis=1))
    program = evaluation_step(r, 9)
    np.testing.assert_allclose(run(program, feed(program, r, data, state)).outputs[LOSS], by_hand, rtol=1e-14)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.02), (0.03, 0.0), (0.03, 0.02)])
def test_regularization_by_hand(l1, l2):
    plain, penal = recipe(), recipe(l1=l1, l2=l2)
    data = examples(6, plain)
    before, after, outputs = stepped(penal, data)
    _, without, plain_outputs = stepped(plain, data)
    params = plain.layout.arrays(before)
    weights = [array for name, array in params.items() if name.endswith("weight")]
    by_hand = sum(l1 * np.abs(w).sum() + l2 / 2 * (w**2).sum() for w in weights)
    np.testing.assert_allclose(outputs[REGULARIZATION], by_hand, rtol=1e-14)
    assert outputs[LOSS] == plain_outputs[LOSS]  # the loss is reported without it
    pull = {name: l1 * np.sign(w) + l2 * w if name.endswith("weight") else 0 * w for name, w in params.items()}
    flat = np.concatenate([pull[name].ravel() for name in params])
    np.testing.assert_allclose(after, without - 0.1 * flat, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("norm", "value"), [(0.01, None), (100.0, None), (None, 0.02), (0.05, 0.01)])
def test_clipping_by_hand(norm, value):
    r = recipe(clip_norm=norm, clip_value=value)
    data = examples(6, r)
    before, after, outputs = stepped(r, data)
    g = gradient(recipe(), data, State.start(r, 0))
    np.testing.assert_allclose(outputs[GRADIENT_NORM], math.sqrt(g @ g), rtol=1e-14)  # as it was before clipping
    if norm is not None:
        g = g * min(1.0, norm / (math.sqrt(g @ g) + 1e-6))
    if value is not None:
        g = np.clip(g, -value, value)
    np.testing.assert_allclose(after, before - 0.1 * g, rtol=0, atol=1e-15)


OPTIMIZER_SETTINGS = [
    pytest.param({"type": name, **sample}, id=f"{name}-{k}")
    for name, cls in OPTIMIZERS.items()
    for k, sample in enumerate(cls.samples)
    if not issubclass(cls, FullBatch)
]


@pytest.mark.parametrize("optimizer", OPTIMIZER_SETTINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_plan_of_the_whole_step_equals_the_eager_one(optimizer, dtype):
    r = recipe(DROPOUT, optimizer=optimizer, dtype=dtype, l2=1e-2, clip_norm=0.1)
    data, state = examples(6, r), State.start(r, 0)
    program = training_step(r, 6, predictions=True)
    arrays = feed(program, r, data, state)
    names = [*program.outputs, *program.updates]
    values = [*program.outputs.values(), *program.updates.values()]
    eager = evaluate(values, {value: arrays[name] for name, value in program.inputs.items()})
    plan = run(program, arrays)
    for name, expected in zip(names, eager, strict=True):
        found = plan.outputs[name] if name in plan.outputs else plan.inputs[name]
        assert found.dtype == expected.dtype == np.dtype(dtype), name
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZER_SETTINGS)
def test_float32_stays_float32(optimizer):
    r = recipe(DROPOUT, optimizer=optimizer, dtype="float32", l1=1e-3, l2=1e-2, clip_norm=0.1, clip_value=0.1)
    program = training_step(r, 6, predictions=True)
    other = [node for node in program.nodes if node.spec.is_inexact and node.dtype != np.float32]
    assert not other


def test_an_update_that_accumulates_takes_its_share_and_clears_the_sum():
    r = recipe(accumulate=True)
    data, state = examples(6, r), State.start(r, 0)
    state.vectors[GRADIENT_SUM][...] = 0.5
    program = training_step(r, 6)
    arrays = feed(program, r, data, state)
    arrays[SHARE] = np.asarray(0.25)
    plan = run(program, arrays)
    expected = state.parameters - 0.1 * (0.5 + 0.25 * gradient(r, data, state))
    np.testing.assert_allclose(plan.inputs[PARAMETERS], expected, rtol=0, atol=1e-15)
    assert not plan.inputs[GRADIENT_SUM].any()


def test_evaluation_and_prediction_drop_nothing_and_update_nothing():
    r = recipe(DROPOUT)
    data, state = examples(6, r), State.start(r, 0)
    program = evaluation_step(r, 6)
    assert set(program.inputs) == {INPUTS, TARGETS, PARAMETERS}
    assert not program.updates
    bare = recipe()  # the same network without the dropout
    plain = evaluation_step(bare, 6)
    found = run(program, feed(program, r, data, state)).outputs
    expected = run(plain, feed(plain, bare, data, state)).outputs
    assert found[LOSS] == expected[LOSS]
    guess = prediction_step(r, 6)
    assert set(guess.inputs) == {INPUTS, PARAMETERS}
    made_guess = run(guess, feed(guess, r, data, state)).outputs[PREDICTIONS]
    np.testing.assert_array_equal(made_guess, expected[PREDICTIONS])
    np.testing.assert_allclose(made_guess.sum(axis=1), 1.0)


@pytest.mark.parametrize("segments", ["auto", 2, 5])
def test_recomputing_gives_the_same_bits(segments):
    """Dropout keeps its mask: it is drawn before the step, not in it."""
    layers = ({"type": "dense", "units": 6, "activation": "relu"}, DROPOUT[1], *DENSE)
    plain = recipe(layers, l2=1e-2, clip_norm=0.1, optimizer="adam")
    again = recipe(layers, l2=1e-2, clip_norm=0.1, optimizer="adam", recompute=segments)
    data, state = examples(6, plain), State.start(plain, 0)
    programs = [training_step(r, 6, predictions=True) for r in (plain, again)]
    runs = [run(program, feed(program, plain, data, state)) for program in programs]
    for name in (*programs[0].outputs, *programs[0].updates):
        one, other = (p.outputs[name] if name in p.outputs else p.inputs[name] for p in runs)
        np.testing.assert_array_equal(one, other, err_msg=name)
    assert segments == "auto" or runs[1].calls > runs[0].calls
