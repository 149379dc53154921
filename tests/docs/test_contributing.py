"""CONTRIBUTING.md: its examples are put into a copy of the project, and the tests there find and pass them."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from documents import ROOT, anchors, blocks, links

PAGE = ROOT / "CONTRIBUTING.md"
NEW = re.compile(r"# ([\w./]+\.py)\n")
ENTRY = re.compile(r"# to (\w+) in ([\w./]+\.py)\n")
PYTHON = [block.text for block in blocks(PAGE) if block.language == "python"]
FILES = {found[1]: text for text in PYTHON if (found := NEW.match(text))}
ENTRIES = [(found[2], found[1], text[found.end() :].rstrip(",\n")) for text in PYTHON if (found := ENTRY.match(text))]
TESTED = ("squared_relu", "max_error", "gain", "arcsinh")
"""Types of the examples that tests of the project generate their cases for."""
WHOLE = (
    "tests/test_layout.py",
    "tests/nn",
    "tests/autodiff/test_ops.py",
    "tests/autodiff/test_hips_autograd.py",
    "tests/config",
    "tests/data/test_array_formats.py",
    "tests/data/test_stream.py",
    "tests/api/test_arguments.py",
    "tests/api/test_evaluate_job.py",
    "tests/api/test_listing.py",
    "tests/cli/test_examples.py",
)
"""Tests whose cases or expected messages come from all types, formats or commands."""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the commands are for a POSIX shell")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the examples in it."""
    copy = tmp_path_factory.mktemp("copy") / "project"
    unwanted = shutil.ignore_patterns(
        ".git", ".venv", ".hypothesis", ".*_cache", "runs", "build", "*.egg-info", "__pycache__"
    )
    shutil.copytree(ROOT, copy, ignore=unwanted)
    (copy / "runs").mkdir()
    for name, text in FILES.items():
        assert not (copy / name).exists(), f"{name} is not new"
        (copy / name).write_text(text.partition("\n")[2], encoding="utf-8")
    for name, collection, entry in ENTRIES:
        text = (copy / name).read_text(encoding="utf-8")
        before, start, after = re.split(rf"^({collection} = [{{\[(]\n)", text, maxsplit=1, flags=re.MULTILINE)
        (copy / name).write_text(f"{before}{start}    {entry},\n{after}", encoding="utf-8")
    return copy


def run(project, *words, timeout=600):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COLUMNS"))}
    environment |= {"PYTHONPATH": str(project), "NO_COLOR": "1"}
    python = [sys.executable, *words]
    return subprocess.run(python, cwd=project, env=environment, text=True, capture_output=True, timeout=timeout)


def test_every_python_block_says_where_it_goes():
    assert len(FILES) + len(ENTRIES) == len(PYTHON)
    assert {name.partition("/")[0] for name in FILES} == {"backprop_cli", "tests"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_of_a_copy_find_the_examples_and_pass(project):
    """Those with lists of types in their messages too: nothing is left to edit."""
    own = [name for name in FILES if name.startswith("tests/")]
    ended = run(project, "-m", "pytest", "-v", "-p", "no:cacheprovider", *sorted({*own, *WHOLE}))
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr
    for name in TESTED:
        assert len(re.findall(rf"\[.*\b{name}\b.*\] PASSED", ended.stdout)) > 1, name
    for name in own:
        assert re.search(rf"^{name}::.* PASSED", ended.stdout, re.MULTILINE), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("activations", "squared_relu"),
        ("metrics", "max_error"),
        ("layers", "gain"),
        ("ops", "arcsinh"),
        ("formats", "dat"),
    ],
)
def test_the_copy_lists_the_types(project, kind, name):
    ended = run(project, "-m", "backprop_cli", "list", kind, name)
    assert ended.stdout.startswith(f"{name} ({kind})\n"), ended.stderr


@pytest.mark.slow
def test_the_copy_trains_with_them_and_has_the_command(project):
    (project / "a.dat").write_text("x y k\n" + "1.5 2 a\n2.5 1 b\n0 -1 c\n" * 20)
    words = ["data.source=../a.dat", "data.target=k", "model.layers.0.activation=squared_relu", "training.epochs=1"]
    ended = run(project, "-m", "backprop_cli", "train", "configs/iris.yaml", *words)
    assert ended.returncode == 0, ended.stderr
    ended = run(project, "-m", "backprop_cli", "count", "configs/iris.yaml")
    assert (ended.stdout, ended.stderr) == ("131\n", "")


@pytest.mark.slow
def test_damaged_files_of_the_copys_format_are_refused(project):
    (words,) = re.findall(r"^ +\.venv/bin/python (-m tests\.fuzz .+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    ended = run(project, *words.split())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.match(r"dat: 2,000 inputs, [\d,]+ refused, 0 failures, ", ended.stdout)


@pytest.mark.slow
def test_the_reference_of_the_copy_is_generated_anew(project):
    ended = run(project, "docs/generate.py", "--quick")
    assert ended.returncode == 0, ended.stderr
    ended = run(
        project, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_reference.py", "tests/nn/test_manual_pages.py"
    )
    assert ended.returncode == 0, ended.stdout
    for page, name in (
        *zip(("activations", "metrics", "layers", "ops", "formats"), (*TESTED, "dat"), strict=True),
        ("commands", "count"),
    ):
        assert name in (project / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_copy_is_clean(project):
    for words in (["ruff", "check"], ["ruff", "format", "--check"]):
        ended = run(project, "-m", *words, *FILES)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_types_of_the_copy_are_complete(project):
    own = [name for name in FILES if not name.startswith("tests/")]
    ended = run(project, "-m", "mypy", "--config-file", "pyproject.toml", *own)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_links_lead_somewhere():
    for target in links(PAGE):
        path, _, fragment = target.partition("#")
        page = PAGE.parent / path if path else PAGE
        assert target.startswith("https://") or page.exists(), target
        assert not fragment or fragment in anchors(page), target
