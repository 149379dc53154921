"""Asking for files by any name, also by one that no file can have."""

from pathlib import Path

import pytest

from backprop_cli.errors import UsageError
from backprop_cli.files import exists, is_same_file
from backprop_cli.run.output import opened

LONG = Path("a" * 300)


def test_what_exists(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("none")
    found = [name for name in ("file", "link", "nowhere", "none") if exists(tmp_path / name)]
    assert found == ["file", "link"]
    assert exists(tmp_path / "nowhere", follow=False)
    assert [exists(path, follow=follow) for path in (LONG, "a\0b") for follow in (True, False)] == 4 * [False]


def test_one_file_by_two_names(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert is_same_file(tmp_path / "file", tmp_path / "link")
    assert not is_same_file(tmp_path / "file", tmp_path)
    assert not is_same_file(tmp_path / "file", LONG)


def test_an_output_of_a_name_that_is_too_long():
    with pytest.raises(UsageError) as caught, opened(LONG):
        raise AssertionError("not opened")
    assert str(caught.value) == f"{LONG}: cannot be written: File name too long"
