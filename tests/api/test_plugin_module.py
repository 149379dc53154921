"""The module that plugins import has what they need, its docstring is right, and it costs a start nothing."""

import re
import subprocess
import sys
import textwrap

import pytest
from api_support import write_config
from plugins_support import plugin

from backprop_cli import plugin as module
from backprop_cli.api.list_types import list_types, registry_of
from backprop_cli.api.validate import validate

KINDS = [kind.kind for kind in list_types().kinds]
ROWS = re.split(r"^=[= ]+\n", module.__doc__, flags=re.MULTILINE)[2]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_every_name_is_there_once():
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_registry_its_base_and_a_row(kind):
    registry = registry_of(kind)
    constant = kind.upper()
    assert getattr(module, constant) is registry
    assert registry.base in map(vars(module).get, module.__all__)
    (row,) = re.findall(rf"^{registry.kind} +``@{constant}.register`` .*\n(?: .*\n)*", ROWS, re.MULTILINE)
    bases = [getattr(module, name) for name in re.findall(r"``([A-Z]\w+)``", row)] or [registry.base]
    words = re.findall(r"``([a-z]\w*)[^`]*``", row)
    known = {*dir(module.Op), *(name for base in bases for name in (*dir(base), *base.__annotations__))}
    assert set(words) - {"type"}
    assert set(words) - {"type"} <= known


def test_the_example_of_its_docstring_is_a_plugin():
    text = module.__doc__
    example = text[text.index("::\n") + 3 : text.index("\nA class begins with")]
    plugin(textwrap.dedent(example).strip() + "\n")
    layers = [
        {"type": "dense", "units": 6, "activation": {"type": "isru", "alpha": 2.0}},
        {"type": "dense", "units": 3},
    ]
    assert validate(write_config(plugins=["mine.py"], model={"layers": layers})).parameters == 39


def test_a_start_with_a_plugin_loads_nothing_more():
    script = (
        "import sys, backprop_cli.api.validate; before = set(sys.modules); "
        "import backprop_cli.plugin; print(*set(sys.modules) - before)"
    )
    ended = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True)
    assert ended.stdout.split() == ["backprop_cli.plugin"]
