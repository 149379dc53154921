"""The YAML sections ``training`` and ``early_stopping``."""

# Annotations are no text here (`from __future__`): pydantic would compile each one at every start.

from typing import Annotated, Literal

from pydantic import Field

from backprop_cli.settings import FREE, RESTARTS, Maybe, NonNegative, OrAuto, Positive, PositiveInt, Settings


class LookaheadSettings(Settings):
    """Slow weights that follow the optimizer's: every ``steps`` steps ``slow <- slow + rate * (fast - slow)``.

    The optimizer continues from the slow weights and keeps its slots. The slow weights are evaluated and kept.
    Source: Zhang, Lucas, Hinton & Ba, Lookahead Optimizer: k Steps Forward, 1 Step Back (2019), algorithm 1.
    """

    steps: Annotated[PositiveInt, FREE] = 5
    """steps of the optimizer between two updates of the slow weights"""
    rate: Annotated[float, Field(gt=0, le=1), FREE] = 0.5
    """share of the difference that the slow weights move by"""


class RecomputeSettings(Settings):
    """Save memory: divide the network into segments and keep all results of only one segment at a time."""

    segments: PositiveInt | Literal["auto"] = "auto"
    """number of segments; auto takes the number that needs the least memory"""


class TrainingSettings(Settings):
    """Length of training, batches, precision and limits of a step."""

    epochs: Annotated[int, Field(ge=0), OrAuto(), FREE] = 30
    """passes over the train split; 0 saves the initial weights as the last checkpoint; auto: about 5,000
    steps, in 20 to 200 epochs
    """
    batch_size: Annotated[PositiveInt, FREE] = 32
    """examples a batch; the last batch of an epoch may be smaller"""
    max_steps: Annotated[Maybe[PositiveInt], FREE] = None
    """stop after this many steps"""
    max_seconds: Annotated[Maybe[Positive], FREE] = None
    """stop after this many seconds of training"""
    overfit_batches: Maybe[PositiveInt] = None
    """train and evaluate on only this many batches of the train split: a check that the network can learn them"""
    accumulate: Annotated[PositiveInt, FREE] = 1
    """batches an update; the update equals that of one batch with all their examples"""
    clip_norm: Annotated[Maybe[Positive], FREE] = None
    """scale down the gradient of all parameters to at most this Euclidean norm"""
    clip_value: Annotated[Maybe[Positive], FREE] = None
    """clip every entry of the gradient to [-clip_value, clip_value]"""
    shuffle: bool = True
    """a new order every epoch; false keeps the file's order"""
    members: Maybe[Annotated[int, Field(ge=2)]] = None
    """train an ensemble: every dense layer becomes an ensemble_dense of this many members, which share its weight"""
    recompute: Annotated[Maybe[RecomputeSettings], FREE] = None
    """compute forward results again for the gradient instead of keeping all of them"""
    precision: Literal["float32", "float64"] = "float32"
    """floating-point format of parameters and data"""
    threads: Annotated[PositiveInt | Literal["auto"], FREE] = "auto"
    """threads of a step: compiled steps share their loops; on NumPy BLAS threads, or workers with a shard each"""
    compile: Annotated[bool | Literal["auto"], FREE] = "auto"
    """compile the steps with the C compiler of this machine; auto compiles if the run is long enough to gain"""


class EarlyStoppingSettings(Settings):
    """Stop when the monitored metric has not improved by more than ``min_delta`` for ``patience`` epochs."""

    monitor: Annotated[str, RESTARTS] = "validation/loss"
    """name of the metric, as in metrics.jsonl"""
    mode: Annotated[Literal["auto", "min", "max"], RESTARTS] = "auto"
    """the better direction; auto takes it from the metric"""
    patience: Annotated[int, Field(ge=0)] = 5
    """epochs without improvement before stopping"""
    min_delta: NonNegative = 0.0
    """smallest change that counts as an improvement"""
    restore_best: bool = True
    """keep the best weights, not the last; false writes no best checkpoint"""
