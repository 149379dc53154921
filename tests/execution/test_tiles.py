"""``tiles.c`` and ``convolutions.c``, compiled: products and convolutions of all shapes and strides, beside NumPy's."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.ops.convolution import Convolution
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.plan import Plan

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")
ROUNDING = {np.float32: 2e-6, np.float64: 1e-14}
SIZES = [1, 2, 3, 5, 6, 7, 15, 16, 17, 31, 33, 64, 70, 130]


def check(program):
    """Compare the results of a compiled plan with those of NumPy's, from operands between -1 and 1."""
    plans = Plan(program), Plan(program, compiled=True)
    for plan in plans:
        rng = np.random.default_rng(0)
        for array in plan.inputs.values():
            array[...] = rng.uniform(-1, 1, array.shape)
        for out in plan.outputs.values():
            out.fill(np.nan)
        plan.run()
    assert plans[1].calls == 1, "not all is compiled"
    for name, wanted in plans[0].outputs.items():
        scale = max(1.0, np.abs(wanted).max())
        rounding = ROUNDING[wanted.dtype.type]
        np.testing.assert_allclose(plans[1].outputs[name] / scale, wanted / scale, rtol=0, atol=rounding, err_msg=name)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_products_of_all_sizes_and_strides(dtype):
    """Whole and partial tiles and vectors, both operands plain and transposed, and more terms than fit in a block."""
    rng = np.random.default_rng(1)
    inputs, outputs = {}, {}
    for number in range(160):
        rows, columns, inner = (int(n) for n in rng.choice(SIZES, 3))
        if number % 40 == 0:
            inner = 1100
        turned_a, turned_b = number % 2, number // 2 % 2
        a = ad.input_(f"a{number}", (inner, rows) if turned_a else (rows, inner), dtype)
        b = ad.input_(f"b{number}", (columns, inner) if turned_b else (inner, columns), dtype)
        inputs |= {a.name: a, b.name: b}
        outputs[f"{rows} x {inner} x {columns}, {turned_a}{turned_b}"] = (a.T if turned_a else a) @ (
            b.T if turned_b else b
        )
    check(ad.Program(inputs, outputs))


@pytest.mark.parametrize("dtype", ROUNDING)
def test_several_products_at_once(dtype):
    a, b = ad.input_("a", (3, 5, 2, 9), dtype), ad.input_("b", (3, 17, 2, 9), dtype)
    left, right = ad.transpose(a, (0, 2, 1, 3)), ad.transpose(b, (0, 2, 3, 1))
    check(ad.Program({"a": a, "b": b}, {"out": left @ right}))


CONVOLUTIONS = {
    "plain": ((6, 3, 7, 16), (5, 3, 3, 2), {}),
    "padded": ((5, 4, 6, 17), (7, 4, 3, 3), {"padding": ((1, 1), (1, 2))}),
    "wide": ((3, 2, 40, 16), (13, 2, 2, 5), {"padding": ((0, 1), (2, 2))}),
    "stride": ((9, 2, 8, 33), (4, 2, 3, 3), {"stride": (2, 3), "padding": ((1, 0), (1, 1))}),
    "dilation": ((9, 2, 8, 16), (4, 2, 3, 2), {"dilation": (2, 3), "padding": ((2, 1), (0, 3))}),
    "groups": ((6, 6, 6, 20), (8, 3, 2, 3), {"groups": 2, "stride": (1, 2)}),
    "each channel alone": ((6, 5, 6, 16), (5, 1, 3, 3), {"groups": 5, "padding": ((1, 1), (1, 1))}),
    "less than no padding": ((6, 2, 7, 16), (3, 2, 2, 2), {"padding": ((-1, 1), (0, -2))}),
    "only padding on some sides": ((2, 2, 3, 16), (3, 2, 3, 3), {"padding": ((4, 4), (5, 1))}),
    "pixels that no window reads": ((7, 2, 8, 16), (3, 2, 1, 1), {"stride": (3, 3)}),
    "long sequence": ((16, 60, 32), (20, 16, 5), {"stride": (1,), "dilation": (1,), "padding": ((3, 3),)}),
    "many filters": ((10, 8, 10, 32), (24, 8, 3, 3), {"padding": ((1, 1), (1, 1))}),
    "panels of filters": ((5, 13, 6, 17), (160, 13, 2, 3), {"padding": ((1, 1), (1, 1))}),
    "panels in groups": ((6, 24, 7, 16), (128, 12, 3, 2), {"groups": 2, "stride": (2, 3), "padding": ((0, 1), (2, 1))}),
    "panels of a long sum": ((3, 14, 40, 32), (61, 14, 2, 3), {"dilation": (1, 2), "padding": ((1, 0), (1, 3))}),
    "sequence": ((4, 30, 16), (9, 4, 5), {"stride": (1,), "dilation": (2,), "padding": ((3, 3),)}),
}


@pytest.mark.parametrize("dtype", ROUNDING)
def test_convolutions_and_their_transposes(dtype):
    inputs, outputs = {}, {}
    for name, (image_shape, weight_shape, settings) in CONVOLUTIONS.items():
        image, weight = (ad.input_(f"{name} {x}", shape, dtype) for x, shape in enumerate((image_shape, weight_shape)))
        out = Convolution(**settings)(image, weight)
        factor = ad.input_(f"{name} factor", out.shape, dtype)
        by_image, by_weight = ad.gradients(ad.sum(out * factor), [image, weight])
        inputs |= {value.name: value for value in (image, weight, factor)}
        outputs |= {name: out, f"{name} by image": by_image, f"{name} by weight": by_weight}
    check(ad.Program(inputs, outputs))


def test_a_batch_that_fills_no_vector_stays_numpys():
    image, weight = ad.input_("image", (4, 2, 4, 15), np.float32), ad.input_("weight", (3, 2, 2, 2), np.float32)
    program = ad.Program({"image": image, "weight": weight}, {"out": Convolution()(image, weight)})
    assert Plan(program, compiled=True).calls == Plan(program).calls


def test_infinity_and_nan_spread_as_in_numpy():
    a, b = ad.input_("a", (7, 5), np.float32), ad.input_("b", (5, 9), np.float32)
    results = []
    for compiled in (False, True):
        plan = Plan(ad.Program({"a": a, "b": b}, {"out": a @ b}), compiled=compiled)
        for array in plan.inputs.values():
            array.fill(0.5)
        plan.inputs["a"][2, 3], plan.inputs["b"][1, 4] = np.nan, -np.inf
        plan.run()
        results.append(plan.outputs["out"].copy())
    np.testing.assert_array_equal(*results)


def many_pieces():
    """A program of products, convolutions and loops that are large enough to be shared."""
    image, weight = ad.input_("image", (12, 8, 12, 32), np.float32), ad.input_("weight", (16, 8, 3, 3), np.float32)
    a, b = ad.input_("a", (70, 300), np.float32), ad.input_("b", (200, 300), np.float32)
    result = Convolution()(image, weight)
    by_image, by_weight = ad.gradients(ad.sum(ad.tanh(result)), [image, weight])
    product = a @ b.T
    long = ad.input_("long", (70_000,), np.float32)
    total = ad.sum(ad.square(long)) * 2.0
    table, rows = ad.input_("table", (50, 40), np.float32), ad.input_("rows", (64, 30), np.int64)
    outputs = {
        "by table": ad.gradients(ad.sum(ad.tanh(ad.take_rows(table, rows))), [table])[0],
        "by image": by_image,
        "by weight": by_weight,
        "rows": ad.sum(ad.exp(product), (1,)),
        "turned": product.T @ a,
        "total": total,
        "moved": long * total,
    }
    return ad.Program({value.name: value for value in (image, weight, a, b, long, table, rows)}, outputs)


def test_threads_do_not_change_the_bits():
    program, found = many_pieces(), []
    for threads in (1, 2, 5):
        plan = Plan(program, compiled=True, threads=threads)
        for array in plan.inputs.values():
            array[...] = np.random.default_rng(0).uniform(
                *((0, 50) if array.dtype == int else (-0.1, 0.1)), array.shape
            )
        for _ in range(50):
            for out in plan.outputs.values():
                out.fill(np.nan)
            plan.run()
            found.append(b"".join(out.tobytes() for out in plan.outputs.values()))
    assert len(set(found)) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [3 * 2**15, 100_003])
def test_nor_do_they_in_a_row_that_is_shared(dtype, size):
    """Functions of several elements at once round differently from those of the elements left over."""
    x, found = ad.input_("x", (size,), dtype), set()
    program = ad.Program({"x": x}, {"exp": ad.exp(x), "tanh": ad.tanh(x), "erf": ad.erf(x)})
    for threads in (1, 2, 3, 5):
        plan = Plan(program, compiled=True, threads=threads)
        plan.inputs["x"][...] = np.random.default_rng(0).standard_normal(size)
        plan.run()
        found.add(b"".join(out.tobytes() for out in plan.outputs.values()))
    assert len(found) == 1


def test_plans_that_run_at_the_same_time_do_not_mix():
    plans = [Plan(many_pieces(), compiled=True, threads=2) for _ in range(3)]
    for number, plan in enumerate(plans):
        for array in plan.inputs.values():
            array.fill(0.01 * (number + 1))
    alone = []
    for plan in plans:
        plan.run()
        alone.append([out.copy() for out in plan.outputs.values()])

    def often(plan):
        for _ in range(50):
            plan.run()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(often, plans))
    for plan, wanted in zip(plans, alone, strict=True):
        for out, expected in zip(plan.outputs.values(), wanted, strict=True):
            np.testing.assert_array_equal(out, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_runs_without_the_threads():
    plan = Plan(many_pieces(), compiled=True, threads=2)
    plan.run()
    child = os.fork()
    if child == 0:
        plan.run()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
