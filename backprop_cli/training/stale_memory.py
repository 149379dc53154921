"""Reset of remembered values that a resumed run would otherwise compare with another quantity."""

from __future__ import annotations

from collections.abc import Mapping

from backprop_cli.errors import joined
from backprop_cli.nn.schedule import Schedule
from backprop_cli.training.monitor import Measure
from backprop_cli.training.state import BEST, EARLY_STOPPING, EPOCH, FULL_BATCH, SCHEDULE, State

_CALLED = {
    BEST: "the best so far",
    EARLY_STOPPING: "early stopping",
    SCHEDULE: "the schedule",
    FULL_BATCH: "the optimizer",
    EPOCH: "the epoch",
}


def forget_stale(state: State, measures: Mapping[str, Measure], schedule: Schedule) -> list[str]:
    """Forget remembered values whose measure differs from ``measures``; return a line for each reason.

    ``schedule``: the schedule of the coming steps.
    """
    reasons: dict[str, list[str]] = {}
    for key in [key for key in state.memory if key not in measures]:
        del state.memory[key]
    for key, measure in measures.items():
        before = state.measures.get(key, measure)
        if before != measure and state.memory.get(key):
            _forget(state, key, schedule, same_kind=_kind(before) == _kind(measure))
            if key in _CALLED and before.name and measure.name:
                reasons.setdefault(measure.since(before), []).append(_CALLED[key])
    state.measures = dict(measures)
    return [
        f"{joined(names, 'and')} start{'s' if len(names) == 1 else ''} anew: {why}" for why, names in reasons.items()
    ]


def _kind(measure: Measure) -> object:
    return measure.settings.get("schedule")


def _forget(state: State, key: str, schedule: Schedule, same_kind: bool) -> None:
    if key == SCHEDULE:
        state.memory[key] = schedule.anew(state.memory[key]) if same_kind else schedule.start()
        return
    del state.memory[key]
    if key == EPOCH:
        state.position, state.predictions, state.tokens = 0, None, None
