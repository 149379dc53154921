'''The one module that a plugin imports: what types of your own need, of every kind.

A plugin is a Python file that a configuration names under ``plugins``. The line above a class registers it, and its
fields are its keys in YAML. Its docstring is its page in ``bp list``, its first line the summary::

    from typing import Literal

    from backprop_cli.plugin import ACTIVATIONS, Activation, Positive, Value, ad


    @ACTIVATIONS.register
    class Isru(Activation):
        """``out = x / sqrt(1 + alpha x^2)``."""

        type: Literal["isru"] = "isru"
        alpha: Positive = 1.0
        """how soon it bends: the limits are -1 / sqrt(alpha) and 1 / sqrt(alpha)"""

        def apply(self, x: Value) -> Value:
            return x / ad.sqrt(1.0 + self.alpha * x * x)

A class begins with its ``type``; only ops and formats are named after their class (``SquaredSine`` is
``squared_sine``). It must define:

===========  ==========================  =============================================================================
kind         register with               must define
===========  ==========================  =============================================================================
activation   ``@ACTIVATIONS.register``   ``apply(x)``, of the shape of x
layer        ``@LAYERS.register``        ``samples``, ``apply(params, *x)``; ``params(*x)`` if it has parameters
loss         ``@LOSSES.register``        ``task``, ``costs(outputs, targets)``: a cost for each example
metric       ``@METRICS.register``       ``tasks``, ``better`` (max or min), ``compute(predictions)``, in NumPy
optimizer    ``@OPTIMIZERS.register``    ``update(g, slot, scalar, parameter)``; ``formula``, the same of one number;
                                         ``slots`` and ``scalars(step)`` if it needs them
schedule     ``@SCHEDULES.register``     ``scale(clock, state)``: the factor of the learning rate
average      ``@AVERAGES.register``      ``share(at)``; ``formula(history)``, the average by its definition
initializer  ``@INITIALIZERS.register``  ``sample(rng, shape, fan_in, fan_out)``; ``moments``, its mean and deviation
format       ``@FORMATS.register``       ``suffixes``; of a ``TableFormat`` ``chunks``, of an ``ArrayFormat`` ``arrays``
                                         and ``shapes``, of a ``TextFormat`` ``read``
op           ``@OPS.register``           ``samples``; of an ``Elementwise`` op ``eval`` (or ``ufunc``) and ``partials``,
                                         of a ``Linear`` one ``shape``, ``eval`` and ``transpose``, of a ``Bilinear``
                                         one ``shape``, ``eval``, ``transpose_left`` and ``transpose_right``, of any
                                         other ``Op`` ``shape``, ``eval``, ``jvp`` and ``vjp``
===========  ==========================  =============================================================================

``help(backprop_cli.plugin.Layer)`` and the like describe the methods, and what else a class may define. The names of
tasks are classes, binary, regression and tokens.

Write whatever is differentiated in ops: operators, and the functions of ``ad`` (``backprop_cli.autodiff``). Only an op
has a derivative of its own, and only its ``eval`` calls NumPy. Checks are made at ``samples``. A sample of an op has
the shapes of its operands: ``sample((3, 4), (4,))``. A sample of a layer has its keys, and the shape of an example of
each input: ``Sample({"units": 4}, ((3,),))``. Samples of other kinds are more keys to check with: ``{"alpha": 2.0}``.

Existing types are in the registries: ``INITIALIZERS["ones"]()`` is a default, ``FORMATS["csv"]`` a class to start from.
'''

from backprop_cli import autodiff as ad
from backprop_cli.autodiff import OPS, Array, Op, Spec, Value
from backprop_cli.autodiff.families import Bilinear, Elementwise, Linear
from backprop_cli.autodiff.op import sample
from backprop_cli.data.file import DataFile, lines_of, text_of
from backprop_cli.data.format import FORMATS, ArrayFormat, Chunk, Format, TableFormat, TextFormat
from backprop_cli.errors import DataError, ShapeError
from backprop_cli.nn.activation import ACTIVATIONS, Activation, ActivationType
from backprop_cli.nn.average import AVERAGES, Average, StepEnd
from backprop_cli.nn.initializer import INITIALIZERS, Initializer, InitializerType
from backprop_cli.nn.layer import LAYERS, Buffer, Layer, Param, ParameterLayer, Params, Sample, WeightedLayer
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.optimizer import OPTIMIZERS, Optimizer, Scalars, Slots
from backprop_cli.nn.schedule import SCHEDULES, Clock, Schedule
from backprop_cli.settings import Count, Fraction, FractionBelowOne, Many, NonNegative, Positive, PositiveInt

__all__ = [
    "ACTIVATIONS",
    "AVERAGES",
    "FORMATS",
    "INITIALIZERS",
    "LAYERS",
    "LOSSES",
    "METRICS",
    "OPS",
    "OPTIMIZERS",
    "SCHEDULES",
    "Activation",
    "ActivationType",
    "Array",
    "ArrayFormat",
    "Average",
    "Bilinear",
    "Buffer",
    "Chunk",
    "Clock",
    "Count",
    "DataError",
    "DataFile",
    "Elementwise",
    "Format",
    "Fraction",
    "FractionBelowOne",
    "Initializer",
    "InitializerType",
    "Layer",
    "Linear",
    "Loss",
    "Many",
    "Metric",
    "NonNegative",
    "Op",
    "Optimizer",
    "Param",
    "ParameterLayer",
    "Params",
    "Positive",
    "PositiveInt",
    "Predictions",
    "Sample",
    "Scalars",
    "Schedule",
    "ShapeError",
    "Slots",
    "Spec",
    "StepEnd",
    "TableFormat",
    "TextFormat",
    "Value",
    "WeightedLayer",
    "ad",
    "lines_of",
    "sample",
    "text_of",
]
