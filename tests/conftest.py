"""What holds for every test: it leaves no global state and no files behind."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from backprop_cli.registry import use_guests

# Times are the machine's, not a property of an example.
hypothesis.settings.register_profile("bp", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("bp")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell without job control starts `pytest &` so, commands that the tests start inherit it, and Ctrl-C ends none.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Commands that tests start would otherwise compile the package anew each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).parent.parent
_FOLDERS = [ROOT, *(ROOT / name for name in ("runs", "configs", "datasets"))]
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SET_BY_OTHERS = {"PYTEST_CURRENT_TEST", "KMP_DUPLICATE_LIB_OK", "TORCHINDUCTOR_CACHE_DIR"}
"""By pytest, by importing threadpoolctl, by an optimizer of PyTorch."""


collect_ignore = [] if os.name == "posix" else ["api/test_signals.py", "cli/test_what_a_terminal_obeys.py", "fuzz"]
"""Tests of what Windows lacks: signals, terminals of POSIX, limits of a process."""


# Walking over thousands of collected tests again and again takes an eighth of the time, looking for garbage after every
# 700 objects another twelfth.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


def _only_checked(descriptor: int) -> None:
    """Instead of ``os.fsync``: no test loses power, and a disk takes milliseconds a file."""
    os.fstat(descriptor)


for _name in ("fsync", "fdatasync"):
    if hasattr(os, _name):
        setattr(os, _name, _only_checked)


def _counts(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(".egg-info") and name != "__pycache__"


def _state() -> dict[str, object]:
    return {
        "NumPy's error state": np.geterr(),
        "NumPy's print options": np.get_printoptions(),
        "NumPy's global random state": np.random.get_state()[1].tobytes(),
        "working directory": Path.cwd(),
        "environment": {k: v for k, v in os.environ.items() if k not in _SET_BY_OTHERS},
        "signal handlers": [signal.getsignal(number) for number in _SIGNALS],
        "files of the project": [
            sorted(entry.name for entry in os.scandir(folder) if _counts(entry.name)) for folder in _FOLDERS
        ],
    }


_STATE: dict[str, object] = {}
"""After the latest test. Asked once a test, the state takes 0.14 ms of each of thousands."""


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    before = dict(_STATE) or _state()
    yield
    use_guests(())
    _STATE.update(_state())
    changed = [name for name in before if before[name] != _STATE[name]]
    assert not changed, f"the test changed {', '.join(changed)}"
