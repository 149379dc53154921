"""Decimal numbers from the bytes of a text, many at a time, rounded as Python's ``float`` rounds them."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

BEFORE = 24
"""Bytes that a buffer has before its text: digits are read in words of eight bytes that end where a number ends."""
MOST_DIGITS = 19
"""Most digits of a number that certainly fit into 64 bits."""
_MOST_PLACES = BEFORE  # leading zeros of a fraction take places, and are no digits
_EXACT = np.uint64(1 << 53)
_EXACT_POWER = 22  # the largest power of ten that float64 has
_LARGEST_POWER = 64
_TENS = np.array([10**n if n <= MOST_DIGITS else 0 for n in range(_MOST_PLACES + 1)], np.uint64)
_FLOAT_TENS = 10.0 ** np.arange(_EXACT_POWER + 1)
_LAST = np.array([(1 << 64) - (1 << 8 * (8 - n)) for n in range(9)], np.uint64)
"""Masks of the last ``n`` bytes of a word, whose bytes are in the order of the text."""


class Spans(NamedTuple):
    """Where numbers are in a text. Every array is int64 (numbers,).

    ``start``, ``point``, ``end``: of the digits, of the point in them (``end`` without one), and behind them.
    ``fraction``: digits behind the point. ``exponent``: the power of ten written behind the digits.
    """

    start: Ints
    point: Ints
    end: Ints
    fraction: Ints
    exponent: Ints


def words_of(buffer: NDArray[np.uint8]) -> Words:
    """The eight bytes from each place of the buffer as an integer, the first byte the lowest. A view.

    ``words_of(buffer)[place + BEFORE - 8]`` ends before ``place`` in the text.
    """
    return np.ndarray((len(buffer) - 7,), np.dtype("<u8"), buffer.data, strides=(1,))


def are_short(spans: Spans) -> NDArray[np.bool_]:
    """Whether there are digits, few enough for ``values_of``."""
    whole, power = spans.point - spans.start, spans.exponent - spans.fraction
    fits = (whole <= MOST_DIGITS) & (spans.fraction <= _MOST_PLACES) & (whole + spans.fraction > 0)
    found: NDArray[np.bool_] = fits & (np.abs(power) <= _LARGEST_POWER)
    return found


def values_of(words: Words, spans: Spans) -> tuple[Floats, NDArray[np.bool_]]:
    """The numbers without their signs, and whether each is certain. ``are_short`` must hold for all of them.

    Uncertain are numbers of more than 19 digits, and those so near to the middle between two floats that more than
    106 bits would be needed to round them.
    """
    digits = digits_of(words, spans.point, spans.point - spans.start)
    certain = np.ones(len(digits), bool)
    power = spans.exponent - spans.fraction
    if spans.fraction.any():
        behind = digits_of(words, spans.end, spans.fraction, certain)
        certain &= (digits == 0) | (spans.point - spans.start + spans.fraction <= MOST_DIGITS)
        digits *= _TENS.take(spans.fraction)
        digits += behind
        digits *= certain
    out = digits.astype(np.float64)
    if power.any():
        size = np.abs(power)
        tens = _FLOAT_TENS.take(size, mode="clip")
        # One correctly rounded operation on two exact numbers.
        if (power > 0).any():
            np.multiply(out, tens, out=out, where=power > 0)
            np.divide(out, tens, out=out, where=power < 0)
        else:
            out /= tens
        large = np.flatnonzero(((digits > _EXACT) | (size > _EXACT_POWER)) & (digits > 0))
        if len(large):
            out[large], certain[large] = _scaled(digits[large], power[large], certain[large])
    return out, certain


def digits_of(words: Words, end: Ints, count: Ints, fits: NDArray[np.bool_] | None = None) -> Words:
    """The value of the ``count`` digits that end before ``end``. ``fits`` becomes false where 64 bits are too few."""
    out = _eight(last_bytes(words, end, count))
    for done, scale in ((8, 10**8), (16, 10**16)):
        rows = np.flatnonzero(count > done)
        if not len(rows):
            break
        word = _eight(last_bytes(words, end[rows] - done, count[rows] - done))
        if fits is not None and done == 16:
            fits[rows] &= word < 1000
        word *= np.uint64(scale)
        out[rows] += word
    return out


def last_bytes(words: Words, end: Ints, count: Ints) -> Words:
    """The last ``count`` of the eight bytes before ``end``, the others as zeros. The count may be outside 0 to 8."""
    word = words[end + (BEFORE - 8)]
    word &= _LAST.take(count, mode="clip")
    return word


def _eight(word: Words) -> Words:
    """The values of words of eight digits, computed in place; a byte of zero counts as the digit 0."""
    # Neighbours are added in pairs: digits, then numbers of two and of four digits.
    word &= np.uint64(0x0F0F0F0F0F0F0F0F)
    word *= np.uint64(10 * 2**8 + 1)
    word >>= np.uint64(8)
    word &= np.uint64(0x00FF00FF00FF00FF)
    word *= np.uint64(100 * 2**16 + 1)
    word >>= np.uint64(16)
    word &= np.uint64(0x0000FFFF0000FFFF)
    word *= np.uint64(10_000 * 2**32 + 1)
    word >>= np.uint64(32)
    return word


def _scaled(digits: Words, power: Ints, certain: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """``digits * 10**power``, correctly rounded where the second result is true.

    The product is computed as a sum of two floats, with Dekker's exact product (Numerische Mathematik 18, 1971). Its
    relative error is below ``2**-100``: it is certain if a change of ``2**-98`` does not round otherwise.
    """
    tens, rest, head = (table.take(power + _LARGEST_POWER) for table in _powers())
    high = digits.astype(np.float64)
    low = (digits - high.astype(np.uint64)).view(np.int64).astype(np.float64)
    product = high * tens
    front = _front(high)
    back, tail = high - front, tens - head
    error = ((front * head - product) + front * tail + back * head) + back * tail
    error += high * rest + low * tens
    doubt = product * 2.0**-98
    out = product + (error + doubt)
    return out, certain & (out == product + (error - doubt))


def _front(numbers: Floats) -> Floats:
    """The numbers rounded to their first 26 bits (Veltkamp)."""
    large = numbers * (2.0**27 + 1)
    return large - (large - numbers)


@cache
def _powers() -> tuple[Floats, Floats, Floats]:
    """The powers of ten from ``10**-64`` as sums of two floats, and the front of the first."""
    exact = [Fraction(10) ** n for n in range(-_LARGEST_POWER, _LARGEST_POWER + 1)]
    tens = np.array([float(each) for each in exact])
    rest = np.array([float(each - Fraction(value)) for each, value in zip(exact, tens.tolist(), strict=True)])
    return tens, rest, _front(tens)
