"""Fields found in many lines at once: numbers as ``float`` reads them, texts as ``csv``, doubtful lines refused."""

from __future__ import annotations

import csv
import io
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.data.cells import PlainNumbers
from backprop_cli.data.delimited import Fields

DIGITS = st.text("0123456789", max_size=26)
SPELLED = st.builds(
    lambda sign, whole, point, part, exponent: sign + whole + point + part + exponent,
    st.sampled_from(["", "-", "+"]),
    DIGITS,
    st.sampled_from(["", "."]),
    DIGITS,
    st.one_of(st.just(""), st.integers(-330, 330).map("e{}".format), st.sampled_from(["E+05", "e-007", "e", "e+"])),
)
CELLS = st.one_of(SPELLED, st.floats().map(repr), st.text("0123456789+-.eE_ xn", max_size=12))


def plain_numbers(cells: list[str]) -> PlainNumbers:
    return Fields("".join(f"{cell},\n" for cell in cells).encode(), ord(","), 2).plain(0, ".")


def check(cells: list[str]) -> PlainNumbers:
    """Every cell is the number that ``float`` reads, or among the others."""
    found = plain_numbers(cells)
    others = set(found.others.tolist())
    for row, (cell, number) in enumerate(zip(cells, found.numbers.tolist(), strict=True)):
        if row in others:
            assert np.isnan(number)
        else:
            assert repr(number) == repr(float(cell))
    return found


@given(st.lists(CELLS, min_size=1, max_size=30))
def test_numbers_are_those_of_float(cells: list[str]) -> None:
    check(cells)


@given(st.lists(st.floats(1e-5, 1e15), min_size=1, max_size=30))
def test_numbers_as_python_prints_them_are_found(values: list[float]) -> None:
    cells = [spell(value) for value in values for spell in (repr, "-{:.18e}".format, "{:.3f}".format)]
    assert not len(check(cells).others)


def test_the_middle_between_two_floats_is_never_rounded_wrongly() -> None:
    rng = random.Random(0)
    cells = []
    for _ in range(20_000):
        middle = Fraction(2 * (1 << 52 | rng.getrandbits(52)) + 1) * Fraction(2) ** rng.randint(-12, 8)
        near = int(middle * 1000) + rng.randint(-1, 1)
        cells.append(f"{near // 1000}.{near % 1000:03}")
    assert len(check(cells).others) < len(cells)


def test_nineteen_digits_are_a_number_and_more_are_not() -> None:
    most = ["9999999999999999999", "0.0000000000009999999999", "9.999999999999999999e60", "123456789012345678.9"]
    assert not len(check(most).others)
    more = ["99999999999999999999", "9.9999999999999999999", "0.99999999999999999999", "1e200", "1e-200", ".", "-", ""]
    assert check(more).others.tolist() == list(range(len(more)))


def test_zeros_before_whole_numbers_are_noticed() -> None:
    padded = {
        cell: plain_numbers(["1", cell]).padded for cell in ("01", "007", " 07", "0", "0.5", "00.5", "-01", "01e2")
    }
    assert [cell for cell, is_padded in padded.items() if is_padded] == ["01", "007", " 07"]


@pytest.mark.parametrize(
    "lines",
    [
        "1,2\n3\n",
        "1,2\n\n3,4\n",
        "1,2,3\n4\n",
        '"1,2",3\n',
        '"1,2"\n',
        '"a\nb",2\n',
        '"a"b,2\n',
        'a"b,2\n',
        '"a""b",2\n',
        '",2\n',
        '"a" ,2\n',
        ' "a",2\n',
    ],
)
def test_lines_that_need_the_csv_module_are_refused(lines: str) -> None:
    with pytest.raises(ValueError, match=r"^(lines differ|a quote is inside)"):
        Fields(lines.encode(), ord(","), 2)


def test_blank_lines_of_one_column_are_refused() -> None:
    for blank in ("", " ", "\t"):
        with pytest.raises(ValueError, match=r"^a line may be blank$"):
            Fields(f"1\n{blank}\n2\n".encode(), ord(","), 1)


def test_fields_longer_than_the_csv_module_takes_are_refused() -> None:
    most = csv.field_size_limit()
    assert len(Fields(f"{'a' * most},1\n".encode(), ord(","), 2)) == 1
    with pytest.raises(ValueError, match=r"^a field may be too long$"):
        Fields(f"{'a' * (most + 1)},1\n".encode(), ord(","), 2)


@pytest.mark.parametrize("longest", [7, 8, 9, 24, 25])
@pytest.mark.parametrize("different", [3, 200, 5000])
def test_texts_are_those_of_the_csv_module(longest: int, different: int) -> None:
    """Also of texts that occur late, and of so many that some share their hash."""
    rng = random.Random(longest)
    texts = ["", *("".join(rng.choices('ab ü"', k=rng.randint(1, longest))) for _ in range(different))]
    cells = [rng.choice(texts[: 2 + row // 8]) for row in range(9000)]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([cell.replace('"', "'"), row] for row, cell in enumerate(cells))
    found = Fields(buffer.getvalue().encode(), ord(","), 2).coded(0)
    expected = [row[0] for row in csv.reader(io.StringIO(buffer.getvalue()), skipinitialspace=True)]
    assert [found.values[code] for code in found.codes.tolist()] == expected
    assert found.codes.dtype == np.int64
    first = [found.codes.tolist().index(code) for code in range(len(found.values))]
    assert first == sorted(first)


def test_texts_of_some_rows() -> None:
    fields = Fields(b'1,"a"\n2, b\n3,a\n4,\n', ord(","), 2)
    found = fields.coded(1, np.array([0, 2, 3]))
    assert [found.values[code] for code in found.codes] == ["a", "a", ""]
    assert fields.coded(1, np.array([3])).values == [""]
