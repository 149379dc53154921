"""The reference in docs/ is what the code says: the generated pages are those on disk, and links lead to headings."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import backprop_cli
import generate
from generator import messages, results

ROOT = Path(__file__).parent.parent


def test_the_generated_pages_are_up_to_date():
    """Apart from the output of commands, which `test_the_recorded_output_is_up_to_date` makes anew."""
    stale = generate.out_of_date(generate.pages(ROOT / "docs", quick=True))
    assert not stale, "run python docs/generate.py"


def check(docs, *options):
    """Exit code and messages of the check of a folder of pages."""
    command = [sys.executable, ROOT / "docs" / "generate.py", "--check", "--docs", docs, *options]
    ended = subprocess.run(command, text=True, capture_output=True)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


@pytest.mark.slow
def test_the_recorded_output_is_up_to_date():
    assert check(ROOT / "docs") == (0, "")


def test_the_check_names_the_pages_that_differ(tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    layers, stray = docs / "reference" / "layers.md", docs / "reference" / "stray.md"
    layers.write_text(layers.read_text().replace("| `units` | integer > 0 |", "| `units` | integer >= 0 |", 1))
    stray.write_text("# Old\n")
    code, messages = check(docs, "--quick")
    assert code == 1
    assert messages.splitlines() == [
        f"{layers}: differs from the code; run python docs/generate.py",
        f"{stray}: nothing generates it; run python docs/generate.py",
    ]


def test_every_key_of_a_result_is_described():
    found = [cls for name in backprop_cli.__all__ for cls in results.objects(results.results(name))]
    bare = [f"{cls.__name__}.{key}" for cls in found for key, (_, words) in results.keys(cls).items() if not words]
    assert len(found) > 40
    assert not bare


def test_every_kind_of_message_is_explained():
    """Those of the package's errors, and those that the command line gives to other exceptions."""
    source = (ROOT / "backprop_cli" / "cli" / "app.py").read_text(encoding="utf-8")
    named = set(re.findall(r'\.failure\(\S+, "(\w+)"', source))
    assert len(named) > 3
    assert named <= set(messages.kinds())
    assert [kind for kind, (_, text) in messages.kinds().items() if "Way out: " not in text] == []
