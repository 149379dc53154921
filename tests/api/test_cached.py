"""`bp cache`: what earlier runs left there, and its removal."""

import json

import pytest
from api_support import bp

from backprop_cli.api.cached import CachedFiles, cached
from backprop_cli.execution import cache


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "backprop-cli"


def test_files_are_counted_by_kind_and_removed(folder, capsys):
    assert cached().kinds == {}
    assert not folder.exists()
    cache.save("code", "a", b"12345")
    cache.save("code", "b", b"1")
    cache.save("plugin", "c", b"{}")
    assert cached().kinds == {"code": CachedFiles(2, 70), "plugin": CachedFiles(1, 34)}
    assert bp("cache") == 0
    assert capsys.readouterr().out == f"{folder}\ncode    2 files, 70 B\nplugin  1 file, 34 B\n"
    assert bp("cache", "clean") == 0
    assert capsys.readouterr().out == f"{folder}: removed\ncode    2 files, 70 B\nplugin  1 file, 34 B\n"
    assert list(folder.iterdir()) == []
    assert bp("cache", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(folder), "distrust": None, "kinds": {}}


def test_a_folder_of_others_is_said_and_left_alone(folder, capsys):
    cache.save("code", "a", b"12345")
    folder.chmod(0o777)
    reason = f"{folder}: others can write there: nothing in it is used; remove it, or: chmod go-w {folder}"
    assert cached(clean=True).distrust == reason
    assert bp("cache") == 0
    assert capsys.readouterr().out == f"{folder}\n{reason}\ncode  1 file, 37 B\n"
    assert bp("cache", "clean") == 0
    assert capsys.readouterr().out == f"{folder}: nothing is removed\n{reason}\n"
    assert len(list(folder.iterdir())) == 1


def test_an_unknown_action(capsys):
    assert bp("cache", "empty") == 2
    assert "'empty' is not one of 'show', 'clean'" in capsys.readouterr().err
