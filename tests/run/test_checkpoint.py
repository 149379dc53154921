"""Checkpoints: what goes in comes out, and whatever is not one says so."""

import errno
import json
import math
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import load_file, save_file

from backprop_cli.errors import BpWarning, CheckpointError
from backprop_cli.run import atomic
from backprop_cli.run import checkpoint as module
from backprop_cli.run.checkpoint import Checkpoint, find_checkpoint, link, load, save

SMALL = Checkpoint({"dense_1.weight": np.arange(6.0).reshape(2, 3)}, {"step": 7})


def message(call, *args):
    with pytest.raises(CheckpointError) as caught:
        call(*args)
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_round_trip(tmp_path):
    tensors = {
        "scalar": np.asarray(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "labels": np.array([1, 2, 3]),
        "mask": np.array([True, False]),
        "transposed": np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
        "reversed": np.arange(4.0)[::-1],
    }
    metadata = {"step": 3, "best": math.inf, "classes": ["ä", None, 1.5], "rng": {"state": 2**127 + 1}, "x": 0.1 + 0.2}
    save(tmp_path / "c.safetensors", Checkpoint(tensors, metadata))
    found = load(tmp_path / "c.safetensors")
    assert found.metadata == metadata
    assert found.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found.tensors[name].dtype == array.dtype
        assert found.tensors[name].shape == array.shape
        np.testing.assert_array_equal(found.tensors[name], array)


@settings(max_examples=30)
@given(
    arrays(st.sampled_from(["f4", "f8", "i8", "u1", "?"]), array_shapes(min_dims=0, max_dims=3, min_side=0)),
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)
    ),
)
def test_any_array_and_metadata_round_trip(tmp_path_factory, array, metadata):
    metadata = {key: value for key, value in metadata.items() if key not in module._RESERVED}
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save(path, Checkpoint({"a": array}, metadata))
    found = load(path)
    assert found.tensors["a"].tobytes() == array.tobytes()
    assert found.tensors["a"].shape == array.shape
    assert {key: repr(value) for key, value in found.metadata.items()} == {
        key: repr(value) for key, value in metadata.items()
    }


def test_other_tools_read_it(tmp_path):
    save(tmp_path / "c.safetensors", SMALL)
    np.testing.assert_array_equal(
        load_file(tmp_path / "c.safetensors")["dense_1.weight"], SMALL.tensors["dense_1.weight"]
    )


def test_every_prefix_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    save(path, SMALL)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        what = f"is truncated or damaged ({size} bytes)" if size else "is empty: expected a checkpoint"
        assert message(load, path) == f"{path}: {what}; use another checkpoint of the run"


@pytest.mark.parametrize("bits", [0x01, 0x10, 0x20, 0xFF])
def test_every_flipped_byte_is_noticed_or_harmless(tmp_path, bits):
    path = tmp_path / "c.safetensors"
    save(path, SMALL)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :])
        try:
            found = load(path)
        except CheckpointError:
            continue
        # What gets through, as a tab between two words of the header, says the same.
        assert found.metadata == SMALL.metadata
        assert list(found.tensors) == list(SMALL.tensors)
        np.testing.assert_array_equal(found.tensors["dense_1.weight"], SMALL.tensors["dense_1.weight"])


def with_header(path, change):
    """The file with ``change`` done to its metadata, its arrays as they were."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m.update(step="8"), "is damaged: its contents do not match its checksum"),
        (lambda m: m.update(more="8"), "is damaged: its contents do not match its checksum"),
        (lambda m: m.pop("step"), "is damaged: its contents do not match its checksum"),
        (lambda m: m.update(sha256="0"), "is damaged: its contents do not match its checksum"),
        (lambda m: m.pop("sha256"), "is damaged: it has no checksum"),
    ],
)
def test_changed_metadata_is_noticed(tmp_path, change, fault):
    path = tmp_path / "c.safetensors"
    save(path, SMALL)
    with_header(path, lambda m: None)
    assert load(path).metadata == {"step": 7}
    with_header(path, change)
    assert message(load, path) == f"{path}: {fault}; use another checkpoint of the run"


def test_equal_checkpoints_make_equal_files(tmp_path):
    metadata = {name: [name, 1] for name in ["config", "input_shape", "classes", "transform", "threads", "state"]}
    for name in ("one", "two", "three"):
        save(tmp_path / name, Checkpoint(SMALL.tensors, metadata))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == (tmp_path / "three").read_bytes()
    header = (tmp_path / "one").read_bytes()[8:]
    assert [header.index(name.encode()) for name in sorted(metadata)] == sorted(
        header.index(name.encode()) for name in metadata
    )


def test_the_arrays_are_aligned(tmp_path):
    for width in range(1, 9):
        save(tmp_path / "c", Checkpoint({"a": np.arange(3.0)}, {"é" * width: width}))
        assert int.from_bytes((tmp_path / "c").read_bytes()[:8], "little") % 8 == 0
        assert load(tmp_path / "c").metadata == {"é" * width: width}


def test_damaged_numbers(tmp_path):
    path = tmp_path / "c.safetensors"
    save(path, SMALL)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert message(load, path) == (
        f"{path}: is damaged: its contents do not match its checksum; use another checkpoint of the run"
    )


@pytest.mark.parametrize(
    "content", [b"hello, this is a text file\n", b"PK\x03\x04" + bytes(100), b"\x80\x04\x95" + bytes(20)]
)
def test_not_safetensors(tmp_path, content):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    assert message(load, path) == f"{path}: is not a checkpoint: expected a safetensors file as `bp train` writes it"


def test_header_that_is_not_json(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(struct.pack("<Q", 8) + b"{oh no!}")
    assert message(load, path) == f"{path}: is truncated or damaged (16 bytes); use another checkpoint of the run"


def test_missing_or_directory(tmp_path):
    path = tmp_path / "c.safetensors"
    assert message(load, path) == f"{path}: the checkpoint cannot be read: No such file or directory"
    assert message(load, tmp_path) == f"{tmp_path}: the checkpoint cannot be read: Is a directory"


def test_somebody_elses_safetensors(tmp_path):
    path = tmp_path / "c.safetensors"
    save_file({"weight": np.zeros(3)}, path)
    assert message(load, path) == (
        f"{path}: is a safetensors file but not a checkpoint of bp: its metadata has no format_version"
    )
    save_file({"weight": np.zeros(3)}, path, {"format_version": "1", "format": "pt"})
    assert message(load, path) == f"{path}: is damaged: it has no checksum; use another checkpoint of the run"


def test_an_array_that_numpy_does_not_have(tmp_path):
    """As large language models have them; a file of ours has none."""
    path = tmp_path / "c.safetensors"
    for metadata, expected in (
        ({}, "is a safetensors file but not a checkpoint of bp: its metadata has no format_version"),
        ({"format_version": "1"}, "is truncated or damaged ({size} bytes); use another checkpoint of the run"),
    ):
        tensor = {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}
        text = json.dumps({"__metadata__": metadata, "a": tensor}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(2))
        assert message(load, path) == f"{path}: {expected.format(size=len(text) + 10)}"


def test_newer_format(tmp_path):
    path = tmp_path / "c.safetensors"
    save_file({"weight": np.zeros(3)}, path, {"format_version": "2"})
    assert message(load, path) == (
        f"{path}: has checkpoint format 2, this bp reads format 1; use the bp that wrote it, or a newer one"
    )


def test_full_disk_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save(path, SMALL)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert message(save, path, Checkpoint({"other": np.zeros(1000)})) == (
        f"{path}: the checkpoint cannot be written: No space left on device; "
        "nothing of the run is saved yet: make room or free the directory, then start again"
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_inside_the_write(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save(path, SMALL)
    monkeypatch.setattr(
        atomic, "create_temporary", lambda path: (path.with_name("new"), os.open("/dev/full", os.O_WRONLY))
    )
    assert "No space left on device" in message(save, path, Checkpoint({"other": np.zeros(100_000)}))
    assert load(path).metadata == {"step": 7}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["r\udce9", "ü", " "])
def test_any_name_of_a_file(tmp_path, name):
    save(tmp_path / name, SMALL)
    assert load(tmp_path / name).metadata == {"step": 7}


def words_for_nul():
    """They differ between versions of Python."""
    with pytest.raises(ValueError, match="embedded null") as caught:
        os.open("a\0b", os.O_RDONLY)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [("x" * 300, "File name too long"), ("a\0b", words_for_nul()), ("x/" * 3000, "File name too long")],
    ids=["long", "NUL", "deep"],
)
def test_names_that_no_file_can_have(tmp_path, name, why):
    assert message(load, tmp_path / name) == f"{tmp_path / name}: the checkpoint cannot be read: {why}"
    if "\0" not in name:  # which Python takes for the name of nothing
        assert message(find_checkpoint, tmp_path / name) == (
            f"{tmp_path / name}: the checkpoint cannot be opened: {why}"
        )


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "c.safetensors")
    path = tmp_path / "c.safetensors"
    assert message(load, path) == f"{path}: the checkpoint cannot be read: it is not a regular file"


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 1},
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 9]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
        {"a": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "BOOL", "shape": [8], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1] * 65, "data_offsets": [0, 4]}},
        {"__metadata__": {"format_version": 1}},
        {"__metadata__": []},
    ],
)
def test_a_header_that_does_not_fit(tmp_path, header):
    path = tmp_path / "c.safetensors"
    if isinstance(header, dict):
        header = {"__metadata__": {"format_version": "1"}, **header}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\x02" * 8)
    assert message(load, path).startswith(f"{path}: is ")


def test_where_the_old_file_cannot_be_replaced(tmp_path, monkeypatch):
    """The new one is kept under another name, and where it is is said."""
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    last, other = folder / "last.safetensors", folder / "step-00000002.safetensors"
    save(last, SMALL)
    real = Path.replace

    def only_others(self, target):
        if target == last:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", only_others)
    with pytest.warns(BpWarning) as caught:
        assert save(last, Checkpoint(SMALL.tensors, {"step": 8}), otherwise=other) == other
    assert [str(each.message) for each in caught] == [
        f"{last}: cannot be replaced: Operation not permitted; the new checkpoint is {other}; resume it with: "
        f"bp train --resume {other}"
    ]
    assert (load(last).metadata, load(other).metadata) == ({"step": 7}, {"step": 8})
    assert len(list(folder.iterdir())) == 2
    with pytest.warns(
        BpWarning, match=r"last\.safetensors: cannot be replaced: Operation not permitted; it stays another checkpoint"
    ):
        assert not link(other, last)
    assert len(list(folder.iterdir())) == 2


@pytest.fixture
def run(tmp_path):
    """runs/digits/one with two numbered checkpoints, and `latest` pointing at it."""
    folder = tmp_path / "runs" / "digits" / "one" / "checkpoints"
    folder.mkdir(parents=True)
    (tmp_path / "runs" / "digits" / "latest").symlink_to("one")
    for name in ("step-00000002.safetensors", "step-00000010.safetensors"):
        (folder / name).touch()
    return folder.parent


def test_find_prefers_best_then_last_then_newest(run):
    folder = run / "checkpoints"
    for name in ("step-00000010.safetensors", "last.safetensors", "best.safetensors"):
        (folder / name).touch()
        assert find_checkpoint(run) == folder / name
        assert find_checkpoint(folder) == folder / name
        assert find_checkpoint(run.parent) == run.parent / "latest" / "checkpoints" / name
        assert find_checkpoint(run.parent / "latest") == run.parent / "latest" / "checkpoints" / name


def test_find_takes_a_file_as_it_is(run):
    file = run / "checkpoints" / "step-00000002.safetensors"
    assert find_checkpoint(file) == file


def test_find_nothing(tmp_path):
    assert message(find_checkpoint, tmp_path) == (
        f"{tmp_path}: has no checkpoint; expected best.safetensors or last.safetensors in its checkpoints/"
    )
    assert message(find_checkpoint, tmp_path / "x") == (
        f"{tmp_path}/x: no such file or directory; expected a checkpoint (.safetensors) or a run directory"
    )
