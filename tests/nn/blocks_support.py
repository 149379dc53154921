"""What the tests of blocks and of sharing use: networks of small trees."""

import numpy as np
from nn_support import build, evaluate, inputs

from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.model import Model

D = {"type": "dense", "units": 3}
TANH = {**D, "activation": "tanh"}


def block(*layers, **more):
    return {"type": "block", "layers": list(layers), **more}


def layers_of(trees):
    return [build(LAYERS, tree) for tree in trees]


def model_of(*trees, shape=(3,)):
    return Model.build(layers_of(trees), shape)


def computed(model, x, seed=0):
    """The output for x, and the parameters that it was computed with."""
    arrays = model.init(np.random.default_rng(seed))
    values, feed = inputs(x=x, **arrays)
    (out,) = evaluate([model.apply({name: values[name] for name in arrays}, values["x"])], feed)
    return out, arrays
