"""JAX: a compiled step called from Python, or a compiled scan over a whole epoch."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp

from benchmarks.cases import BETA1, BETA2, EPSILON, LEARNING_RATE, Data


def _loss(params, x, labels):
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight.T + bias)
    weight, bias = params[-1]
    log_probs = jax.nn.log_softmax(x @ weight.T + bias)
    return -jnp.mean(jnp.take_along_axis(log_probs, labels[:, None], axis=1))


def _adam(state, x, labels):
    params, m, v, step = state
    gradient = jax.grad(_loss)(params, x, labels)
    step = step + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradient)
    m_scale, v_scale = 1 / (1 - BETA1**step), 1 / (1 - BETA2**step)
    params = jax.tree.map(
        lambda p, m, v: p - LEARNING_RATE * (m * m_scale) / (jnp.sqrt(v * v_scale) + EPSILON), params, m, v
    )
    return params, m, v, step


@partial(jax.jit, donate_argnums=0, static_argnums=4)
def _step(state, inputs, labels, start, size):
    """One update with the batch that begins at ``start``. Cutting it inside costs less than a slice from Python."""
    cut = partial(jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=size)
    return _adam(state, cut(inputs), cut(labels))


@partial(jax.jit, donate_argnums=0, static_argnums=4)
def _epoch(state, inputs, labels, order, size):
    """One pass, a smaller last batch included; the gather is part of the compiled program."""
    inputs, labels = inputs[order], labels[order]
    whole = len(inputs) // size * size
    batches = inputs[:whole].reshape(-1, size, inputs.shape[1]), labels[:whole].reshape(-1, size)
    state, _ = jax.lax.scan(lambda state, batch: (_adam(state, *batch), None), state, batches)
    return _adam(state, inputs[whole:], labels[whole:]) if whole < len(inputs) else state


class _Jax:
    def __init__(self, data: Data):
        self.data = data
        params = [(jnp.array(weight), jnp.array(bias)) for weight, bias in data.weights]
        self.state = (params, *(jax.tree.map(jnp.zeros_like, params) for _ in range(2)), jnp.float32(0))
        self.inputs, self.labels = jnp.asarray(data.inputs), jnp.asarray(data.labels)

    def loss(self) -> float:
        return float(_loss(self.state[0], self.inputs, self.labels))


class Steps(_Jax):
    def __init__(self, data: Data):
        super().__init__(data)
        self.batches = self._batches()

    def _batches(self):
        size = self.data.case.batch
        for inputs, labels in self.data.epochs:
            x, y = jnp.asarray(inputs), jnp.asarray(labels)
            for start in range(0, len(inputs), size):
                yield x, y, start, min(size, len(inputs) - start)

    def run(self, steps: int) -> int:
        for _ in range(steps):
            self.state = _step(self.state, *next(self.batches))
        jax.block_until_ready(self.state)
        return steps


class Scan(_Jax):
    epoch = 0

    def run(self, steps: int) -> int:
        epochs = math.ceil(steps / self.data.case.steps_per_epoch)
        for _ in range(epochs):
            self.epoch += 1
            order = self.data.order(self.epoch)
            self.state = _epoch(self.state, self.inputs, self.labels, order, self.data.case.batch)
        jax.block_until_ready(self.state)
        return epochs * self.data.case.steps_per_epoch


def build(data: Data, variant: str) -> _Jax:
    return Scan(data) if variant == "scan" else Steps(data)
