"""A write is all or nothing."""

import errno
import os

import pytest

from backprop_cli.run.atomic import write_atomically


def full(*_):
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
    (tmp_path / ".file.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new" * 100_000)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


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
