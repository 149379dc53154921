"""The cache of small files."""

import os

import pytest

from backprop_cli import cache


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "backprop-cli"


def test_it_does_not_grow_for_ever(monkeypatch, folder):
    monkeypatch.setattr(cache, "KEPT", 2)
    cache.kept("other", "0.txt", "")
    for number in range(4):
        os.utime(cache.kept("source", f"{number}.py", ""), (number, number))
    assert sorted(path.name for path in folder.iterdir()) == ["other_0.txt", "source_2.py", "source_3.py"]


def test_what_is_there_is_not_written_again(folder):
    path = cache.kept("source", "a.py", "first")
    assert (path, path.read_text()) == (folder / "source_a.py", "first")
    assert cache.kept("source", "a.py", "second").read_text() == "first"
