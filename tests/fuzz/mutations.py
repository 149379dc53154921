"""Damage to bytes, drawn from a seeded source."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

Mutation = Callable[[bytes], bytes]

_WORDS = (
    *(
        b"",
        b"\0",
        b"\n",
        b"\r",
        b",",
        b'"',
        b"'",
        b"{",
        b"[",
        b"(",
        b": ",
        b"&a",
        b"*a",
        b"[" * 200,
        b"!!python/object",
    ),
    *(b"nan", b"inf", b"1e999", b"-0", b"-1", b"true", b"null", b"9" * 25, b"O", b"<U99999999", b">f8", b"|V8"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", "\u202e".encode(), b"\x1f\x8b", b"PK\x03\x04"),
)
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62,
            2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip


def damaged(good: Sequence[bytes], rng: random.Random, inside: Callable[[bytes, Mutation], bytes] | None) -> bytes:
    """One of the files with one to four changes; where it is packed, every other time beneath the packing."""
    data = rng.choice(good)

    def mutation(part: bytes) -> bytes:
        for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
            part = rng.choice(_MUTATIONS)(part, rng, good)
        return part

    packed = inside is not None and rng.random() < 0.5
    found = inside(data, mutation) if inside is not None and packed else mutation(data)
    return damaged(good, rng, inside) if found in good else found


def _place(data: bytes, rng: random.Random) -> int:
    """An offset; every other one in the first or the last bytes, where headers and footers are."""
    if not data:
        return 0
    near = min(len(data), 160)
    where = rng.random()
    if where < 0.3:
        return rng.randrange(near)
    return len(data) - 1 - rng.randrange(near) if where < 0.5 else rng.randrange(len(data))


def _block(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, rng.randint(1, 64), rng.randint(1, len(data) or 1))))


def _flip(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    return _put(data, _place(data, rng), lambda byte: byte ^ 1 << rng.randrange(8))


def _replace(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    return _put(data, _place(data, rng), lambda byte: rng.randrange(256))


def _step(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    return _put(data, _place(data, rng), lambda byte: (byte + rng.choice((-1, 1))) % 256)


def _put(data: bytes, place: int, change: Callable[[int], int]) -> bytes:
    return data[:place] + bytes([change(data[place])]) + data[place + 1 :] if data else data


def _truncate(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    return data[: _place(data, rng)]


def _insert(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    place = _place(data, rng)
    new = rng.choice(_WORDS) if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 2, 8, 300)))
    return data[:place] + new + data[place:]


def _overwrite(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    place, new = _place(data, rng), rng.choice(_WORDS)
    return data[:place] + new + data[place + len(new) :]


def _delete(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    start, stop = _block(data, rng)
    return data[:start] + data[stop:]


def _zero(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    start, stop = _block(data, rng)
    return data[:start] + bytes([rng.choice((0, 255))]) * (stop - start) + data[stop:]


def _duplicate(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    start, stop = _block(data, rng)
    times = rng.choice((1, 1, 2, 50)) if stop - start < 4096 else 1
    return data[:stop] + data[start:stop] * times + data[stop:]


def _move(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    start, stop = _block(data, rng)
    place = _place(data, rng)
    block = data[start:stop]
    return data[:place] + block + data[place + len(block) :]


def _splice(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    other = rng.choice(good)
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _number(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    """A number such as lengths in a header are, big or small, in either order of bytes."""
    size = rng.choice("BHIQ")
    raw = struct.pack(rng.choice("<>") + size, rng.choice(_NUMBERS) % 2 ** (8 * struct.calcsize("<" + size)))
    place = _place(data, rng) // rng.choice((1, len(raw))) * rng.choice((1, len(raw)))
    return data[:place] + raw + data[place + len(raw) :]


def _digits(data: bytes, rng: random.Random, good: Sequence[bytes]) -> bytes:
    """One of the numbers that are written in digits, as another one."""
    places = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
    if not places:
        return data
    start = stop = rng.choice(places)
    while stop < len(data) and chr(data[stop]).isdigit():
        stop += 1
    return data[:start] + str(rng.choice((*_NUMBERS, -1, 10**30, 1.5))).encode() + data[stop:]


_MUTATIONS = (_flip, _flip, _replace, _step, _truncate, _insert, _overwrite, _delete, _zero, _duplicate, _move, _splice,
              _number, _number, _digits)  # fmt: skip
