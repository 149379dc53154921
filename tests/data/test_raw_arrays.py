"""Headers of NPY, NPZ and IDX that are damaged, or ask for more than there is: said before anything is allocated."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from backprop_cli.data.file import DataFile
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.table import Numbers, Text
from backprop_cli.errors import DataError

HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 2), }"


def npy(header: str, values: bytes = bytes(64), version: bytes = b"\x01\x00") -> bytes:
    size = "<H" if version == b"\x01\x00" else "<I"
    encoded = header.encode("utf-8" if version == b"\x03\x00" else "latin1")
    return b"\x93NUMPY" + version + struct.pack(size, len(encoded)) + encoded + values


def message(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(DataFile(Path(name)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("(4, 2)", "(4, 2(", "a damaged .npy file: its header is \"{'descr': '<f8', 'fortran_order': False, 'shape'"),
        ("(4, 2)", "(4, -2)", "a damaged .npy file"),
        ("(4, 2)", "[4, 2]", "a damaged .npy file"),
        ("(4, 2)", "(4.0, 2)", "a damaged .npy file"),
        ("(4, 2)", "(True, 2)", "a damaged .npy file"),
        ("False", "0", "a damaged .npy file"),
        ("<f8", "<f9", "a damaged .npy file"),
        ("'<f8'", "[('a', '<f8', (1, -1))]", "a damaged .npy file"),
        ("'<f8'", "(" * 300, "a damaged .npy file"),
        ("'shape'", "'form'", "a damaged .npy file"),
        ("<f8", "|O", "holds pickled objects: reading Python objects can run code"),
        ("(4, 2)", "(4, 3)", "the file is cut off; fetch or save it again"),
        ("(4, 2)", "(1000000000000, 2)", "an array of the shape [1000000000000, 2] takes 14.5 TiB, and this "),
        ("(4, 2)", f"({10**30}, 2)", f"an array of the shape [{10**30}, 2] takes more than 10,000 YiB, and"),
        ("(4, 2)", f"({2**63}, 0)", f"its rows are empty, shape [{2**63}, 0]"),
        ("(4, 2)", f"(0, {2**62})", "has no rows"),
        ("(4, 2)", f"({'1, ' * 40})", "has 40 axes by its header; fetch or save it again"),
    ],
)  # fmt: skip
def test_headers_of_npy(folder: Path, old: str, new: str, reason: str) -> None:
    assert message("a.npy", npy(HEADER.replace(old, new))).startswith(f"a.npy: {reason}")


def test_a_header_that_is_cut_off_or_of_another_version(folder: Path) -> None:
    whole = npy(HEADER)
    for size in (9, 10, 40):
        assert message("a.npy", whole[:size]) == "a.npy: the file is cut off; fetch or save it again"
    assert message("a.npy", npy(HEADER, version=b"\x04\x00")) == (
        "a.npy: a damaged .npy file: its first bytes are 93 4e 55 4d 50 59 04 00"
    )
    assert (
        message("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}") == "a.npy: the file is cut off; fetch or save it again"
    )


def test_all_versions_are_read(folder: Path) -> None:
    values = np.arange(8.0)
    for version in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        Path("a.npy").write_bytes(npy(HEADER, values.tobytes(), version))
        found = read_table(DataFile(Path("a.npy")), Selection(unnamed="x")).columns["x"]
        assert isinstance(found, Numbers)
        np.testing.assert_array_equal(found.values, values.reshape(4, 2))
    # Python 2 wrote an L after long integers.
    Path("a.npy").write_bytes(npy(HEADER.replace("(4, 2)", "(4L, 2L)"), values.tobytes()))
    assert read_table(DataFile(Path("a.npy"))).rows == 4
    records = np.array([(1.5, 2), (2.5, 3)], [("größe", "f8"), ("日", "i4")])
    with Path("b.npy").open("wb") as stream:
        np.lib.format.write_array(stream, records, (3, 0))
    assert list(read_table(DataFile(Path("b.npy"))).columns) == ["größe", "日"]


def test_text_that_has_no_characters(folder: Path) -> None:
    texts = np.array(["ab", "cd"])
    for code in (0x110000, 0xD800):
        raw = texts.view(np.uint32).copy()
        raw[3] = code
        np.save("a.npy", raw.view("<U2"))
        saved = Path("a.npy").read_bytes()
        for content in (saved, saved.replace(b"<U2", b">U2").replace(raw.tobytes(), raw.byteswap().tobytes())):
            assert message("a.npy", content) == (
                "a.npy: row 1 (from 0): its text has an invalid character; save it again"
            )
    np.savez("a.npz", x=np.array([b"ab", b"caf\xe9"]))
    assert message("a.npz", Path("a.npz").read_bytes()) == (
        "a.npz: array 'x': not UTF-8 text: b'caf\\xe9'; save it as text (astype(str))"
    )
    np.save("a.npy", texts.astype(">U2"))
    found = read_table(DataFile(Path("a.npy")), Selection(unnamed="x")).columns["x"]
    assert isinstance(found, Text)
    assert found.categories == ("ab", "cd")


def archive(content: bytes, method: int = zipfile.ZIP_STORED, **info: int) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("x.npy", content)
    return bytearray(out.getvalue())


def changed(content: bytearray, central: int, local: int, value: int) -> bytes:
    """One byte of the member's entries in the directory and before its content."""
    content[content.find(b"PK\x01\x02") + central] = value
    content[content.find(b"PK\x03\x04") + local] = value
    return bytes(content)


def test_archives(folder: Path) -> None:
    whole = npy(HEADER)
    assert message("a.npz", changed(archive(whole), 10, 8, 99)) == (
        "a.npz: array 'x': is compressed in a way that cannot be read (That compression method is not supported); "
        "save it with np.savez"
    )
    assert message("a.npz", changed(archive(whole), 8, 6, 1)) == (
        "a.npz: array 'x': is encrypted; save it without a password"
    )
    assert message("a.npz", archive(npy(HEADER.replace("(4, 2)", "(1000000000000, 2)")))) == (
        "a.npz: array 'x': has 64 bytes of values, expected 16,000,000,000,000 by its header; fetch the file again"
    )
    assert message("a.npz", archive(b"hello")) == (
        "a.npz: array 'x': a damaged .npy file: its first bytes are 68 65 6c 6c 6f"
    )
    damaged = archive(whole)
    damaged[damaged.find(b"<f8") + 40] ^= 1
    assert message("a.npz", damaged) == "a.npz: array 'x': a damaged .npz file: Bad CRC-32 for file 'x.npy'"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made, pytest.warns(UserWarning, match="Duplicate name"):
        for _ in range(2):
            made.writestr("x.npy", whole)
    assert message("a.npz", out.getvalue()) == "a.npz: two of its arrays have the same name; save it again"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_names_its_size(folder: Path, method: int) -> None:
    """16 TiB, as the directory of the archive says, too."""
    content = archive(npy(HEADER.replace("(4, 2)", "(1000000000000, 2)")), method)
    sizes = content.find(b"PK\x01\x02") + 24
    content[sizes : sizes + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert message("a.npz", content).startswith("a.npz: array 'x': has ")


def test_packed_idx_asks_for_more_than_there_is(folder: Path) -> None:
    huge = b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 7)
    for name, content in (("a.idx", huge), ("a.idx.gz", gzip.compress(huge))):
        assert message(name, content).startswith(
            f"{name}: an array of the shape [4294967295, 4294967295, 7] takes 111.9 EiB, and this machine has "
        )
    many = b"\0\0\x08\xff" + struct.pack(">255I", *([1] * 255))
    assert message("a.idx", many + b"\0") == "a.idx: has 255 axes by its header; fetch or save it again"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a\0b.csv", "a\\0b.csv: is not a path of a file: it has a NUL character"),
        ("x" * 300 + ".npy", "x" * 300 + ".npy: cannot be read: File name too long"),
        ("y/" * 3000 + "a.png", "y/" * 3000 + "a.png: cannot be read: File name too long"),
        ("circle.csv", "circle.csv: cannot be read: Too many levels of symbolic links"),
        ("file.txt/a.csv", "file.txt/a.csv: no such file; the folder 'file.txt' does not exist either"),
    ],
)
def test_paths_that_the_system_refuses(folder: Path, path: str, reason: str) -> None:
    Path("circle.csv").symlink_to("circle.csv")
    Path("file.txt").write_text("text")
    with pytest.raises(DataError) as caught:
        read_table(DataFile(Path(path)))
    assert str(caught.value) == reason
