"""The C compiler: the order in which one is chosen, and the messages when none is there or it fails."""

import os
import time

import pytest

from backprop_cli.execution import compiler as module
from backprop_cli.execution.compiler import (
    CompilationError,
    compiler_obstacle,
    compiler_text,
    find_compiler,
    has_compiler,
    load,
)

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")
FILE_ERROR = "to train on NumPy, set training.compile: false"


@pytest.fixture(autouse=True)
def forgotten():
    """Look for the compiler anew, before and after."""
    for function in (find_compiler, compiler_obstacle):
        function.cache_clear()
    yield
    for function in (find_compiler, compiler_obstacle):
        function.cache_clear()


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_that_of_the_environment_comes_first(monkeypatch, tmp_path):
    own = script(tmp_path / "mycc", 'echo "my compiler 1.0"')
    monkeypatch.setenv("CC", f"{own} -pipe")
    assert find_compiler() == ((own, "-pipe"), "my compiler 1.0")
    assert compiler_text().startswith(f"{own} -pipe (my compiler 1.0) -O2 ")


def test_without_one_every_step_runs_on_numpy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert not has_compiler()
    assert compiler_text() == ""
    said = "there is no C compiler: install gcc or clang, or name one in the environment variable CC"
    assert compiler_obstacle() == said


def test_one_that_fails_is_an_obstacle(monkeypatch, tmp_path):
    broken = script(
        tmp_path / "cc", '[ "$1" = --version ] && echo "broken 1" && exit 0; echo "x: error: no" >&2; exit 1'
    )
    monkeypatch.setenv("CC", broken)
    assert compiler_obstacle() == f"{broken} failed: x: error: no; {FILE_ERROR}"


def test_one_that_works_is_tried_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tried, compiles = [], module.Compiler.shared_library
    monkeypatch.setattr(module.Compiler, "shared_library", lambda *words: tried.append(1) or compiles(*words))
    for _ in range(2):
        compiler_obstacle.cache_clear()
        assert compiler_obstacle() == ""
    assert tried == [1]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("exit 3", "it ended with exit code 3, without a message"),
        ("kill -9 $$", "it ended with exit code -9, without a message"),
        ("exit 0", "it wrote no file"),
        ("echo 'collect2: no' >&2; exit 1", "collect2: no"),
    ],
)
def test_one_that_fails_says_why_or_how(monkeypatch, tmp_path, end, reason):
    broken = script(tmp_path / "cc", f'[ "$1" = --version ] && echo "broken 1" && exit 0; {end}')
    monkeypatch.setenv("CC", broken)
    assert compiler_obstacle() == f"{broken} failed: {reason}; {FILE_ERROR}"


def test_one_that_hangs_is_killed_with_its_children(monkeypatch, tmp_path):
    hanging = script(
        tmp_path / "cc",
        f'[ "$1" = --version ] && echo "slow 1" && exit 0; sleep 600 & echo $! > {tmp_path}/child; wait',
    )
    monkeypatch.setattr(module, "LONGEST", 1)
    monkeypatch.setenv("CC", hanging)
    said = compiler_obstacle()
    assert said.startswith(f"{hanging} -O2 ")
    assert said.endswith(f" -lm did not end within 1 seconds; {FILE_ERROR}")
    child = int((tmp_path / "child").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # the kernel may still have to remove it
            os.kill(child, 0)
            time.sleep(0.05)


def test_one_that_hangs_before_it_says_its_version_is_none(monkeypatch, tmp_path):
    usual = find_compiler()
    find_compiler.cache_clear()
    monkeypatch.setattr(module, "LONGEST", 1)
    monkeypatch.setenv("CC", script(tmp_path / "cc", "sleep 600"))
    assert find_compiler() == usual


@pytest.mark.parametrize("content", ["no program", "\x7fELF", None, "#!/nonexistent/sh\n"])
def test_one_that_cannot_be_started_is_none(monkeypatch, tmp_path, content):
    usual = find_compiler()
    find_compiler.cache_clear()
    if content is not None:
        (tmp_path / "cc").write_text(content)
        (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "cc") if content is not None else "cc 'unclosed")
    assert has_compiler()
    assert find_compiler() == usual
    assert compiler_obstacle() == ""


def test_a_file_that_is_no_library_is_not_loaded():
    with pytest.raises(CompilationError, match=r"compiled steps cannot be loaded: .*; to train on NumPy"):
        load(b"no library")


def test_vector_functions_need_gcc():
    assert not module.Compiler(("clang",), "Debian clang version 14").vector_functions
