"""NPZ, NPY and IDX: what they hold comes out, damaged ones and pickles do not; and how a format is found."""

from __future__ import annotations

import gzip
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_support import SUFFIXES
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS, ArrayFormat, format_of
from backprop_cli.data.read import Selection, read_table
from backprop_cli.data.reading import NumberSettings, Reading
from backprop_cli.data.table import Numbers, Text, cell_texts
from backprop_cli.errors import DataError

IDX_CODES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}


def arrays_of(name: str) -> dict[str, np.ndarray]:
    chosen = format_of(name)
    assert isinstance(chosen, ArrayFormat)
    found = chosen.arrays(DataFile(Path(name)))
    assert chosen.shapes(DataFile(Path(name))) == {key: array.shape for key, array in found.items()}
    return found


@pytest.mark.parametrize("code", IDX_CODES)
def test_idx_of_every_type(folder: Path, write_idx: Callable[..., str], code: int) -> None:
    array = np.arange(-6, 18).astype(IDX_CODES[code]).reshape(2, 3, 4)
    write_idx("a.idx", array, code)
    np.testing.assert_array_equal(arrays_of("a.idx")[""], array)
    (folder / "b-idx3-ubyte.gz").write_bytes(gzip.compress((folder / "a.idx").read_bytes()))
    np.testing.assert_array_equal(arrays_of("b-idx3-ubyte.gz")[""], array)


def test_a_packed_idx_is_unpacked_into_its_array_without_a_second_copy(
    folder: Path, write_idx: Callable[..., str]
) -> None:
    array = np.zeros((20000, 28, 28), np.uint8)
    (folder / "big.idx.gz").write_bytes(gzip.compress((folder / write_idx("big.idx", array)).read_bytes(), 1))
    tracemalloc.start()
    found = arrays_of("big.idx.gz")[""]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.nbytes == array.nbytes
    assert peak < array.nbytes + 4e6


def test_plain_idx_and_npy_are_mapped(folder: Path, write_idx: Callable[..., str]) -> None:
    array = np.zeros((20000, 28, 28), np.uint8)
    write_idx("big.idx", array)
    np.save("big.npy", array)
    for name in ("big.idx", "big.npy"):
        tracemalloc.start()
        assert arrays_of(name)[""].shape == array.shape
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.1 * array.nbytes


@given(arrays.arrays(st.sampled_from(["f4", "f8", "i8", "u1", "?"]), arrays.array_shapes(min_dims=1, max_dims=3)))
def test_npy_and_npz_round_trip(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    base = tmp_path_factory.getbasetemp()
    np.save(base / "a.npy", array)
    np.savez(base / "a.npz", x=array)
    np.savez_compressed(base / "b.npz", x=array)
    np.testing.assert_array_equal(arrays_of(str(base / "a.npy"))[""], array)
    np.testing.assert_array_equal(arrays_of(str(base / "a.npz"))["x"], array)
    np.testing.assert_array_equal(arrays_of(str(base / "b.npz"))["x"], array)


def test_text_arrays_are_categories_and_fields_are_columns(folder: Path) -> None:
    np.savez("a.npz", u=np.array(["b", "a", "b"]), s=np.array([b"x", b"y", b"x"]), n=np.arange(3))
    table = read_table(DataFile(Path("a.npz")))
    for name, expected in (("u", ["b", "a", "b"]), ("s", ["x", "y", "x"])):
        column = table.columns[name]
        assert isinstance(column, Text)
        assert [column.categories[code] for code in column.codes] == expected
    assert isinstance(table.columns["n"], Numbers)
    np.save("fields.npy", np.array([(1.5, 2), (2.5, 3)], [("x", "f8"), ("y", "i4")]))
    fields = read_table(DataFile(Path("fields.npy")))
    assert list(fields.columns) == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.csv", "csv"),
        ("A.CSV", "csv"),
        ("a.csv.gz", "csv"),
        ("a.tsv", "tsv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.npz", "npz"),
        ("a.npy", "npy"),
        ("a.idx", "idx"),
        ("a.idx.gz", "idx"),
        ("train-images-idx3-ubyte.gz", "idx"),
        ("t10k-labels.idx1-ubyte", "idx"),
    ],
)
def test_the_name_says_the_format(name: str, format: str) -> None:
    assert isinstance(format_of(name), FORMATS[format])


def test_format_overrides_the_suffix(folder: Path) -> None:
    (folder / "a.txt").write_text("x\n1\n")
    assert read_table(DataFile(Path("a.txt")), format="csv").rows == 1


def test_packed_text(folder: Path) -> None:
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"x\n1\n2\n"))
    assert read_table(DataFile(Path("a.csv.gz"))).rows == 2


def test_every_format_has_a_summary() -> None:
    for _, cls in FORMATS.items():
        assert (cls.__doc__ or "").splitlines()[0].endswith((".", ")"))


def message(name: str) -> str:
    with pytest.raises(DataError) as caught:
        read_table(DataFile(Path(name)))
    return str(caught.value)


PICKLED = "reading Python objects can run code, so bp never does; save numbers or text, such as array.astype(float)"


def test_pickles_are_refused(folder: Path) -> None:
    np.savez("a.npz", x=np.array([{}, 1], object), y=np.arange(2))
    assert message("a.npz") == f"a.npz: array 'x': holds pickled objects: {PICKLED}"
    np.save("a.npy", np.array([{}, 1], object))
    assert message("a.npy") == f"a.npy: holds pickled objects: {PICKLED}"
    for name in ("b.npz", "b.npy"):
        Path(name).write_bytes(pickle.dumps([1, 2]))
        assert message(name) == f"{name}: is a pickle: {PICKLED}"


def test_damaged_npz_and_npy(folder: Path) -> None:
    np.savez("a.npz", x=np.arange(1000))
    Path("cut.npz").write_bytes(Path("a.npz").read_bytes()[:500])
    assert message("cut.npz") == "cut.npz: the file is cut off; fetch or save it again"
    Path("text.npz").write_text("hello")
    assert message("text.npz") == "text.npz: not an .npz file: it begins with 68 65, expected 50 4b"
    np.save("a.npy", np.arange(1000))
    Path("cut.npy").write_bytes(Path("a.npy").read_bytes()[:500])
    assert message("cut.npy") == "cut.npy: the file is cut off; fetch or save it again"
    Path("cut.npy").write_bytes(Path("a.npy").read_bytes()[:50])
    assert message("cut.npy") == "cut.npy: the file is cut off; fetch or save it again"
    Path("text.npy").write_text("hello world")
    assert (
        message("text.npy")
        == "text.npy: not an .npy file: it begins with 68 65 6c 6c 6f 20, expected 93 4e 55 4d 50 59"
    )
    Path("a.npy.gz").write_bytes(gzip.compress(Path("a.npy").read_bytes()))
    assert message("a.npy.gz") == "a.npy.gz: a packed .npy cannot be read; unpack it with gunzip"


def test_arrays_that_are_no_rows_of_numbers(folder: Path) -> None:
    np.savez("a.npz", x=np.zeros(2, complex))
    assert message("a.npz") == "a.npz: array 'x': holds complex128; expected numbers or text"
    np.savez("b.npz", x=3.0)
    assert message("b.npz") == "b.npz: array 'x': is a single value; expected one entry per row"
    np.save("c.npy", np.zeros((0, 3)))
    assert message("c.npy") == "c.npy: has no rows"
    np.save("d.npy", np.zeros((3, 0)))
    assert message("d.npy") == "d.npy: its rows are empty, shape [3, 0]"
    np.savez("e.npz", x=np.zeros((3, 2)), y=np.zeros(2))
    assert message("e.npz") == "e.npz: array 'x' has 3 rows, 'y' 2; they must be equal"


def test_text_arrays_have_one_text_a_row(folder: Path) -> None:
    np.savez("a.npz", t=np.array([["a", "b"], ["c", "d"]]))
    assert message("a.npz") == "a.npz: array 't': has text of shape [2, 2], expected one text per row: [2]"
    np.savez("b.npz", t=np.array(["b", "", "NA"]))
    column = read_table(DataFile(Path("b.npz"))).columns["t"]
    assert isinstance(column, Text)
    assert cell_texts(column) == ["b", None, None]


def test_text_arrays_spell_numbers_as_other_text_does(folder: Path) -> None:
    """Amounts are refused with the setting that reads them; texts that are names stay such."""
    file = DataFile(Path("a.npz"))
    np.savez("a.npz", price=np.array(["1,250", "3,000,500", ""]), n=np.arange(3.0))
    assert message("a.npz") == (
        "a.npz: array 'price', row 0 (from 0): expected a plain number, got '1,250'; to read such numbers write "
        'data.numbers: {thousands: ","}; if they are names, write data.categories: [price]'
    )
    for numbers in (NumberSettings(thousands=","), {"price": NumberSettings(thousands=",")}):
        price = read_table(file, reading=Reading(numbers)).columns["price"]
        assert isinstance(price, Numbers)
        np.testing.assert_array_equal(price.values, [1250, 3000500, np.nan])
    assert cell_texts(read_table(file, Selection(kinds={"price": "text"})).columns["price"]) == [
        "1,250",
        "3,000,500",
        None,
    ]
    np.savez("a.npz", size=np.array(["38", "40", "38"]))
    assert cell_texts(read_table(file).columns["size"]) == ["38", "40", "38"]


def test_damaged_idx(folder: Path, write_idx: Callable[..., str]) -> None:
    whole = (folder / write_idx("a.idx", np.zeros((6, 2, 2), np.uint8))).read_bytes()
    for name, content, expected in [
        ("cut.idx", whole[:-3], "has 37 bytes, expected 40 by its header; fetch the file again"),
        (
            "cut.idx.gz",
            gzip.compress(whole[:-3]),
            "has 21 bytes of values, expected 24 by its header; fetch the file again",
        ),
        (
            "long.idx.gz",
            gzip.compress(whole + b"1"),
            "continues after the 24 bytes of values in its header; fetch the file again",
        ),
        (
            "torn.idx.gz",
            gzip.compress(whole)[:-12],
            "the gzip data is damaged or cut off (Compressed file ended before the end-of-stream marker was reached); "
            "fetch the file again",
        ),
        (
            "no.idx",
            b"hello",
            "not an IDX file: it begins with 68 65 6c 6c, expected 00 00, a type (08 to 0e) and axes",
        ),
        ("head.idx", whole[:7], "the file is cut off in its header"),
        ("none.idx", bytes([0, 0, 8, 1, 0, 0, 0, 0]), "has no rows"),
    ]:
        Path(name).write_bytes(content)
        assert message(name) == f"{name}: {expected}"


def test_files_that_are_not_there(folder: Path) -> None:
    Path("iris.csv").write_text("a\n1\n")
    Path("folder.csv").mkdir()
    Path("empty.csv").touch()
    assert message("irs.csv") == "irs.csv: no such file; did you mean 'iris.csv'?"
    assert message("no/iris.csv") == "no/iris.csv: no such file; the folder 'no' does not exist either"
    assert message("folder.csv") == (
        "folder.csv/: has no images (.png, .jpg, .jpeg); name a file in it, or a folder that has a folder "
        "of images for each class"
    )
    assert message("empty.csv") == "empty.csv: the file is empty"
    assert message("iris.cvs") == "iris.cvs: no such file; did you mean 'iris.csv'?"
    Path("iris.cvs").write_text("a\n1\n")
    assert message("iris.cvs") == (
        f"iris.cvs: unknown format; known suffixes: {SUFFIXES}; or set data.format ({', '.join(FORMATS)})"
    )
