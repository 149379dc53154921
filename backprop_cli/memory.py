"""The memory of this machine, and messages for arrays that do not fit into it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backprop_cli.errors import BpError

if sys.platform == "win32":
    resource = None
else:
    import resource

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def installed() -> int:
    """Bytes that this process may use: the machine's memory, or the limit set by ``ulimit -v`` if that is lower."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        machine = sys.maxsize
    if resource is None:
        return machine
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return machine if limit == resource.RLIM_INFINITY else min(machine, limit)


def size_text(count: int) -> str:
    """``31992512512`` -> ``29.8 GiB``, rounded down. Computed with integers, because counts may exceed any float."""
    power = min((max(count, 1).bit_length() - 1) // 10, len(_UNITS) - 1)
    tenths = count * 10 >> 10 * power
    if tenths >= 100_000:
        return f"more than 10,000 {_UNITS[-1]}"
    return f"{count} bytes" if power == 0 else f"{tenths // 10}.{tenths % 10} {_UNITS[power]}"


def shortage(size: int) -> str | None:
    """``7.2 TiB, and this machine has 23.5 GiB of memory``; None if ``size`` bytes fit."""
    available = installed()
    if size <= available:
        return None
    return f"{size_text(size)}, and this machine has {size_text(available)} of memory"


def check_memory(size: int, what: str) -> None:
    """Call before allocating ``size`` bytes. Raises: MemoryError if the machine does not have that much memory."""
    found = shortage(size)
    if found is not None:
        raise MemoryError(f"{what} would take {found}")


def reason(error: MemoryError) -> str:
    """The error's message, with the requested size if NumPy gave it."""
    asked = re.match(r"Unable to allocate (\S+ \S+) for an array with shape (.+) and data type", str(error))
    if asked is not None:
        return f"{asked[1]} for an array of the shape {asked[2]} cannot be allocated"
    return str(error) or "not enough memory is left"


@contextmanager
def memory_errors_as(refuse: Callable[[str], BpError]) -> Iterator[None]:
    """Raise ``refuse(reason)`` instead of a MemoryError."""
    try:
        yield
    except MemoryError as error:
        raise refuse(reason(error)) from error
