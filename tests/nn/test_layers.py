"""Layers: HIPS autograd on the same function, shapes, and what they say when shapes do not fit."""

import itertools

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad as hips_grad
from nn_support import build, distance, evaluate, inputs, label
from pydantic import ValidationError
from windows_reference import convolution, convolution_transpose, pooled, upsample

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, ParameterLayer

# A block is unrolled: its layers are what is computed.
CASES = [(name, sample) for name, cls in LAYERS.items() if name != "block" for sample in cls.samples]
IDS = [f"{name}({label(sample.settings)})" for name, sample in CASES]
BATCH = 3


def _in_use(layer, weight):
    return weight / weight.shape[-1] ** 0.5 if layer.parametrization == "ntk" else weight


def _dense(layer, params, x):
    out = anp.dot(x, _in_use(layer, params["weight"]).T) + params.get("bias", 0.0)
    return anp.tanh(out) if layer.activation is not None else out


def _dropout(layer, params, x):
    return anp.where(params["noise"] < layer.rate, 0.0 * x, x / (1 - layer.rate)) if "noise" in params else x


def _attention(layer, params, *x):
    """Position by position and head by head."""
    q, k, v = (
        anp.dot(x[0 if n == 0 else -1], w.T) + b
        for n, (w, b) in enumerate(
            zip(
                anp.split(params["in_proj_weight"], 3),
                anp.split(params.get("in_proj_bias", np.zeros(len(params["in_proj_weight"]))), 3),
                strict=True,
            )
        )
    )
    share = q.shape[-1] // layer.heads
    heads = []
    for h in range(layer.heads):
        own = slice(h * share, (h + 1) * share)
        scores = anp.einsum("bqd,bkd->bqk", q[..., own], k[..., own]) / np.sqrt(share)
        weights = anp.exp(scores) * (np.tri(scores.shape[-1]) if layer.causal else 1.0)
        probs = weights / anp.sum(weights, axis=-1, keepdims=True)
        if "noise" in params:
            probs = probs * (params["noise"][:, h] >= layer.dropout) / (1 - layer.dropout)
        heads.append(anp.einsum("bqk,bkd->bqd", probs, v[..., own]))
    return anp.dot(anp.concatenate(heads, axis=-1), params["out_proj.weight"].T) + params.get("out_proj.bias", 0.0)


def _positional_embedding(layer, params, x):
    if layer.kind == "learned":
        return x + params["weight"][: x.shape[1]]
    table = np.zeros(x.shape[1:])
    for t in range(x.shape[1]):
        for i in range(0, x.shape[2], 2):
            table[t, i], table[t, i + 1] = (
                np.sin(t / 10_000 ** (i / x.shape[2])),
                np.cos(t / 10_000 ** (i / x.shape[2])),
            )
    return x + table


def _multiply(layer, params, *x):
    return x[0] * x[1] * (x[2] if len(x) > 2 else 1.0)


def _standardized(layer, x, axes):
    center = anp.mean(x, axes, keepdims=True)
    spread = anp.mean(x**2, axes, keepdims=True) - center**2
    return (x - center) / anp.sqrt(spread + layer.epsilon)


def _by_channel(params, x):
    shape = (-1, *(1,) * (x.ndim - 2))
    return x * params["weight"].reshape(shape) + params["bias"].reshape(shape) if "bias" in params else x


def _batch_norm(layer, params, x):
    return _by_channel(params, _standardized(layer, x, (0, *range(2, x.ndim))))


def _layer_norm(layer, params, x):
    axes = tuple(range(1, x.ndim)) if layer.axes == "all" else tuple(range(-layer.axes, 0))
    out = _standardized(layer, x, axes)
    return out * params["weight"] + params["bias"] if layer.affine else out


def _group_norm(layer, params, x):
    grouped = x.reshape(x.shape[0], layer.groups, -1)
    return _by_channel(params, _standardized(layer, grouped, (2,)).reshape(x.shape))


def _rms_norm(layer, params, x):
    out = x / anp.sqrt(anp.mean(x**2, tuple(range(-layer.axes, 0)), keepdims=True) + layer.epsilon)
    return out * params.get("weight", 1.0)


def _sigmoid(x):
    return 1 / (1 + anp.exp(-x))


def _rnn_step(w, v, b, c, x, h, _):
    return (anp.tanh(w @ x + b + v @ h + c),) * 2


def _gru_step(w, v, b, c, x, h, _):
    of_x, of_h = anp.split(w @ x + b, 3), anp.split(v @ h + c, 3)
    r, z = (_sigmoid(one + other) for one, other in zip(of_x[:2], of_h[:2], strict=True))
    n = anp.tanh(of_x[2] + r * of_h[2])
    return ((1 - z) * n + z * h,) * 2


def _lstm_step(w, v, b, c, x, h, cell):
    i, f, g, o = anp.split(w @ x + b + v @ h + c, 4)
    cell = _sigmoid(f) * cell + _sigmoid(i) * anp.tanh(g)
    return _sigmoid(o) * anp.tanh(cell), cell


def _recurrent(step):
    """One example, one direction and one time after the other; (batch, time, features) as a list of lists."""

    def run(layer, weights, rows, reverse):
        h = cell = anp.zeros(layer.units)
        outputs = []
        for row in rows[::-1] if reverse else rows:
            h, cell = step(*weights, row, h, cell)
            outputs.append(h)
        return (outputs[::-1] if reverse else outputs), h

    def example(layer, params, rows, number):
        for level in range(layer.layers):
            runs = []
            for reverse in (False, True)[: 1 + layer.bidirectional]:
                suffix = f"_l{level}{'_reverse' if reverse else ''}" if layer.layers > 1 or layer.bidirectional else ""
                names = (f"{name}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
                runs.append(run(layer, [params.get(name, anp.array(0.0)) for name in names], rows, reverse))
            rows = [anp.concatenate(both) for both in zip(*(outputs for outputs, _ in runs), strict=True)]
            if f"noise_l{level}" in params:
                kept = (params[f"noise_l{level}"][number] >= layer.dropout) / (1 - layer.dropout)
                rows = [row * mask for row, mask in zip(rows, kept, strict=True)]
        return anp.array(rows) if layer.output == "sequence" else anp.concatenate([last for _, last in runs])

    return lambda layer, params, x: anp.array([example(layer, params, list(x[n]), n) for n in range(len(x))])


def _piecewise_linear(layer, params, x):
    """Column by column and bin by bin."""
    out = []
    for c, edges in enumerate(params["edges"]):
        last = layer.count - 1
        bins = []
        for t, (left, right) in enumerate(itertools.pairwise(edges)):
            e = (x[:, c] - left) / (right - left)
            e = e if t == 0 else anp.where(e > 0, e, 0.0 * e)
            bins.append(e if t == last else anp.where(e < 1, e, 1.0 + 0.0 * e))
        found = anp.stack(bins, axis=1)
        if layer.units is not None:
            found = anp.dot(found, params["weight"][c])
            found = found if layer.linear_part else found + params["bias"][c]
            found = anp.tanh(found) if layer.activation is not None else found
        if layer.linear_part:
            found = found + x[:, c : c + 1] * params["linear_weight"][c] + params["bias"][c]
        out.append(found)
    return anp.concatenate(out, axis=1)


def _periodic(layer, params, x):
    """Column by column."""
    out = []
    for c in range(x.shape[1]):
        angle = 2 * np.pi * params["frequency"][c] * x[:, c : c + 1]
        waves = anp.cos(angle + params["phase"][c]) if layer.phases else anp.hstack([anp.cos(angle), anp.sin(angle)])
        if layer.units is not None:
            weight, bias = (params[name] if layer.lite else params[name][c] for name in ("weight", "bias"))
            waves = anp.dot(waves, weight) + bias
        out.append(anp.tanh(waves) if layer.activation is not None else waves)
    return anp.hstack([*out, x] if layer.identity else out)


def _categorical_embedding(layer, params, x):
    """Example by example: of the inputs' numbers, those in range."""
    numbers, hot, vectors, first = [], [], [], 0
    for c, size in enumerate(layer.sizes):
        codes = [int(min(max(float(getattr(v, "_value", v)), 0), size - 1)) for v in x[:, c]] if size else []
        if size == 0:
            numbers.append(x[:, c : c + 1])
        elif size <= layer.one_hot:
            hot.append(np.eye(size)[codes])
        else:
            vectors.append(anp.stack([params["weight"][first + code] for code in codes]))
            first += size
    return anp.hstack([*numbers, *hot, *vectors]) + 0.0 * anp.sum(x)


def _scale(layer, params, x):
    return _each_member(layer.members, x) * params["weight"] if layer.members else x * params["weight"]


def _each_member(members, x):
    return x if x.ndim == 3 else anp.stack([x] * members, axis=1)


def _ensemble_dense(layer, params, x):
    """Member by member."""
    x = _each_member(layer.members, x)
    out = []
    for i in range(layer.members):
        if layer.shared:
            one = params["s"][i] * anp.dot(params["r"][i] * x[:, i], params["weight"].T)
        else:
            one = anp.dot(x[:, i], _in_use(layer, params["weight"][i]).T)
        one = one + params["bias"][i] if layer.bias else one
        out.append(anp.tanh(one) if layer.activation is not None else one)
    return anp.stack(out, axis=1)


# The same functions, written from their definitions for another package; of dense, samples use tanh at most.
REFERENCE = {
    "activation": lambda layer, params, x: anp.tanh(x),
    "add": lambda layer, params, *x: sum(x[1:], x[0]),
    "average_pool": lambda layer, params, x: pooled(layer, x, False),
    "attention": _attention,
    "batch_norm": _batch_norm,
    "categorical_embedding": _categorical_embedding,
    "clamp": lambda layer, params, x: x,
    "concat": lambda layer, params, *x: anp.concatenate(x, axis=layer.axis + 1 if layer.axis >= 0 else layer.axis),
    "conv1d": convolution,
    "conv2d": convolution,
    "conv2d_transpose": convolution_transpose,
    "dense": _dense,
    "dropout": _dropout,
    "ensemble_dense": _ensemble_dense,
    "embedding": lambda layer, params, x: params["weight"][x],
    "global_average_pool": lambda layer, params, x: anp.mean(x, tuple(range(2, x.ndim))),
    "global_max_pool": lambda layer, params, x: anp.max(x, tuple(range(2, x.ndim))),
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "max_pool": lambda layer, params, x: pooled(layer, x, True),
    "parametric_activation": lambda layer, params, x: x + params["weight"] * (anp.tanh(x) - x),
    "periodic": _periodic,
    "piecewise_linear": _piecewise_linear,
    "rms_norm": _rms_norm,
    "scale": _scale,
    "spatial_dropout": _dropout,
    "gru": _recurrent(_gru_step),
    "lstm": _recurrent(_lstm_step),
    "rnn": _recurrent(_rnn_step),
    "flatten": lambda layer, params, x: anp.reshape(x, (BATCH, -1)),
    "multiply": _multiply,
    "positional_embedding": _positional_embedding,
    "reshape": lambda layer, params, x: anp.reshape(x, (BATCH, *layer.shape)),
    "upsample": upsample,
}


def _example(layer, rng, shape, dtype):
    return (
        rng.normal(size=shape).astype(dtype) if layer.vocabulary is None else rng.integers(0, layer.vocabulary, shape)
    )


def _traced(name, sample, dtype="float64"):
    """A layer with arrays for all it wants in training, noise and fixed buffers too: (layer, arrays by name, output,
    values, feed).
    """
    rng = np.random.default_rng(2)
    layer = build(LAYERS, {"type": name, **sample.settings})
    x = {f"x{i}": _example(layer, rng, (BATCH, *shape), dtype) for i, shape in enumerate(sample.inputs)}
    specs = [ad.spec_of(array) for array in x.values()]
    params = {key: rng.normal(size=param.shape).astype(dtype) for key, param in layer.params(*specs).items()}
    noise = {key: rng.random(spec.shape, dtype) for key, spec in layer.noise(*specs).items()}
    noise |= {
        key: np.broadcast_to(buffer.start, buffer.shape).astype(dtype)
        for key, buffer in layer.buffers(*specs).items()
        if buffer.fixed
    }
    values, feed = inputs(**x, **params, **noise)
    out = layer.apply({key: values[key] for key in (*params, *noise)}, *(values[key] for key in x))
    return layer, (x, params, noise), out, values, feed


@pytest.mark.parametrize(("name", "sample"), CASES, ids=IDS)
def test_value_and_gradients_are_those_of_hips_autograd(name, sample):
    layer, (x, params, noise), out, values, feed = _traced(name, sample)
    ct = np.random.default_rng(3).normal(size=out.shape)
    wanted = [key for key, array in {**x, **params}.items() if array.dtype.kind == "f"]
    slopes = ad.gradients(ad.sum(out * ad.constant(ct)), [values[key] for key in wanted])
    found, *gradients = evaluate([out, *slopes], feed)

    def reference(*arrays):
        given = dict(zip(wanted, arrays, strict=True))
        return REFERENCE[name](layer, {**given, **noise}, *({**x, **given}[key] for key in x))

    arrays = [{**x, **params}[key] for key in wanted]
    assert distance(found, reference(*arrays)) < 1e-14
    for place, gradient in enumerate(gradients):
        expected = hips_grad(lambda *a: anp.sum(reference(*a) * ct), place)(*arrays)
        assert distance(gradient, expected) < 1e-10, wanted[place]


@pytest.mark.parametrize(("name", "sample"), CASES, ids=IDS)
def test_float32_stays_float32(name, sample):
    _, _, out, values, _ = _traced(name, sample, "float32")
    gradients = ad.gradients(ad.sum(out), [value for value in values.values() if value.spec.is_inexact])
    nodes = [value for value in ad.toposort([out, *gradients]) if value.spec.is_inexact]
    assert {value.dtype for value in nodes} == {np.dtype("float32")}


@pytest.mark.parametrize(("name", "sample"), CASES, ids=IDS)
def test_examples_are_treated_alike(name, sample):
    _, _, out, _, feed = _traced(name, sample)
    moved = {v: np.roll(a, 1, axis=0) if v.shape[0] == BATCH and v.name[0] in "xn" else a for v, a in feed.items()}
    np.testing.assert_allclose(evaluate([out], moved)[0], np.roll(evaluate([out], feed)[0], 1, axis=0), rtol=1e-14)


@pytest.mark.parametrize(("name", "sample"), CASES, ids=IDS)
def test_only_what_keeps_statistics_lets_examples_see_each_other(name, sample):
    """Whoever computes parts of a batch by themselves goes by that."""
    layer, (x, *_), out, values, feed = _traced(name, sample)
    others = {values[key]: np.concatenate([array[:1], array[:-1]]) for key, array in x.items()}
    first, again = (evaluate([out], {**feed, **given})[0][0] for given in ({}, others))
    sees_others = not np.allclose(again, first, rtol=1e-12)
    buffers = layer.buffers(*(ad.spec_of(array) for array in x.values())).values()
    assert sees_others == (any(not buffer.fixed for buffer in buffers) and name != "clamp")


def _apply(settings, *shapes):
    layer = build(LAYERS, settings)
    values = [ad.input_(f"x{i}", shape) for i, shape in enumerate(shapes)]
    params = layer.params(*(value.spec for value in values))
    return layer.apply({key: ad.input_(key, param.shape) for key, param in params.items()}, *values)


@pytest.mark.parametrize(
    ("settings", "shapes", "text"),
    [
        (
            {"type": "dense", "units": 4},
            [(2, 1, 3, 5)],
            "dense: needs one vector per example; put {type: flatten} before it (given x: f8[2,1,3,5])",
        ),
        (
            {"type": "attention", "heads": 3},
            [(2, 5, 4)],
            "attention: a width of 4 is not a multiple of 3 heads; set heads: 2, or another width (given x: f8[2,5,4])",
        ),
        ("attention", [(2, 5)], "attention: needs sequences of vectors (time, width) (given x: f8[2,5])"),
        (
            "attention",
            [(2, 5, 4), (2, 5, 6)],
            "attention: needs two sequences of the same width (given x: f8[2,5,4], others: f8[2,5,6])",
        ),
        (
            {"type": "attention", "causal": True},
            [(2, 5, 4), (2, 3, 4)],
            "attention: causal attention needs as many keys as queries (given x: f8[2,5,4], others: f8[2,3,4])",
        ),
        (
            "positional_embedding",
            [(2, 5)],
            "positional_embedding: needs sequences of vectors (time, width) (given x: f8[2,5])",
        ),
        (
            {"type": "positional_embedding", "context": 4},
            [(2, 5, 3)],
            "positional_embedding: 5 positions are more than its context of 4 (given x: f8[2,5,3])",
        ),
        (
            "batch_norm",
            [(2,)],
            "batch_norm: needs at least one axis per example: features, or channels first (given x: f8[2])",
        ),
        (
            {"type": "group_norm", "groups": 3},
            [(2, 4, 5)],
            "group_norm: 3 groups do not divide 4 channels; take 1, 2 or 4 (given x: f8[2,4,5])",
        ),
        (
            {"type": "group_norm", "groups": 3},
            [(2,)],
            "group_norm: needs at least one axis per example: features, or channels first (given x: f8[2])",
        ),
        (
            {"type": "layer_norm", "axes": 3},
            [(2, 4, 5)],
            "layer_norm: cannot normalize the last 3 axes of an example that has 2 (given x: f8[2,4,5])",
        ),
        ("rms_norm", [(2,)], "rms_norm: cannot normalize the last 1 axes of an example that has 0 (given x: f8[2])"),
        (
            {"type": "reshape", "shape": [5, -1]},
            [(2, 12)],
            "reshape: 12 entries per example do not fit [5, -1] (given x: f8[2,12])",
        ),
        (
            {"type": "reshape", "shape": [5]},
            [(2, 3, 4)],
            "reshape: 12 entries per example do not fit [5] (given x: f8[2,3,4])",
        ),
        ("add", [(2, 3), (2, 1)], "add: inputs must have the same shape (given x1: f8[2,3], x2: f8[2,1])"),
        ("multiply", [(2, 3), (2, 4)], "multiply: inputs must have the same shape (given x1: f8[2,3], x2: f8[2,4])"),
        (
            {"type": "concat", "axis": 1},
            [(2, 3), (2, 4)],
            "concat: examples have no axis 1; axes count from 0 (given x1: f8[2,3], x2: f8[2,4])",
        ),
        (
            "concat",
            [(2, 3, 4), (2, 3, 5)],
            "concat: inputs must have the same shape except along axis 0 (given x1: f8[2,3,4], x2: f8[2,3,5])",
        ),
    ],
)
def test_shapes_that_do_not_fit(settings, shapes, text):
    with pytest.raises(ShapeError) as caught:
        _apply(settings, *shapes)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("settings", "place", "text"),
    [
        ({"type": "dense", "units": 0}, ("units",), "Input should be greater than 0"),
        ({"type": "dense", "units": 2.5}, ("units",), "Input should be a valid integer"),
        ({"type": "dropout", "rate": 1}, ("rate",), "Input should be less than 1"),
        (
            {"type": "reshape", "shape": [0, 2]},
            ("shape", 0),
            "must be greater than 0, or -1 for the rest, got 0",
        ),
        (
            {"type": "reshape", "shape": [-1, 2, -1]},
            ("shape",),
            "at most one size can be -1, got [-1, 2, -1]",
        ),
    ],
)
def test_settings_out_of_range(settings, place, text):
    with pytest.raises(ValidationError) as caught:
        build(LAYERS, settings)
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == (place, text)


def test_dense_parameters_are_pytorchs():
    params = build(LAYERS, {"type": "dense", "units": 4}).params(ad.Spec((1, 3), np.dtype("float32")))
    assert {key: (param.shape, param.regularized) for key, param in params.items()} == {
        "weight": ((4, 3), True),
        "bias": ((4,), False),
    }
    assert [(param.fan_in, param.fan_out) for param in params.values()] == [(3, 4), (3, 4)]
    assert [param.initializer.type for param in params.values()] == ["glorot_uniform", "zeros"]


def test_dropout_keeps_the_mean_and_drops_its_share():
    layer = build(LAYERS, {"type": "dropout", "rate": 0.3})
    values, feed = inputs(x=np.ones((200, 500)), noise=np.random.default_rng(0).random((200, 500)))
    (out,) = evaluate([layer.apply({"noise": values["noise"]}, values["x"])], feed)
    assert set(np.unique(out)) == {0.0, 1 / 0.7}
    assert np.mean(out == 0) == pytest.approx(0.3, abs=0.005)
    assert out.mean() == pytest.approx(1, abs=0.008)


def test_dropout_outside_training_is_its_input():
    x = ad.input_("x", (2, 3))
    assert build(LAYERS, "dropout").apply({}, x) is x


def test_dropout_at_the_edge_of_its_noise():
    values, feed = inputs(x=np.ones(3), noise=np.array([0.0, 0.5, np.nextafter(0.5, 0)]))
    (out,) = evaluate([build(LAYERS, "dropout").apply({"noise": values["noise"]}, values["x"])], feed)
    np.testing.assert_array_equal(out, [0.0, 2.0, 0.0])


def test_clamp_limits_what_is_not_trained():
    layer = build(LAYERS, "clamp")
    targets, numbers = np.array([[1.0, -2.0], [3.0, 5.0]]), {"low": np.zeros(2), "high": np.zeros(2)}
    fitted = layer.fit(np.random.default_rng(0), numbers, targets, targets)
    values, feed = inputs(x=np.array([[0.0, 0.0], [9.0, 9.0]]), **fitted)
    (found,) = evaluate([layer.apply({name: values[name] for name in fitted}, values["x"])], feed)
    np.testing.assert_array_equal(found, [[1, 0], [3, 5]])
    assert layer.fit(np.random.default_rng(0), numbers, np.array([0, 1]), targets) == {}
    assert layer.apply({}, values["x"]) is values["x"]


def test_what_has_parameters_has_the_keys_for_them():
    for name, sample in CASES:
        layer, (_, params, _), *_ = _traced(name, sample)
        has_keys = isinstance(layer, ParameterLayer) and "initializer" in type(layer).model_fields
        assert not params or has_keys, name
