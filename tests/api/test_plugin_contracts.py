"""What a plugin registers is held to the contract of its kind before anything runs."""

import pytest
from api_support import bp, write_config
from plugins_support import CUBE, plugin, using

from backprop_cli.api.validate import validate
from backprop_cli.errors import CheckError, ConfigError


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


LAYER = """\
from typing import ClassVar, Literal

from backprop_cli.nn.average import AVERAGES, Average
from backprop_cli.nn.initializer import INITIALIZERS, Initializer
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import LAYERS, Layer, Param, Sample
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.metric import METRICS, Metric
from backprop_cli.nn.optimizer import OPTIMIZERS, Optimizer


"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n",
            "mine.py:13:1: layer 'mine' must define `samples`, at which its gradient is checked\n"
            "   13 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n",
            "mine.py:13:1: the method apply is missing\n   13 | class Mine(Layer):\n      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n        return x[0].nothing\n",
            "mine.py:18:9: AttributeError: 'Value' object has no attribute 'nothing'\n"
            "   18 |         return x[0].nothing\n"
            "      |         ^^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({'units': 3}, ((3,),)),)\n",
            "mine.py:13:1: layer 'mine' cannot be made from its samples: units: Extra inputs are not permitted\n"
            "   13 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def params(self, *x):\n"
            "        return {'weight': Param((3,), 'zeros')}\n",
            "mine.py:18:9: TypeError: expected an initializer such as Zeros(), got 'zeros'\n"
            "   18 |         return {'weight': Param((3,), 'zeros')}\n"
            "      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n"
            "        from backprop_cli.autodiff import mean\n        return mean(x[0])\n",
            "mine.py:13:1: mine: its apply returns [] for a batch of 4; the first axis must be the batch\n"
            "   13 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
            "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n        x[0] + 1\n",
            "mine.py:13:1: mine: its apply returns NoneType, expected a Value\n"
            "   13 | class Mine(Layer):\n"
            "      | ^^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LOSSES.register\nclass Mine(Loss):\n    type: Literal['mine'] = 'mine'\n    task = 'regression'\n\n"
            "    def costs(self, outputs, targets):\n"
            "        from backprop_cli.autodiff import mean\n        return mean(outputs - targets)\n",
            "mine.py:13:1: loss mine: its costs are [] for a batch of 4; each example needs its own\n"
            "   13 | class Mine(Loss):\n"
            "      | ^^^^^^^^^^^^^^^^^",
        ),
        (
            "@LOSSES.register\nclass Mine(Loss):\n    type: Literal['mine'] = 'mine'\n",
            "mine.py:13:1: loss 'mine' must define `task`\n   13 | class Mine(Loss):\n      | ^^^^^^^^^^^^^^^^^",
        ),
        (
            "@METRICS.register\nclass Mine(Metric):\n    type: Literal['mine'] = 'mine'\n    tasks = ('classes',)\n",
            "mine.py:13:1: metric 'mine' must define `better`\n"
            "   13 | class Mine(Metric):\n"
            "      | ^^^^^^^^^^^^^^^^^^^",
        ),
    ],
)
def test_what_does_not_keep_its_contract(text, said):
    plugin(LAYER + text)
    with pytest.raises(ConfigError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value) == f"{said}\n1 problem; nothing was run."


def test_a_loss_that_the_configuration_uses_before_it_is_checked():
    plugin(LAYER + "@LOSSES.register\nclass Mine(Loss):\n    type: Literal['mine'] = 'mine'\n")
    with pytest.raises(ConfigError) as caught:
        validate(write_config(plugins=["mine.py"], loss="mine"))
    assert str(caught.value).splitlines()[0] == "mine.py:13:1: loss 'mine' must define `task`"


def test_a_layer_that_the_network_has_before_it_is_checked():
    plugin(
        LAYER + "@LAYERS.register\nclass Mine(Layer):\n    type: Literal['mine'] = 'mine'\n"
        "    samples = (Sample({}, ((3,),)),)\n\n    def apply(self, params, *x):\n"
        "        from backprop_cli.autodiff import mean\n        return mean(x[0])\n"
    )
    config = write_config(plugins=["mine.py"], model={"input": [2], "layers": [{"type": "mine"}]})
    with pytest.raises(ConfigError) as caught:
        validate(config)
    assert (
        str(caught.value)
        .splitlines()[0]
        .endswith(
            "model.layers[0]: layer mine_1: its apply returns [] for a batch of 2; the first axis must be the batch "
            "(given input: [2])"
        )
    )


def test_the_name_of_a_type_in_a_file_of_another_name():
    plugin(CUBE.replace("Cube", "Tanh"))
    with pytest.raises(ConfigError) as caught:
        validate(using())
    assert str(caught.value).splitlines()[0] == (
        "mine.py:8:1: op 'tanh' is already registered: Tanh of backprop_cli.autodiff.ops.exponentials; rename one"
    )


def test_a_wrong_optimizer_and_a_wrong_initializer():
    step = "    def update(self, g, slot, scalar, parameter):\n        return {}, dict(slot)\n\n"
    formula = "    def formula(self, step, g, slot, parameter):\n        return g, dict(slot)\n"
    begin = "@OPTIMIZERS.register\nclass Mine(Optimizer):\n    type: Literal['mine'] = 'mine'\n\n"
    plugin(LAYER + begin + step.format("1.5 * g") + formula)
    with pytest.raises(CheckError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value).startswith("mine.py:13: gradient check failed: optimizer mine[")
    assert "the number of its update is " in str(caught.value)
    plugin(LAYER + begin + step.format("g") + formula)
    assert validate(write_config(plugins=["mine.py"], optimizer="mine")).parameters == 39
    draws = "    def sample(self, rng, shape, fan_in, fan_out):\n        return rng.standard_normal(shape)\n\n"
    moments = "    def moments(self, shape, fan_in, fan_out):\n        return 0.0, 1.2\n"
    begin = "@INITIALIZERS.register\nclass Mine(Initializer):\n    type: Literal['mine'] = 'mine'\n\n"
    plugin(LAYER + begin + draws + moments)
    with pytest.raises(CheckError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value).startswith(
        "mine.py:13: gradient check failed: initializer mine: mean and deviation of its "
    )


def test_a_wrong_average():
    text = (
        "@AVERAGES.register\nclass Mine(Average):\n    type: Literal['mine'] = 'mine'\n\n"
        "    def share(self, at):\n        return {} / at.step\n\n"
        "    def formula(self, history):\n        return sum(value for _, value in history) / len(history)\n"
    )
    plugin(LAYER + text.format("0.999"))
    with pytest.raises(CheckError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value).startswith("mine.py:13: gradient check failed: average mine[")
    assert ": the average is " in str(caught.value)
    assert ", that of its definition " in str(caught.value)
    plugin(LAYER + text.format("1.0"))
    assert validate(write_config(plugins=["mine.py"], average="mine")).parameters == 39


OPS = """\
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff import greater, sin, cos, where
from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.op import Op, register, sample
from backprop_cli.errors import ShapeError


@register
"""
SINE = """\
class Mine(Elementwise):
    samples: ClassVar = (sample((3, 4)), sample(()))
{more}
    def eval(self, x, *, out):
        np.sin(x, out=out)

    def partials(self, x, *, out):
        return (cos(x),)
"""
READS_LATE = """\
class Mine(Elementwise):
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval(self, x, *, out):
        np.sin(x, out=out)
        np.multiply(out, np.sin(x), out=out)

    def partials(self, x, *, out):
        return (2.0 * sin(x) * cos(x),)
"""
RUNNING = """\
@dataclass(frozen=True)
class Mine(Op):
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
        return (Mine(not self.back)(cotangent),)


from backprop_cli.accumulation.vectorize import vectorize


@vectorize.register(Mine)
def vectorized(op, size, x, mapped):
    return Mine({back})(x[0])
"""
RIGHT_ONCE = """\
class Mine(Elementwise):
    samples: ClassVar = (sample((3, 4)),)

    def eval(self, x, *, out):
        np.sin(x, out=out)

    def partials(self, x, *, out):
        from backprop_cli.autodiff import stop_gradient

        return (stop_gradient(cos(x)),)
"""
HARD = """\
class Mine(Elementwise):
    is_smooth: ClassVar = False
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval(self, x, *, out):
        np.clip(x / 6.0 + 0.5, 0.0, 1.0, out=out)

    def eval_complex(self, x, *, out):
        slope = np.where(np.abs(x.real) < 3.0, {slope} * x.imag, 0.0)
        np.copyto(out, np.clip(x.real / 6.0 + 0.5, 0.0, 1.0) + 1j * slope)

    def partials(self, x, *, out):
        return (where(greater(3.0, x * where(greater(x, 0.0), 1.0, -1.0)), {slope}, 0.0),)
"""


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            READS_LATE,
            13,
            "op mine breaks a promise of ops: in_place: over the memory of operand 0 eval gives 0.8370279329 at "
            "[1, 1], in memory of its own 0.9935775882",
        ),
        (
            SINE.format(more='    expression: ClassVar = "cos({0})"\n'),
            13,
            "op mine breaks a promise of ops: expression: compiled it gives 0.6051411728 at [0, 1], eval gives "
            "-0.7961181828",
        ),
        (
            RUNNING.format(back="not op.back"),
            14,
            "op mine breaks a promise of ops: vectorize: with 3 of operand 0 at once gives -4.143001758 at [0, 0, 0], "
            "one after the other 0.5478467493",
        ),
        (HARD.format(slope=0.2), 13, "gradient check failed: op mine by operand 0["),
        (RIGHT_ONCE, 13, "gradient check failed: op mine by operand 0["),
    ],
)
def test_an_op_that_breaks_a_promise(text, line, said):
    plugin(OPS + text)
    with pytest.raises(CheckError) as caught:
        validate(write_config(plugins=["mine.py"]))
    assert str(caught.value).startswith(f"mine.py:{line}: {said}")
    assert bp("gradcheck", write_config(plugins=["mine.py"])) == 3


@pytest.mark.parametrize("text", [SINE.format(more=""), RUNNING.format(back="op.back"), HARD.format(slope=1 / 6)])
def test_an_op_that_keeps_its_promises(text):
    plugin(OPS + text)
    assert validate(write_config(plugins=["mine.py"])).parameters == 39


def test_a_broken_promise_beside_everything_registered(capsys):
    plugin(OPS + READS_LATE)
    assert bp("gradcheck", "--plugins", "mine.py") == 3
    assert capsys.readouterr().err.startswith("mine.py:13: op mine breaks a promise of ops: in_place: ")
