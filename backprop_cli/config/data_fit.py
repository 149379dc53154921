"""What a configuration asks for and its data cannot give, each at its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backprop_cli.config.load import Loaded
from backprop_cli.config.locate import in_file_order
from backprop_cli.errors import ConfigError, Problem, SettingError
from backprop_cli.nn.loss import ClassWeightError


def check_data_fit(loaded: Loaded, outputs: int) -> list[Problem]:
    """Metrics that say nothing about this data: ``outputs`` is its number of classes, or of target columns."""
    config = loaded.config
    found = [metric.misfit(config.loss.task, outputs) for metric in config.metrics]
    return [loaded.problem(("metrics", index), reason) for index, reason in enumerate(found) if reason is not None]


@contextmanager
def located(loaded: Loaded) -> Iterator[None]:
    """Give what data and loss say against the configuration its place.

    Raises: ConfigError instead of SettingError and ClassWeightError.
    """
    try:
        yield
    except SettingError as error:
        problems = [loaded.problem(path, reason) for path, reason in error.findings]
    except ClassWeightError as error:
        problems = [
            loaded.problem(("loss", "class_weight", name if isinstance(name, str | int) else str(name)), reason, True)
            for name, reason in error.reasons.items()
        ]
    else:
        return
    raise ConfigError(in_file_order(problems, loaded.overrides))
