"""The cache of small files: an entry is whole, the user's own and where nobody else writes, or it does not count."""

import errno
import os
from pathlib import Path

import pytest

from backprop_cli.execution import cache


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "backprop-cli"


@pytest.fixture
def entry(folder):
    cache.save("source", "a", b"content")
    return folder / "source_a"


def test_what_is_kept_comes_back(entry):
    assert cache.load("source", "a") == b"content"
    assert cache.load("source", "b") is None
    assert (entry.stat().st_mode & 0o777, entry.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    cache.save("source", "a", b"another")
    assert cache.load("source", "a") == b"another"
    assert list(entry.parent.iterdir()) == [entry]


def test_it_does_not_grow_for_ever(monkeypatch, folder):
    monkeypatch.setattr(cache, "KEPT", 2)
    cache.save("other", "0", b"")
    for number in range(4):
        cache.save("source", str(number), b"")
        os.utime(folder / f"source_{number}", (number, number))
    assert sorted(path.name for path in folder.iterdir()) == ["other_0", "source_2", "source_3"]


def test_what_is_used_stays(monkeypatch, folder):
    monkeypatch.setattr(cache, "KEPT", 2)
    for number in range(2):
        cache.save("source", str(number), b"")
        os.utime(folder / f"source_{number}", (number, number))
    cache.load("source", "0")
    cache.save("source", "2", b"")
    assert sorted(path.name for path in folder.iterdir()) == ["source_0", "source_2"]


def test_every_prefix_and_every_flipped_bit_is_noticed(entry):
    whole = entry.read_bytes()
    for size in range(len(whole)):
        entry.write_bytes(whole[:size])
        assert cache.load("source", "a") is None, size
        entry.write_bytes(whole[:size] + bytes([whole[size] ^ 1]) + whole[size + 1 :])
        assert cache.load("source", "a") is None, size
    entry.write_bytes(whole + b"\0")
    assert cache.load("source", "a") is None
    entry.write_bytes(whole)
    assert cache.load("source", "a") == b"content"


def test_an_entry_under_the_name_of_another(entry):
    entry.rename(entry.with_name("source_b"))
    assert cache.load("source", "b") is None


@pytest.mark.parametrize("damage", ["link", "folder", "pipe", "writable"])
def test_what_is_no_file_of_the_user_alone(entry, damage, tmp_path):
    whole = entry.read_bytes()
    if damage == "writable":
        entry.chmod(0o666)
    else:
        entry.unlink()
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(whole)
        entry.symlink_to(tmp_path / "elsewhere")
    elif damage == "folder":
        entry.mkdir()
    elif damage == "pipe":
        os.mkfifo(entry)
    assert cache.load("source", "a") is None
    cache.save("source", "a", b"content")  # a folder stays in the way, all else is replaced
    assert cache.load("source", "a") == (None if damage == "folder" else b"content")
    if damage == "link":
        assert (tmp_path / "elsewhere").read_bytes() == whole


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_where_others_write(entry, mode):
    entry.parent.chmod(mode)
    assert cache.load("source", "a") is None
    assert cache.distrust() == (
        f"{entry.parent}: others can write there: nothing in it is used; remove it, or: chmod go-w {entry.parent}"
    )
    cache.save("source", "b", b"")
    assert list(entry.parent.iterdir()) == [entry]
    entry.parent.chmod(0o700)
    assert cache.distrust() == ""
    assert cache.load("source", "a") == b"content"


def test_a_folder_of_another_user(entry, monkeypatch):
    monkeypatch.setattr(cache.os, "geteuid", lambda: entry.stat().st_uid + 1)
    assert cache.load("source", "a") is None
    assert cache.distrust() == (
        f"{entry.parent}: belongs to another user: nothing in it is used; set XDG_CACHE_HOME to a folder of yours"
    )


def test_a_relative_folder_is_ignored(monkeypatch, tmp_path):
    """As the XDG specification says: else there would be a folder in every working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("cache", "./cache", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache.cache_folder() == tmp_path / ".cache" / "backprop-cli"


def test_where_nothing_can_be_kept(monkeypatch, folder):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        cache.save("source", "a", b"content")
    assert list(folder.iterdir()) == []
    for home in ("file", "file/below", "nul\0"):
        (folder.parent / "file").touch()
        with monkeypatch.context() as patch:
            patch.setattr(cache, "cache_folder", lambda home=home: folder.parent / home)
            cache.save("source", "a", b"content")
            assert cache.load("source", "a") is None
