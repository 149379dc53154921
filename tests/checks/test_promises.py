"""What an op promises besides its gradient: one mistake a class, and the promise that it breaks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.accumulation.local_jacobian import LocalJacobian, dense
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.accumulation.vectorize import vectorize
from backprop_cli.autodiff import OPS
from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.op import Op, Sample, sample
from backprop_cli.checks.continuation import eval_complex
from backprop_cli.checks.promises.case import BrokenPromiseError
from backprop_cli.checks.promises.kept import check_rules, check_values
from backprop_cli.errors import ShapeError
from backprop_cli.execution import kernels
from backprop_cli.execution.costs import flops
from backprop_cli.execution.identities import cheaper, summand, summed, transposed


class Cube(Elementwise):
    """``out = x^3``."""

    expression: ClassVar = "{0} * {0} * {0}"
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval(self, x, *, out):
        np.power(x, 3.0, out=out)

    def partials(self, x, *, out):
        return (3.0 * x * x,)


@dataclass(frozen=True)
class Running(Op):
    """Sums from the first (or the last) element of the last axis on."""

    back: bool = False
    samples: ClassVar = (sample((3, 4)), sample((3, 4), back=True))

    def shape(self, *x):
        if not x[0].shape:
            raise ShapeError(self, "needs an axis", x=x[0])
        return x[0]

    def eval(self, x, *, out):
        out[...] = np.cumsum(x[..., ::-1], -1)[..., ::-1] if self.back else np.cumsum(x, -1)

    def jvp(self, primals, tangents, out):
        return self(tangents[0])

    def vjp(self, primals, out, cotangent):
        return (type(self)(not self.back)(cotangent),)


@vectorize.register(Running)
def _(op, size, x, mapped):
    return op(x[0])


class Kinked(Elementwise):
    """``out = max(x, x / 10)``."""

    is_smooth: ClassVar = False
    samples: ClassVar = (sample((3, 4)),)

    def eval(self, x, *, out):
        np.multiply(x, 0.1, out=out) if out is not x else np.copyto(out, np.where(x > 0, x, 0.1 * x))
        np.maximum(x, out, out=out)

    def partials(self, x, *, out):
        return (ad.where(ad.greater(x, 0.0), 1.0, 0.1),)


@eval_complex.register(Kinked)
def _(op, *x, out):
    np.copyto(out, np.where(x[0].real > 0, x[0], 0.1 * x[0]))


class Plane(Elementwise):
    """``out = x + 2 y``."""

    samples: ClassVar = (sample((3, 4), (4,)), sample((2, 3), (2, 3)))

    def eval(self, x, y, *, out):
        np.add(x, 2.0 * y, out=out)

    def partials(self, x, y, *, out):
        return 1.0, 2.0


RIGHT = (Cube, Running, Kinked, Plane)


@pytest.mark.parametrize("cls", RIGHT)
def test_what_is_right_passes(cls):
    check_values(cls, np.random.default_rng(0))
    check_rules(cls, np.random.default_rng(0))


REGISTERED = {
    "bind": kernels.bind,
    "cheaper": cheaper,
    "eval_complex": eval_complex,
    "flops": flops,
    "local_jacobians": local_jacobians,
    "scratch": kernels.scratch,
    "summand": summand,
    "summed": summed,
    "transposed": transposed,
    "vectorize": vectorize,
}


def of(base, **members):
    """A subclass with other methods and flags, and with functions registered for its type."""
    cls = type(base.__name__, (base,), {name: x for name, x in members.items() if name not in REGISTERED})
    for name in members.keys() & REGISTERED.keys():
        REGISTERED[name].register(cls)(members[name])
    return cls


def test_an_op_that_reads_late_says_so():
    check_values(of(Cube, eval=_reads_late, in_place=False), np.random.default_rng(0))


def _no_element(self, x, *, out):
    np.power(x.reshape(-1)[1:], 3.0, out=out.reshape(-1)[1:])


def _adds(self, x, *, out):
    np.add(out, x, out=out)


def _writes_operand(self, x, *, out):
    np.power(x, 3.0, out=out)
    x[...] = 1.0


def _reads_late(self, x, *, out):
    np.multiply(x, x, out=out)
    np.multiply(out, np.copy(x), out=out)


def _second_late(self, x, y, *, out):
    np.copyto(out, x)
    np.add(out, 2.0 * y, out=out)


def _dirty_scratch(op, x, *, out, scratch=()):
    def call():
        scratch[0][...] += 1.0
        np.multiply(np.power(x, 3.0), scratch[0], out=out)

    return call


def _bound_to_values(self, *x, out, scratch=()):
    cube = x[0] ** 3

    def call():
        out[...] = cube

    return call


def _writes_the_same(self, x, *, out):
    x += 0.0
    np.power(x, 3.0, out=out)


def _by_row(self, x, *, out):
    np.subtract(np.power(x, 3.0), np.asarray(x).size, out=out)


def _in_order(self, x, *, out):
    flat = np.frombuffer(x.tobytes("A"), x.dtype).reshape(x.shape)
    np.power(flat, 3.0, out=out)


def _widens(self, *x):
    return ad.Spec(x[0].shape, np.dtype(np.float64))


def _rough(self, x, *, out):
    np.power(x, 3.0 if x.dtype == np.float64 else 2.0, out=out)


VALUES = [
    (of(Cube, eval=_no_element), "eval", "does not write all of out"),
    (of(Cube, eval=_adds), "eval", "does not write all of out"),
    (of(Cube, eval=_writes_operand), "eval", "leaves in operand 0 1 at"),
    (of(Cube, eval=_writes_the_same), "eval", "writes into its operands"),
    (of(Cube, eval=_reads_late), "in_place", "over the memory of operand 0 eval gives"),
    (of(Plane, eval=_second_late), "in_place", "over the memory of operand 1 eval gives"),
    (of(Cube, scratch=lambda op, *x: x, bind=_dirty_scratch), "eval", "does not write all of out"),
    (of(Cube, bind=_bound_to_values), "bind", "its call gives 1 "),
    (of(Cube, eval=_by_row), "eval", "of pieces, one after the other, gives"),
    (of(Cube, eval=_in_order), "eval", "of operands that are views gives"),
    (of(Cube, shape=_widens), "shape", "gives float64 for operands of float32, expected float32"),
    (of(Cube, eval=_rough), "eval", "in float32 gives"),
    (of(Cube, is_view=True, view=lambda self, x: x), "view", "shows"),
    (of(Cube, is_view=True, view=lambda self, x: x**3), "view", "is a copy"),
    (of(Cube, expression="{0} * {0}"), "expression", "compiled it gives"),
    (of(Cube, expression="{0} * {0} * {0} * 1.001"), "expression", "compiled it gives"),
    (of(Cube, expression="{0} * abs({0}) * abs({0}) if {0} < 10 else {zero}"), "expression", "compiled it gives 0 at"),
    (
        of(Cube, expression="gamma({0})"),
        "expression",
        "'gamma({0})' cannot be compiled: SyntaxError: the function 'gamma' is unknown in compiled steps",
    ),
    (of(Cube, expression="{0} *"), "expression", "cannot be compiled: SyntaxError"),
]


@pytest.mark.parametrize(("cls", "method", "said"), VALUES)
def test_a_broken_promise_of_values(cls, method, said):
    with pytest.raises(BrokenPromiseError) as caught:
        check_values(cls, np.random.default_rng(0))
    assert caught.value.method == method
    assert str(caught.value).startswith(f"{method}: {said}") or said in str(caught.value)


def _first_tangent_only(self, primals, tangents, out):
    x_dot, y_dot = tangents
    return None if x_dot is None else x_dot if y_dot is None else x_dot + 2.0 * y_dot


def _in_double(self, primals, out, cotangent):
    x = ad.OPS["cast"]("float64")(primals[0])
    return (ad.OPS["cast"](cotangent.dtype.name)(3.0 * x * x) * cotangent,)


def _swapped(op, size, x, mapped):
    return type(op)(not op.back)(x[0])


def _not_there(op, size, x, mapped):
    raise TypeError("of no use")


def _structure(local):
    return lambda self, primals, out: (local(primals[0], out),)


def _too_few(x, out):
    reads = np.arange(out.size).reshape(out.size, 1)
    return LocalJacobian(reads, False, x.size)


def _units(x, out):
    return LocalJacobian(np.arange(x.size).reshape(-1, 1), True, x.size)


def _triangle(x, out):
    width = x.shape[-1]
    rows = np.where(np.tri(width, dtype=bool), np.arange(width), -1)
    starts = np.arange(0, x.size, width)[:, None, None] if x.size else np.zeros((0, 1, 1), int)
    return LocalJacobian(np.where(rows >= 0, rows + starts, -1).reshape(x.size, width), True, x.size)


LOCAL = "local_jacobians"
RULES = [
    (of(Plane, jvp=_first_tangent_only), "jvp", "along one operand after the other adds up to"),
    (of(Cube, vjp=_in_double), "vjp", "computes <cast"),
    (of(Cube, is_step=True), "is_step", "is stated, and a rule gives"),
    (of(Cube, is_step=True, partials=lambda self, x, *, out: (None,)), "is_step", "is stated, and eval changes by"),
    (of(Cube, blocks_gradient=True), "blocks_gradient", "is stated, and a rule gives"),
    (of(Kinked, is_smooth=True), "is_smooth", "is not False, and the derivative jumps from"),
    (
        of(Cube, eval_complex=lambda self, x, *, out: np.copyto(out, x.real**3 + 3.003j * x.real**2 * x.imag)),
        "eval_complex",
        "its imaginary part, the derivative in units of the largest, is",
    ),
    (
        of(Cube, eval_complex=lambda self, x, *, out: np.copyto(out, 1.0 + x**3)),
        "eval_complex",
        "its real part is",
    ),
    (
        of(Kinked, eval_complex=lambda self, x, *, out: np.copyto(out, np.where(x.real >= 0, x, 0.1 * x))),
        "eval_complex",
        "at 0 its imaginary part is",
    ),
    (of(Running, local_jacobians=_structure(_too_few)), LOCAL, "leaves out an entry by operand 0: it is 1"),
    (of(Cube, local_jacobians=_structure(_units)), LOCAL, "by operand 0 is stated to be 1 or -1"),
    (
        of(Running, local_jacobians=_structure(_triangle)),
        "local_jacobians",
        "is stated to be 1 or -1: it is 0 at [1, 0], not 1",
    ),
    (of(Cube, local_jacobians=lambda self, primals, out: ()), LOCAL, "gives 0 structures for 1 operands"),
    (
        of(Cube, local_jacobians=_structure(lambda x, out: dense(out.size, x.size + 1))),
        "local_jacobians",
        "by operand 0 has shape",
    ),
    (of(Running, vectorize=_swapped), "vectorize", "with 3 of operand 0 at once gives"),
    (of(Running, vectorize=_not_there), "vectorize", "raises TypeError: of no use"),
    (of(Cube, cheaper=lambda op, *x: x[0] * x[0]), "cheaper", "gives"),
    (of(Running, transposed=lambda self, *x: self(*x)), "transposed", "gives"),
    (of(Cube, summand=lambda self, *x: 1, summed=lambda self, *terms: terms[0]), "summed", "gives"),
    (of(Cube, flops=lambda self, *x: -1), "flops", "gives -1, expected a whole number of at least 0"),
    (of(Cube, printed=lambda self, *x: None), "printed", "gives None, expected text"),
]


@pytest.mark.parametrize(("cls", "method", "said"), RULES)
def test_a_broken_promise_of_rules(cls, method, said):
    with pytest.raises(BrokenPromiseError) as caught:
        check_rules(cls, np.random.default_rng(0))
    assert caught.value.method == method
    assert said in str(caught.value)


def test_ops_with_other_fields_that_are_equal():
    """Without ``@dataclass`` a field of one's own is no part of the key by which equal nodes are merged."""

    class Scaled(Cube):
        samples: ClassVar = (sample((3,), by=2.0), sample((3,), by=3.0))

        def __init__(self, by):
            object.__setattr__(self, "by", by)

        def eval(self, x, *, out):
            np.multiply(x, self.by, out=out)

        def partials(self, x, *, out):
            return (self.by,)

    with pytest.raises(BrokenPromiseError) as caught:
        check_rules(Scaled, np.random.default_rng(0))
    assert str(caught.value) == "__eq__: {'by': 2.0} equals {'by': 3.0}; make the class a dataclass"


def test_the_worst_element_is_shown_with_both_numbers():
    with pytest.raises(BrokenPromiseError) as caught:
        check_values(of(Cube, samples=(Sample(((2,),), domain=(1.0, 1.0)),), expression="{0}*2"), Ones())
    assert str(caught.value) == "expression: compiled it gives 2 at [0], eval gives 1"


class Ones:
    """Draws the ends of its ranges."""

    def uniform(self, low, high, shape):
        return np.full(shape, low)

    def integers(self, low, high=None, size=None):
        return low

    def choice(self, numbers, shape):
        return np.full(shape, numbers[0])


@pytest.mark.parametrize("name", ["tanh", "matmul", "sum", "amax", "softmax", "where", "take_rows"])
def test_without_its_own_an_op_is_vectorized_one_after_the_other(name):
    cls = OPS[name]
    plain = of(cls, vectorize=vectorize.dispatch(Op))
    check_rules(plain, np.random.default_rng(0))
