"""Random programs of small arrays, for hypothesis."""

import numpy as np
from hypothesis import strategies as st

from backprop_cli import autodiff as ad

SHAPES = [(3, 4), (4, 3), (12,), (1, 4), ()]

UNARY = [
    ad.negative,
    ad.square,
    ad.tanh,
    ad.sigmoid,
    ad.softplus,
    ad.relu,
    ad.sin,
    ad.erf,
    ad.absolute,
    ad.sign,
    ad.copy,
]
BINARY = [ad.add, ad.subtract, ad.multiply, ad.maximum, ad.minimum, ad.greater, ad.equal]
SHAPING = [
    lambda x: x.T,
    lambda x: ad.reshape(x, (x.size,)),
    lambda x: ad.reshape(x, tuple(reversed(x.shape))),
    lambda x: ad.sum(x),
    lambda x: ad.sum(x, -1, keepdims=True) if x.ndim else x,
    lambda x: ad.amax(x, 0) if x.ndim else x,
    lambda x: ad.broadcast_to(x, (3, 4)) if x.shape in ((), (1, 4), (4,), (3, 1), (3, 4)) else x,
    lambda x: ad.slice_(x, 0, 1, x.shape[0]) if x.ndim and x.shape[0] > 1 else x,
    ad.stop_gradient,
]


def joined(values):
    """All of them in one vector."""
    return ad.concat([ad.reshape(value, (value.size,)) for value in values])


def broadcasting(x, y):
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


@st.composite
def programs(draw):
    """Inputs of several shapes, up to 15 ops on anything made before, outputs and updates at random."""
    inputs = {f"x{k}": ad.input_(f"x{k}", shape) for k, shape in enumerate((*SHAPES, (3, 4), (12,)))}
    values = list(inputs.values())

    def one():
        # The newest values more often: chains, in which memory is taken over.
        return draw(st.sampled_from(values) | st.sampled_from(values[-4:]))

    for _ in range(draw(st.integers(1, 15))):
        kind = draw(st.sampled_from(["unary", "binary", "shape", "matmul", "concat", "where"]))
        x, y = one(), one()
        if kind == "unary":
            values.append(draw(st.sampled_from(UNARY))(x))
        elif kind == "binary" and broadcasting(x, y) and x.size * y.size <= 2000:
            values.append(draw(st.sampled_from(BINARY))(x, y))
        elif kind == "shape":
            values.append(draw(st.sampled_from(SHAPING))(x))
        elif kind == "matmul" and x.ndim == y.ndim == 2:
            values.append(x @ (y if x.shape[1] == y.shape[0] else y.T if x.shape[1] == y.shape[1] else x.T))
        elif kind == "concat" and x.size + y.size < 200:
            values.append(joined([x, y, *([one()] if draw(st.booleans()) else [])]))
        elif kind == "where" and broadcasting(x, y):
            values.append(ad.where(ad.greater(x, y), x, y))
    outputs = {f"out{k}": one() for k in range(draw(st.integers(0, 3)))}
    updates = {}
    for name, state in inputs.items():
        fitting = [value for value in values if value.spec == state.spec]
        if draw(st.booleans()):
            updates[name] = draw(st.sampled_from(fitting) | st.sampled_from(fitting[-2:]))
    return ad.Program(inputs, outputs, updates)


@st.composite
def of_cubes(draw):
    """Elementwise ops, reductions over any axes and transposes of cubes: loops that share rows in many directions."""
    inputs = {f"x{k}": ad.input_(f"x{k}", (3, 3, 3)) for k in range(3)}
    values = list(inputs.values())

    def one():
        return draw(st.sampled_from(values) | st.sampled_from(values[-5:]))

    for _ in range(draw(st.integers(3, 20))):
        x, y = one(), ad.transpose(one(), draw(st.permutations(range(3)).map(tuple)))
        join = draw(st.sampled_from([ad.add, ad.subtract, ad.multiply]))
        kind = draw(st.sampled_from(["unary", "binary", "binary", "reduction", "reduction"]))
        if kind == "unary":
            values.append(draw(st.sampled_from(UNARY))(x))
        elif kind == "binary":
            values.append(join(x, y))
        else:
            axes = tuple(sorted(draw(st.sets(st.sampled_from(range(3)), min_size=1))))
            values.append(join(x, draw(st.sampled_from([ad.sum, ad.amax]))(one(), axes, keepdims=True)))
    return ad.Program(inputs, {f"out{k}": one() for k in range(3)}, {"x0": values[-1]})


@st.composite
def differentiated(draw):
    """A random program with the gradient of one of its values, joined in one vector and used to update the states."""
    program = draw(programs())
    values = [*program.outputs.values(), *program.updates.values()]
    if not values:
        return program
    scalar = ad.sum(ad.tanh(draw(st.sampled_from(values))))
    states = {name: program.inputs[name] for name in program.updates}
    gradients = ad.gradients(scalar, list(states.values()))
    stepped = {name: x - 0.1 * g for (name, x), g in zip(states.items(), gradients, strict=True)}
    flat = {"flat": joined(gradients)} if gradients else {}
    return ad.Program(program.inputs, {**program.outputs, **flat, "loss": scalar}, stepped)


def poison(plan):
    """Run on NaN, which is then in all memory of the plan: nothing may rest on what an earlier run left there."""
    given = {name: array.copy() for name, array in plan.inputs.items()}
    for array in plan.inputs.values():
        if array.dtype.kind == "f":
            array[...] = np.nan
    plan.run()
    for name, array in given.items():
        plan.inputs[name][...] = array
