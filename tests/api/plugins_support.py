"""What the tests of plugins use: a file with an op and an activation, and a configuration that names it."""

from pathlib import Path

from api_support import merged, write_config

CUBE_OP = '''

@OPS.register
class Cube(Elementwise):
    """``out = x^3``."""

    samples: ClassVar = (sample((3,)),)

    def eval(self, x, *, out):
        squares = x * x
        np.multiply(squares, x, out=out)

    def partials(self, x, *, out):
        return (3.0 * x * x,)
'''
CUBE = f'''\
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.plugin import ACTIVATIONS, OPS, Activation, Elementwise, sample
{CUBE_OP}

@ACTIVATIONS.register
class Cubed(Activation):
    """``out = x^3``."""

    type: Literal["cubed"] = "cubed"

    def apply(self, x):
        return Cube()(x)
'''
LAYERS = [{"type": "dense", "units": 6, "activation": "cubed"}, {"type": "dense", "units": 3}]


def plugin(text=CUBE, name="mine.py"):
    Path(name).write_text(text)
    return Path(name)


def using(*names, **more):
    return write_config(**merged({"plugins": list(names or ["mine.py"]), "model": {"layers": LAYERS}}, more))
