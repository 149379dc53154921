"""A write is all or nothing."""

import errno
import os
from pathlib import Path

import pytest

from backprop_cli.errors import BpWarning
from backprop_cli.run import atomic
from backprop_cli.run.atomic import NotReplacedError, write_atomically


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_at_fsync_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_real_full_device_keeps_the_old_file(tmp_path, monkeypatch):
    """/dev/full refuses the write itself."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(
        atomic, "create_temporary", lambda path: (path.with_name("new"), os.open("/dev/full", os.O_WRONLY))
    )
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new" * 100_000)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file", ".file.tmp"])
def test_a_link_is_replaced_and_never_followed(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / name).symlink_to(victim)
    write_atomically(tmp_path / "file", b"new")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "victim"]
    assert not (tmp_path / "file").is_symlink()


def test_a_temporary_name_that_is_taken_for_good(tmp_path):
    (tmp_path / ".file.tmp" / "x").mkdir(parents=True)
    write_atomically(tmp_path / "file", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.tmp", "file"]


def test_a_file_that_cannot_be_replaced(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(NotReplacedError, match="No space left"):
        write_atomically(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_a_file_that_cannot_be_closed_or_removed_is_a_warning(tmp_path, monkeypatch):
    path = tmp_path / "file"
    with monkeypatch.context() as patch:
        real = os.close

        def close(descriptor):
            real(descriptor)
            full()

        patch.setattr(atomic.os, "close", close)
        with pytest.warns(BpWarning) as caught:
            write_atomically(path, b"new", sync_directory=False)
    assert [str(each.message) for each in caught] == [
        f"{tmp_path}/.file.tmp: could not be closed: No space left on device"
    ]
    assert path.read_bytes() == b"new"
    monkeypatch.setattr(Path, "unlink", full)
    with pytest.warns(BpWarning) as caught:
        atomic.remove(path)
    assert [str(each.message) for each in caught] == [
        f"{path}: cannot be removed: No space left on device; the run continues"
    ]


def test_what_a_kill_left_behind_is_overwritten(tmp_path):
    (tmp_path / ".file.tmp").write_bytes(b"half of somethi")
    write_atomically(tmp_path / "file", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_interrupt_removes_the_temporary_file(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("sync_directory", "synced"), [(True, 2), (False, 1)])
def test_the_file_is_always_synced_its_directory_where_wanted(tmp_path, monkeypatch, sync_directory, synced):
    descriptors = []
    monkeypatch.setattr(os, "fsync", descriptors.append)
    write_atomically(tmp_path / "file", b"new", sync_directory)
    assert len(descriptors) == synced


def test_a_directory_that_cannot_be_synced_loses_nothing(tmp_path, monkeypatch):
    real = os.fsync
    calls = []

    def only_files(descriptor):
        calls.append(descriptor)
        if len(calls) > 1:
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_atomically(tmp_path / "file", b"new")
    assert len(calls) == 2
    assert (tmp_path / "file").read_bytes() == b"new"
