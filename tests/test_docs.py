"""The pages of docs/ are run: the Python blocks of a page are one script, and print what the next block shows."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backprop_cli import autodiff

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_END = "\x1e"


def examples(page):
    """Pairs of a Python block and the text shown directly under it, with the line that the block starts at."""
    text = page.read_text(encoding="utf-8")
    pattern = r"^```python\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?"
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2] or ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_blocks_print_what_is_shown(page, tmp_path):
    found = list(examples(page))
    script = "".join(f"{code}\nprint({_END!r}, end='')\n" for _, code, _ in found)
    ended = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, text=True, capture_output=True)
    assert ended.stderr == ""
    for (line, _, shown), printed in zip(found, ended.stdout.split(_END), strict=False):
        assert printed == shown, f"{page.name}, block of line {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_names_every_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if str(page.relative_to(ROOT)) not in readme] == []


def test_the_examples_of_autodiff_print_what_they_show():
    result = doctest.testmod(autodiff)
    assert (result.failed, result.attempted > 5) == (0, True)


def test_the_names_that_autodiff_exports_are_there():
    assert len(set(autodiff.__all__)) == len(autodiff.__all__)
    assert all(hasattr(autodiff, name) for name in autodiff.__all__)
