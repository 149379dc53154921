"""Numbers as text: short, the same everywhere."""

from __future__ import annotations


def number(value: object) -> str:
    """``12,345``, ``0.1234``, ``3.2e-08``: integers whole, others to four significant digits; None as ``-``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def size(count: int) -> str:
    """Bytes in the largest unit that leaves at least 1: ``512 B``, ``1.5 kB``, ``2.3 MB`` (powers of 1000)."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def clock(seconds: float) -> str:
    """``0:12``, ``4:05``, ``2:04:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """``0.53 s``, ``12.3 s``, ``4:05``, ``2:04:05``."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    return clock(seconds)
