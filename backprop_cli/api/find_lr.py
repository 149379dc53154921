"""``bp train --find-lr``: which learning rate suits a network and its data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from backprop_cli.api.arguments import as_path, one_or_many
from backprop_cli.errors import UsageError, warn
from backprop_cli.json_object import JsonObject
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.run.lock import refuse_locked
from backprop_cli.session.checked_plugins import read_config, refuse_plugins
from backprop_cli.session.data_changes import check_acceptance
from backprop_cli.session.resumption import find_run, open_run
from backprop_cli.session.start import start
from backprop_cli.session.threads import blas_threads
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.events import OnProgress
from backprop_cli.training.range_test import check_range, range_test

LOWEST, HIGHEST = 1e-7, 10.0
"""The default range of rates."""


class FoundRate(JsonObject, kw_only=True):
    """A range test of learning rates."""

    json_keys: ClassVar = (
        "learning_rate",
        "reason",
        "configured",
        "from_",
        "to",
        "stopped",
        "steps",
        "rates",
        "losses",
        "smoothed",
    )

    learning_rate: float | None
    """The suggestion; null if there is none."""
    reason: str
    """Where the suggestion comes from, or why there is none."""
    configured: float
    """The learning rate of the configuration."""
    from_: float
    """The first rate of the range."""
    to: float
    """The last rate of the range."""
    stopped: str | None
    """Why the test ended early; null if it did not."""
    rates: Sequence[float]
    """The learning rate of each update."""
    losses: Sequence[float | None]
    """The loss of each batch, before its update; null if it is not finite."""
    smoothed: Sequence[float]
    """The running mean of the losses."""

    @property
    def steps(self) -> int:
        """Number of updates."""
        return len(self.rates)


@one_or_many
def find_lr(
    config: Path | str | None = None,
    overrides: Sequence[str] = (),
    *,
    resume: Path | str | None = None,
    low: float = LOWEST,
    high: float = HIGHEST,
    threads: int | None = None,
    accept_changed_data: bool = False,
    plugins: Sequence[Path | str] = (),
    on_progress: OnProgress | None = None,
) -> FoundRate:
    """Train 100 updates at rates that grow from ``low`` to ``high``, and look at the loss. Nothing is written.

    The network is that of a configuration at its initial weights, or with ``resume`` that of a run at its last
    checkpoint; the run does not change. The configured schedule is left out; everything else is as in training.
    A run whose data files have changed is accepted only with ``accept_changed_data``.
    ``on_progress(what, done, total)`` is called as the search proceeds.

    Raises:
        UsageError: arguments that do not go together, or another process trains in the run's directory.
        ConfigError: the configuration is wrong.
        DataError: the data cannot be used, or the run's data has changed.
        CheckpointError: the run, or the checkpoint to start from, is missing, damaged or of another network.
        CheckError: a plugin's gradient is wrong.

    """
    if (config is None) == (resume is None):
        raise UsageError("train: give either a CONFIG or --resume RUN")
    resume = as_path(resume)
    check_acceptance(accept_changed_data, resume)
    wrong = check_range(low, high)
    if wrong:
        raise UsageError(f"--from {low:g} --to {high:g}: {wrong}")
    watch, resumption = Stopwatch(), None
    if resume is None:
        refuse_plugins(plugins, config or "")
        loaded = read_config(Path(config or ""), overrides)
    else:
        run, path = find_run(resume)
        refuse_locked(run)
        resumption = open_run(run, path, overrides, plugins, accept_changed_data)
        loaded = resumption.loaded
    optimizer = loaded.config.optimizer
    if isinstance(optimizer, FullBatch):
        raise UsageError(f"--find-lr: {optimizer.type} searches for the length of every step itself; leave it out")
    experiment, spec, state = start(loaded, resumption, threads, watch)
    if resumption is not None:
        for line in resumption.accepted(experiment):
            warn(line)
    with blas_threads(spec.blas_threads):
        test = range_test(spec, state, low, high, watch, on_progress)
    return FoundRate(
        learning_rate=test.suggestion,
        reason=test.reason,
        configured=optimizer.learning_rate,
        from_=low,
        to=high,
        stopped=test.stopped or None,
        rates=test.rates.tolist(),
        losses=[loss if math.isfinite(loss) else None for loss in test.losses.tolist()],
        smoothed=test.smoothed.tolist(),
    )
