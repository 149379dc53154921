"""README and docs: what a page shows is what happens, and its links lead somewhere."""

import doctest
import os
import re
import shutil

import pytest
import yaml
from documents import PAGES, ROOT, Reader, agrees, anchors, blocks, links

from backprop_cli import autodiff
from backprop_cli.cli.command import COMMANDS, EXIT_CODES
from backprop_cli.config.configuration import Config
from backprop_cli.config.load import load_config
from backprop_cli.registry import discover

_RUN = [page for page in PAGES if any(block.language in ("console", "python", "sh") for block in blocks(page))]
_FRAGMENTS = [
    pytest.param(page, block, id=f"{page.stem}-{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "yaml" and "refused" not in block.words
]


def marked(page):
    """Slow if it starts a process for each of its commands; a page of Python is one process."""
    slow = any(block.language in ("console", "sh") for block in blocks(page))
    marks = [pytest.mark.slow, pytest.mark.timeout(900)] if slow else []
    return pytest.param(page, marks=marks, id=str(page.relative_to(ROOT)))


@pytest.mark.skipif(os.name != "posix", reason="the commands are for a POSIX shell")
@pytest.mark.parametrize("page", [marked(page) for page in _RUN])
def test_a_page_prints_what_it_shows(page, tmp_path):
    for name in ("configs", "datasets"):
        shutil.copytree(ROOT / name, tmp_path / name)
    reports = list(Reader(tmp_path).read(page))
    assert not reports, "\n\n".join(reports)


@pytest.mark.parametrize(("page", "block"), _FRAGMENTS)
def test_a_configuration_has_keys_that_there_are(page, block, tmp_path):
    """A part of a configuration completes a small one; a whole one is read as it is, with the page's plugins."""
    written = yaml.safe_load(block.text)
    if not isinstance(written, dict) or not set(written) <= set(Config.model_fields):
        return  # a list of layers, a workflow
    small = {
        "data": {"source": "x.csv", "target": "y"},
        "model": {"layers": [{"type": "dense", "units": 3}]},
        "loss": "cross_entropy",
    }
    for other in blocks(page):
        if other.language == "python" and other.file is not None:
            (tmp_path / other.file).write_text(other.text)
    whole = tmp_path / "whole.yaml"
    whole.write_text(block.text if set(small) <= set(written) else yaml.safe_dump(_over(small, written)))
    load_config(whole)


def _over(below, above):
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    if "type" in above:
        return above
    keys = {**below, **above}
    return {key: _over(below[key], above[key]) if key in below and key in above else keys[key] for key in keys}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, fragment = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        assert not fragment or fragment in anchors(other), target


def test_links_lead_from_the_readme_to_every_page():
    reached, following = set(), [ROOT / "README.md"]
    while following:
        page = following.pop()
        targets = {(page.parent / target.partition("#")[0]).resolve() for target in links(page) if ".md" in target}
        following += targets - reached
        reached |= targets
    assert [page.name for page in PAGES if page not in reached | {ROOT / "README.md"}] == []


def test_counts_of_checks_and_entries_are_compared():
    shown = "PASS: 282 checks, 4,683 of 4,687 entries judged (method auto)"
    assert agrees([shown], [shown.replace("4,683", "4,680")])
    assert not agrees([shown], [shown.replace("4,687", "4,038")])
    assert not agrees([shown], [shown.replace("282", "281")])


def test_a_reader_reports_what_differs(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n```python\n# one.py\nprint(1)\n```\n```console\n$ echo a; \\\n> echo b 2\n...\nb 1\n$ echo C\nD\n```\n"
        "```python\nx = 1\nprint(x)\n```\n```text\n1\n```\n```python\nprint(x + 1)\n```\n```text\n3\n```\n"
        "```python\n1 / 0\n```\n```python\nprint(x)\n```\n```sh run\nfalse\n```\n"
    )
    reports = [report.splitlines()[0] for report in Reader(tmp_path).read(page)]
    assert reports == [
        "page.md, block of line 6: $ echo C",
        "page.md, block of line 21:",
        "page.md, block of line 27:",
        "page.md, block of line 30:",
        "page.md, block of line 33: exit code 1",
    ]
    assert (tmp_path / "one.py").read_text() == "# one.py\nprint(1)\n"


def test_the_examples_of_autodiff_print_what_they_show():
    result = doctest.testmod(autodiff)
    assert (result.failed, result.attempted > 5) == (0, True)


def test_the_names_that_autodiff_exports_are_there():
    assert len(set(autodiff.__all__)) == len(autodiff.__all__)
    assert all(hasattr(autodiff, name) for name in autodiff.__all__)


def test_the_reference_has_every_command_and_exit_code():
    discover("backprop_cli.cli.commands")
    reference = ROOT / "docs" / "reference"
    headings = re.findall(r"^## bp (\w+)$", (reference / "commands.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)
    codes = re.findall(r"^\| (\d+) \|", (reference / "exit-codes.md").read_text(), re.MULTILINE)
    assert list(map(int, codes)) == list(EXIT_CODES)
