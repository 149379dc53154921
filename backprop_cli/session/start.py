"""The start of training: data, network and state of a new or a resumed run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from backprop_cli.config.load import Loaded
from backprop_cli.session.experiment import Experiment, prepare
from backprop_cli.session.initial_state import initial_state
from backprop_cli.session.monitors import measures_of
from backprop_cli.session.threads import loop_threads, share_out
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.state import State
from backprop_cli.training.training_spec import TrainingSpec

if TYPE_CHECKING:
    from backprop_cli.session.resumption import Resumption


def start(
    loaded: Loaded, resumption: Resumption | None, threads: int | None, watch: Stopwatch
) -> tuple[Experiment, TrainingSpec, State]:
    """Load the data, build the network and make the state; nothing is written. ``threads`` replaces the configured
    number.

    Raises:
        DataError: the data cannot be used, or the data of the run to resume has changed.
        ConfigError: the configuration does not fit the data.
        CheckpointError: the checkpoint to resume or start from is damaged or of another network.

    """
    with watch("data"):
        experiment = prepare(loaded) if resumption is None else resumption.prepare()
    config = experiment.loaded.config
    if resumption is None:
        state = initial_state(experiment.loaded, experiment.recipe, experiment.dataset)
        state.measures = measures_of(config, list(experiment.dataset.files.values()))
    else:
        state = resumption.state(experiment)
    batch = min(config.training.batch_size, len(experiment.dataset.train))
    wanted = threads or config.training.threads
    chosen = None if resumption is None or threads is not None else resumption.threads(batch)
    chosen = chosen or share_out(wanted, experiment.recipe, batch)
    spec = dataclasses.replace(
        experiment.training_spec(),
        blas_threads=chosen.blas,
        workers=chosen.workers,
        loop_threads=loop_threads(wanted),
    )
    return experiment, spec, state
