"""What a command calls, replaced."""

import sys
from types import ModuleType

import pytest


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """A terminal on which tables need no line breaks."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def job(monkeypatch):
    """Replace ``api.<module>.<function>``; returns the calls it got."""

    def replace(module, result, function=None, during=None):
        calls = []

        def stand_in(*args, **options):
            on_event = options.pop("on_event", None)
            options.pop("watch", None)
            calls.append((args, options))
            if during is not None:
                during(on_event)
            return result

        fake = ModuleType(f"backprop_cli.api.{module}")
        setattr(fake, function or module, stand_in)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
        return calls

    return replace
