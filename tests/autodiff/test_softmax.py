"""The softmax op where it works piece by piece, against the formula on the whole."""

import numpy as np
import pytest
from op_checks import run_fresh

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.execution import kernels


def formula(x, causal):
    x = x.astype(np.float64)
    if causal:
        x = np.where(np.tri(x.shape[-1], dtype=bool), x, -np.inf)
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "causal"),
    [
        ((20_000, 7), False),
        ((3, 700, 64), False),
        ((3, 70_000), False),
        ((2, 20, 64, 64), True),
        ((40, 50, 50), True),
        ((2, 511, 511), True),
        ((2, 700, 700), True),
    ],
)
def test_pieces_are_the_whole(shape, causal, dtype):
    x = np.random.default_rng(0).normal(scale=20, size=shape).astype(dtype)
    out = run_fresh(Softmax(causal), [x])
    assert out.dtype == dtype
    np.testing.assert_allclose(out, formula(x, causal), rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-30)
    over = x.copy()
    scratch = tuple(np.empty(spec.shape, spec.dtype) for spec in kernels.scratch(Softmax(causal), ad.spec_of(x)))
    kernels.bind(Softmax(causal), over, out=over, scratch=scratch)()
    np.testing.assert_array_equal(over, out)
    turned = np.ascontiguousarray(x.swapaxes(0, -1)).swapaxes(0, -1)
    np.testing.assert_array_equal(run_fresh(Softmax(causal), [turned]), out)


def test_what_is_masked_has_no_part_in_it():
    x = np.zeros((3, 3))
    x[np.triu_indices(3, 1)] = 1e308
    np.testing.assert_array_equal(run_fresh(Softmax(causal=True), [x]), np.tri(3) / np.arange(1, 4)[:, None])


def test_is_the_composite():
    x = ad.input_("x", (4, 9))
    feed = {x: np.random.default_rng(0).normal(size=(4, 9))}
    weights = ad.constant(np.random.default_rng(1).normal(size=(4, 9)))
    for one, other in zip(
        *(
            ad.evaluate([f(x), *ad.gradients(ad.sum(f(x) * weights), [x])], feed)
            for f in (ad.fused_softmax, ad.softmax)
        ),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
