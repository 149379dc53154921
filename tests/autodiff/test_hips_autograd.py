"""Values and derivatives against HIPS autograd on the same function, written a second time with its NumPy."""

import autograd
import autograd.numpy as anp
import numpy as np
import op_checks
import pytest
from autograd.scipy.special import erf, logsumexp
from autograd.tracer import getval
from op_checks import Case, assert_close

from backprop_cli import autodiff as ad
from backprop_cli.execution.passes import simplified

pytestmark = pytest.mark.filterwarnings("ignore:Output seems independent of input")

TOLERANCE = 1e-10


def _pad(op, x):
    widths = [(0, 0)] * anp.ndim(x)
    widths[op.axis] = (op.before, op.after)
    return anp.pad(x, widths, "constant")


def _slice(op, x):
    return x[(slice(None),) * op.axis + (slice(op.start, op.stop),)]


def _softmax(op, x):
    weights = anp.exp(x) * (np.tri(x.shape[-1]) if op.causal else 1.0)
    return weights / anp.sum(weights, axis=-1, keepdims=True)


def _convolution(op, x, weight):
    """Kernel element by kernel element: a strided piece of the padded image times a matrix."""
    if anp.ndim(x) == 3:
        lone = type(op)((1, *op.stride), (1, *op.dilation), ((0, 0), *op.padding), op.groups)
        return _convolution(lone, x[None], weight[:, :, None])[0]
    (top, bottom), (left, right) = op.padding
    x = anp.pad(x, [(top, bottom), (0, 0), (left, right), (0, 0)], "constant")
    filters, channels, *kernel = weight.shape
    spans = [d * (k - 1) + 1 for d, k in zip(op.dilation, kernel, strict=True)]
    rows, columns = ((n - e) // s + 1 for n, e, s in zip(x.shape[::2], spans, op.stride, strict=True))
    total = 0.0
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            read = x[i * op.dilation[0] :: op.stride[0]][:rows]
            read = read[:, :, j * op.dilation[1] :: op.stride[1]][:, :, :columns]
            read = anp.reshape(read, (rows, op.groups, channels, columns, x.shape[-1]))
            matrix = anp.reshape(weight[:, :, i, j], (op.groups, filters // op.groups, channels))
            part = anp.einsum("gfc,rgcqn->rgfqn", matrix, read)
            total = total + anp.reshape(part, (rows, filters, columns, x.shape[-1]))
    return total


def _convolution_transpose(op, x, weight):
    shape = op.shape(ad.spec_of(getval(x)), ad.spec_of(getval(weight))).shape
    return autograd.make_vjp(lambda image: _convolution(ad.OPS["convolution"](*_windowed(op)), image, weight))(
        np.zeros(shape)
    )[0](x)


def _convolution_weight(op, x, y):
    shape = op.shape(ad.spec_of(getval(x)), ad.spec_of(getval(y))).shape
    return autograd.make_vjp(lambda weight: _convolution(ad.OPS["convolution"](*_windowed(op)), x, weight))(
        np.zeros(shape)
    )[0](y)


def _windowed(op):
    return op.stride, op.dilation, op.padding, op.groups


def _windows(op, x, filled):
    """(windows, kernel, ...): what each window sees along the first axis, which was ``op.axis``."""
    widths = [(0, 0)] * anp.ndim(x)
    widths[op.axis] = (op.before, op.after)
    x = anp.moveaxis(anp.pad(x, widths, "constant", constant_values=filled), op.axis, 0)
    starts = range(0, x.shape[0] - op.kernel + 1, op.stride)
    return anp.stack([x[start : start + op.kernel] for start in starts])


def _window_take(op, offset, x):
    windows = _windows(op, x, 0.0)
    wanted = np.moveaxis(offset, op.axis, 0)[:, None]
    chosen = np.arange(op.kernel).reshape(1, -1, *(1,) * (anp.ndim(x) - 1)) == wanted
    return anp.moveaxis(anp.sum(windows * chosen, axis=1), 0, op.axis)


def _window_sum(op, x):
    return anp.moveaxis(anp.sum(_windows(op, x, 0.0), axis=1), 0, op.axis)


def _put_back(op, function, x):
    shape = list(x.shape)
    shape[op.axis] = op.size
    return autograd.make_vjp(function)(np.zeros(shape))[0](x)


ORACLE = {
    "absolute": lambda op, x: anp.abs(x),
    "add": lambda op, x, y: x + y,
    "amax": lambda op, x: anp.max(x, axis=op.axes, keepdims=op.keepdims),
    "broadcast_to": lambda op, x: x + anp.zeros(op.to),
    "cast": lambda op, x: x * 1.0,
    "concat": lambda op, *x: anp.concatenate(x, axis=op.axis),
    "convolution": _convolution,
    "convolution_transpose": _convolution_transpose,
    "convolution_weight": _convolution_weight,
    "copy": lambda op, x: x * 1.0,
    "barrier": lambda op, x: x * 1.0,
    "cos": lambda op, x: anp.cos(x),
    "divide": lambda op, x, y: x / y,
    "equal": lambda op, x, y: 1.0 * (x == y),
    "erf": lambda op, x: erf(x),
    "exp": lambda op, x: anp.exp(x),
    "expm1": lambda op, x: anp.expm1(x),
    "greater": lambda op, x, y: 1.0 * (x > y),
    "greater_equal": lambda op, x, y: 1.0 * (x >= y),
    "less": lambda op, x, y: 1.0 * (x < y),
    "log": lambda op, x: anp.log(x),
    "log1p": lambda op, x: anp.log1p(x),
    "matmul": lambda op, x, y: anp.matmul(x, y),
    "maximum": lambda op, x, y: anp.maximum(x, y),
    "max_pool": lambda op, x: anp.moveaxis(anp.max(_windows(op, x, -np.inf), axis=1), 0, op.axis),
    "max_pool_offset": lambda op, x: 1.0 * np.moveaxis(np.argmax(_windows(op, getval(x), -np.inf), 1), 0, op.axis),
    "minimum": lambda op, x, y: anp.minimum(x, y),
    "multiply": lambda op, x, y: x * y,
    "negative": lambda op, x: -x,
    "one_hot": lambda op, labels: anp.eye(op.classes)[labels],
    "pad": _pad,
    "power": lambda op, x: x**op.exponent,
    "relu": lambda op, x: anp.maximum(x, 0.0),
    "reshape": lambda op, x: anp.reshape(x, op.to),
    "sigmoid": lambda op, x: 1.0 / (1.0 + anp.exp(-x)),
    "sign": lambda op, x: anp.sign(x),
    "sin": lambda op, x: anp.sin(x),
    "slice": _slice,
    "softmax": lambda op, x: _softmax(op, x),
    "softplus": lambda op, x: anp.logaddexp(x, 0.0),
    "sqrt": lambda op, x: anp.sqrt(x),
    "square": lambda op, x: x * x,
    "stop_gradient": lambda op, x: getval(x),
    "subtract": lambda op, x, y: x - y,
    "sum": lambda op, x: anp.sum(x, axis=op.axes, keepdims=op.keepdims),
    "sum_rows": lambda op, x, rows: anp.dot(anp.eye(op.count)[rows.reshape(-1)].T, x.reshape(rows.size, x.shape[-1])),
    "take_rows": lambda op, x, rows: x[rows],
    "tanh": lambda op, x: anp.tanh(x),
    "transpose": lambda op, x: anp.transpose(x, op.perm),
    "window_put": lambda op, offset, x: _put_back(op, lambda full: _window_take(op, offset, full), x),
    "window_spread": lambda op, x: _put_back(op, lambda full: _window_sum(op, full), x),
    "window_sum": _window_sum,
    "window_take": _window_take,
    "where": lambda op, condition, x, y: (condition != 0) * x + (condition == 0) * y,  # its own does not broadcast
}
"""The same function in autograd.numpy, for each op: the one list of ops in the tests, since it is a second opinion."""


def test_every_op_has_an_oracle():
    assert set(ORACLE) == set(ad.OPS)


def reference_jacobian(function, arrays, k):
    """``d function / d arrays[k]``, of shape (*out, *in)."""
    return autograd.jacobian(lambda x: function(*arrays[:k], x, *arrays[k + 1 :]))(arrays[k])


@pytest.mark.parametrize("case", op_checks.cases(), ids=str)
def test_values_and_jacobians(case: Case):
    arrays = case.arrays()
    wanted = np.asarray(ORACLE[case.name](case.op, *arrays))
    assert case.op.shape(*(ad.spec_of(array) for array in arrays)) == ad.spec_of(wanted)
    assert_close(op_checks.run_fresh(case.op, arrays), wanted, 1e-14, "value")
    inputs, out, feed = op_checks.traced(case.op, arrays)
    for k, x in enumerate(inputs):
        if x.spec.is_inexact:
            wanted = reference_jacobian(lambda *a: ORACLE[case.name](case.op, *a), arrays, k)
            reverse = ad.evaluate(op_checks.jacobian(out, [x]), feed)[0]
            assert_close(reverse, wanted, TOLERANCE, "reverse")
            columns = [ad.jvp([out], [x], [ad.constant(e.reshape(x.shape))])[0] for e in np.eye(x.size)]
            forward = np.stack(ad.evaluate(columns, feed), axis=-1).reshape(wanted.shape)
            assert_close(forward, wanted, TOLERANCE, "forward")


def check_function(ours, theirs, arrays, jacobian=True):
    """Value, gradient or Jacobian, and Hessian-vector products of a whole function, in all its operands."""
    inputs = [ad.input_(f"x{k}", a.shape, a.dtype) for k, a in enumerate(arrays)]
    feed = dict(zip(inputs, arrays, strict=True))
    out = ours(*inputs)
    assert_close(ad.evaluate([out], feed)[0], theirs(*arrays), 1e-13, "value")
    wrt = op_checks.inexact(inputs)
    numbers = [k for k, x in enumerate(inputs) if x.spec.is_inexact]
    if jacobian:
        for k, got in zip(numbers, ad.evaluate(op_checks.jacobian(out, wrt), feed), strict=True):
            assert_close(got, reference_jacobian(theirs, arrays, k), TOLERANCE, f"Jacobian in operand {k}")
    weights = np.random.default_rng(9).standard_normal(out.shape)
    vectors = [np.random.default_rng(10 + k).standard_normal(x.shape) for k, x in enumerate(wrt)]

    def scalar(*changed):
        full = list(arrays)
        for k, a in zip(numbers, changed, strict=True):
            full[k] = a
        return anp.sum(weights * theirs(*full))

    points = [arrays[k] for k in numbers]
    slope = autograd.grad(scalar, argnum=list(range(len(points))))

    def along(*at):
        return sum(anp.sum(g * v) for g, v in zip(slope(*at), vectors, strict=True))

    ours_scalar = ad.sum(out * ad.constant(weights))
    gradient = ad.evaluate(ad.gradients(ours_scalar, wrt), feed)
    product = ad.evaluate(ad.hessian_products(ours_scalar, wrt, [ad.constant(v) for v in vectors]), feed)
    for k, wanted in enumerate(slope(*points)):
        assert_close(gradient[k], wanted, TOLERANCE, f"gradient in operand {k}")
    for k, wanted in enumerate(autograd.grad(along, argnum=list(range(len(points))))(*points)):
        assert_close(product[k], wanted, TOLERANCE, f"Hessian-vector product in operand {k}")
    op_checks.check_symmetric(ours_scalar, wrt, feed)


def gelu(x):
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def gelu_tanh(x):
    return 0.5 * x * (1.0 + anp.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


COMPOSITES = {
    "mean": (lambda x: ad.mean(x, 1), lambda x: anp.mean(x, axis=1)),
    "variance": (lambda x: ad.variance(x, (0, 2)), lambda x: anp.var(x, axis=(0, 2))),
    "logsumexp": (lambda x: ad.logsumexp(x, 1), lambda x: logsumexp(x, axis=1)),
    "logsumexp kept": (lambda x: ad.logsumexp(x, keepdims=True), lambda x: logsumexp(x, axis=-1, keepdims=True)),
    "log_softmax": (lambda x: ad.log_softmax(x, 0), lambda x: x - logsumexp(x, axis=0, keepdims=True)),
    "softmax": (
        lambda x: ad.softmax(x),
        lambda x: anp.exp(x) / anp.sum(anp.exp(x), axis=-1, keepdims=True),
    ),
    "clip": (lambda x: ad.clip(x, -0.5, 0.7), lambda x: anp.clip(x, -0.5, 0.7)),
    "gelu": (lambda x: 0.5 * x * (1.0 + ad.erf(x / np.sqrt(2.0))), gelu),
    "gelu of tanh": (
        lambda x: 0.5 * x * (1.0 + ad.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))),
        gelu_tanh,
    ),
    "silu": (lambda x: x * ad.sigmoid(x), lambda x: x / (1.0 + anp.exp(-x))),
    "norm": (lambda x: ad.sqrt(ad.sum(ad.square(x))), lambda x: anp.sqrt(anp.sum(x**2))),
    "cosine": (lambda x: ad.cos(x) / (2.0 - ad.sin(x)), lambda x: anp.cos(x) / (2.0 - anp.sin(x))),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites(name):
    ours, theirs = COMPOSITES[name]
    check_function(ours, theirs, [np.random.default_rng(2).uniform(-2.0, 2.0, (2, 3, 4))])


def test_softmax_cross_entropy():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 5, 6)

    def ours(logits):
        hot = ad.one_hot(ad.constant(labels), 5)
        return -ad.mean(ad.sum(hot * ad.log_softmax(logits), 1))

    def theirs(logits):
        return -anp.mean(logits[np.arange(6), labels] - logsumexp(logits, axis=1))

    check_function(ours, theirs, [rng.uniform(-3.0, 3.0, (6, 5))])


def test_softmax_cross_entropy_gradient_is_probabilities_minus_targets():
    rng = np.random.default_rng(4)
    x, weight, labels = rng.standard_normal((6, 3)), rng.standard_normal((5, 3)), rng.integers(0, 5, 6)
    w = ad.input_("w", weight.shape)
    hot = ad.one_hot(ad.constant(labels), 5)
    loss = -ad.mean(ad.sum(hot * ad.log_softmax(ad.constant(x) @ w.T), 1))
    scores = x @ weight.T
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wanted = (probabilities - np.eye(5)[labels]).T @ x / 6
    for out in (ad.gradients(loss, [w]), simplified(ad.gradients(loss, [w]))):
        assert_close(ad.evaluate(out, {w: weight})[0], wanted, 1e-14)


@pytest.mark.parametrize("activation", [(ad.tanh, anp.tanh), (ad.relu, lambda x: anp.maximum(x, 0.0))])
def test_network_whose_arrows_skip_and_join(activation):
    """From the first layer to the last through the second and around it; joined by a sum and by a concatenation."""
    ours_activation, theirs_activation = activation
    rng = np.random.default_rng(5)
    targets = rng.standard_normal((7, 2))

    def network(m, act, join):
        def loss(x, w1, b1, w2, w3):
            first = act(m.matmul(x, w1) + b1)
            second = act(m.matmul(first, w2)) + first
            out = m.matmul(join(second, first, x), w3)
            return m.mean((out - targets) * (out - targets))

        return loss

    shapes = [(7, 3), (3, 4), (4,), (4, 4), (11, 2)]
    check_function(
        network(ad, ours_activation, lambda *v: ad.concat(v, 1)),
        network(anp, theirs_activation, lambda *v: anp.concatenate(v, axis=1)),
        [rng.standard_normal(shape) for shape in shapes],
    )


def test_normalisation_over_the_batch():
    rng = np.random.default_rng(6)

    def ours(x, scale):
        return scale * (x - ad.mean(x, 0)) / ad.sqrt(ad.variance(x, 0) + 1e-5)

    def theirs(x, scale):
        return scale * (x - anp.mean(x, axis=0)) / anp.sqrt(anp.var(x, axis=0) + 1e-5)

    check_function(ours, theirs, [rng.standard_normal((5, 3)), rng.standard_normal(3)])


def test_attention():
    """Products of results with results, and a transposed one: matrices in stacks."""
    rng = np.random.default_rng(7)

    def ours(q, k, v):
        return ad.softmax(q @ ad.transpose(k, (0, 2, 1)) * 0.5) @ v

    def theirs(q, k, v):
        scores = anp.exp(anp.matmul(q, anp.transpose(k, (0, 2, 1))) * 0.5)
        return anp.matmul(scores / anp.sum(scores, axis=-1, keepdims=True), v)

    check_function(ours, theirs, [rng.standard_normal((2, 3, 4)) for _ in range(3)])
