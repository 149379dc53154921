"""L-BFGS on networks: the optimum that others find, the same bits after a rest, and what ends it."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from training_support import DENSE, Examples, epochs, examples, recipe, spec, trained

from backprop_cli.errors import DivergenceError
from backprop_cli.execution.plan import Plan
from backprop_cli.training.events import Step, Stopped
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State
from backprop_cli.training.step_program import BUFFERS, GRADIENT, INPUTS, LOSS, PARAMETERS, TARGETS, gradient_program

LINEAR = ({"type": "dense", "units": 3},)
WITH_NORM = (DENSE[0], {"type": "batch_norm"}, DENSE[1])
EXACT = {"type": "lbfgs", "tolerance": 1e-9}


def full(r, data, count=200, **more):
    return spec(r, data, epochs=count, batch_size=len(data), **more)


def objective(r, data):
    """Loss with penalty and its gradient as SciPy wants them."""
    plan = Plan(gradient_program(r, len(data)))
    plan.inputs[INPUTS][...], plan.inputs[TARGETS][...] = data.inputs, data.targets

    def f(vector):
        plan.inputs[PARAMETERS][...] = vector
        plan.run()
        return float(plan.outputs[LOSS]), plan.outputs[GRADIENT].copy()

    return f


def reason(events) -> str:
    assert isinstance(events[-1], Stopped)
    return events[-1].reason


def test_logistic_regression_comes_to_scipys_optimum():
    r = recipe(LINEAR, optimizer=EXACT, l2=0.01)
    data = examples(200, r)
    state, events = trained(full(r, data))
    best = minimize(objective(r, data), np.zeros(r.layout.size), jac=True, method="BFGS", options={"gtol": 1e-10})
    value, gradient = objective(r, data)(state.parameters)
    assert value == pytest.approx(best.fun, rel=1e-12)
    assert np.abs(gradient).max() <= 1e-9
    assert state.step < 30
    views = [r.layout.arrays(vector)["dense_1.weight"] for vector in (state.parameters, best.x)]
    np.testing.assert_allclose(*views, rtol=0, atol=1e-7)  # biases may all be shifted by one number
    assert reason(events).startswith("lbfgs: converged; the largest entry of the gradient is ")


def test_least_squares_is_solved_as_by_a_factorization():
    r = recipe(LINEAR, loss="mean_squared_error", optimizer=EXACT)
    data = examples(60, r)
    state, _ = trained(full(r, data))
    design = np.hstack([data.inputs, np.ones((60, 1))])
    solution = np.linalg.lstsq(design, data.targets, rcond=None)[0]
    views = r.layout.arrays(state.parameters)
    np.testing.assert_allclose(views["dense_1.weight"], solution[:4].T, rtol=0, atol=1e-7)
    np.testing.assert_allclose(views["dense_1.bias"], solution[4], rtol=0, atol=1e-7)


def test_every_step_lowers_the_objective_and_an_epoch_tells_of_its_end():
    r = recipe(DENSE, optimizer=EXACT, l2=1e-3)
    data = examples(50, r)
    state, events = trained(full(r, data, 40, metrics=["accuracy"]))
    values = [event.loss + event.regularization for event in events if isinstance(event, Step)]
    assert all(after < before for before, after in pairwise(values))
    assert objective(r, data)(state.parameters)[0] == pytest.approx(values[-1], rel=1e-14)
    (last,) = epochs(events)[-1:]
    params = r.layout.arrays(state.parameters)
    hidden = np.tanh(data.inputs @ params["dense_1.weight"].T + params["dense_1.bias"])
    right = (hidden @ params["dense_2.weight"].T + params["dense_2.bias"]).argmax(axis=1) == data.targets
    assert last.metrics["train/accuracy"] == right.mean()
    assert last.metrics["train/loss"] == [event.loss for event in events if isinstance(event, Step)][-1]


@pytest.mark.parametrize("layers", [DENSE, WITH_NORM], ids=["dense", "batch norm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stop", [1, 2, 4, 9])
def test_goes_on_with_the_same_bits(layers, dtype, stop):
    r = recipe(layers, optimizer={"type": "lbfgs", "history": 3, "tolerance": 0.0}, dtype=dtype, l2=1e-3)
    data = examples(30, r)
    whole, _ = trained(full(r, data, 12))
    begun = State.start(r, 0)
    for event in Trainer(full(r, data, 12), begun).run():
        if isinstance(event, Step) and event.step == stop:
            break
    tensors = {name: array.copy() for name, array in begun.tensors(r).items()}
    rest = State.start(r, 5)
    rest.restore(r, tensors, json.loads(json.dumps(begun.counters())), "x.safetensors")
    trained(full(r, data, 12), rest)
    assert rest.step == whole.step == 12
    for name, vector in whole.vectors.items():
        np.testing.assert_array_equal(rest.vectors[name], vector, err_msg=name)


def test_what_is_remembered_are_the_last_steps_and_changes():
    r = recipe(LINEAR, optimizer={"type": "lbfgs", "history": 2, "tolerance": 0.0}, l2=0.01)
    data, state = examples(30, r), State.start(r, 0)
    points = [state.parameters.copy()]
    for event in Trainer(full(r, data, 3), state).run():
        if isinstance(event, Step):
            points.append(state.parameters.copy())
    gradients = [objective(r, data)(point)[1] for point in points]
    for k, slot in ((2, 0), (1, 1)):  # the third step took the place of the first
        np.testing.assert_allclose(state.vectors[f"step_{slot}"], points[k + 1] - points[k], rtol=0, atol=1e-15)
        change = gradients[k + 1] - gradients[k]
        np.testing.assert_allclose(state.vectors[f"change_{slot}"], change, rtol=0, atol=1e-14)
    np.testing.assert_allclose(state.vectors["gradient"], gradients[3], rtol=0, atol=1e-15)


def test_buffers_are_updated_once_a_step_however_long_the_search():
    r = recipe(WITH_NORM, optimizer={"type": "lbfgs", "tolerance": 0.0})
    data, state = examples(30, r), State.start(r, 0)
    before = r.buffer_layout.arrays(state.vectors[BUFFERS])["batch_norm_1.running_mean"].copy()
    trained(full(r, data, 1), state)
    params = r.layout.arrays(state.parameters)
    hidden = np.tanh(data.inputs @ params["dense_1.weight"].T + params["dense_1.bias"])
    found = r.buffer_layout.arrays(state.vectors[BUFFERS])["batch_norm_1.running_mean"]
    np.testing.assert_allclose(found, 0.9 * before + 0.1 * hidden.mean(axis=0), rtol=0, atol=1e-15)


def test_ends_where_the_precision_does():
    r = recipe(DENSE, optimizer={"type": "lbfgs", "tolerance": 0.0}, dtype="float32", l2=0.1)
    state, events = trained(full(r, examples(30, r), 500))
    assert reason(events).startswith("lbfgs: no step lowers the loss any more in float32; the largest entry of the ")
    again = list(Trainer(full(r, examples(30, r), 500), state).run())
    assert [type(event) for event in again] == [Stopped]  # it stays ended


def test_a_start_within_the_tolerance_takes_no_step():
    r = recipe(LINEAR, optimizer={"type": "lbfgs", "tolerance": 1e3})
    state, events = trained(full(r, examples(30, r)))
    np.testing.assert_array_equal(state.parameters, State.start(r, 0).parameters)
    assert reason(events).endswith("tolerance 1000")
    assert state.step == 1


def test_a_schedule_scales_the_first_length_and_max_steps_ends_it():
    r = recipe(LINEAR, loss="mean_squared_error", optimizer={"type": "lbfgs", "learning_rate": 1e-3, "tolerance": 0.0})
    data = examples(30, r)
    state, events = trained(full(r, data, max_steps=3))
    assert reason(events) == "max_steps: 3 steps are done"
    assert state.step == 3
    assert all(event.learning_rate > 0 for event in events if isinstance(event, Step))


def test_a_start_that_is_not_finite_is_told():
    r = recipe(LINEAR, loss="mean_squared_error", optimizer="lbfgs")
    data = examples(10, r)
    wrong = Examples(data.inputs, np.full_like(data.targets, np.inf))
    with pytest.raises(DivergenceError, match=r"training diverged at step 0 .*: loss inf, largest entry"):
        trained(full(r, wrong))
