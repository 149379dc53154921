"""Numbers in other notations, respelled as YAML."""

from __future__ import annotations

import math
import re

from backprop_cli.config import scalars

_LONGEST = 60
_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-", "\uff0b": "+", "\u00d7": "*"})
_GAP = "[\\s_'\u2019]"
_SPACED = re.compile(rf"[-+]?\d{{1,3}}(?:{_GAP}\d{{3}})+(?:[.,]\d+)?")
_ENGLISH = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_CONTINENTAL = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
_SUFFIX = re.compile(r"(.*\d\.?)(?:[fFdDlLuU]|f32|f64)")
_FORTRAN = re.compile(r"([-+\d.,]*\d\.?)[dD]([-+]?\d+)")
_POWER = re.compile(r"(?:([-+]?[\d.,]+)\s*[*x]\s*)?10\s*(?:\^|\*\*)\s*\(?([-+]?\d{1,3})\)?")
_FRACTION = re.compile(r"([-+]?\d{1,15})\s*/\s*(\d{1,15})")


def respelled(text: str, integer: bool) -> list[str]:
    """The YAML spellings of the number that ``text`` may mean: one, two if it is ambiguous, or none.

    ``0,01`` is 0.01, ``1,000`` is 1000 or 1.000, and 1000 alone for an integer.
    """
    text = text.strip().rstrip(",;").strip("'\"").translate(_SIGNS)
    if len(text) > _LONGEST or (integer and text.endswith("%")):
        return []
    found = [way.removeprefix("+") for way in _ways(text)]
    return [way for way in dict.fromkeys(found) if _is_finite(way) and (not integer or _is_integer(way))]


def is_number(text: str) -> bool:
    """Whether YAML reads the unquoted ``text`` as a number."""
    try:
        value = scalars.resolve(text)
    except ValueError:
        return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(text: str) -> bool:
    return is_number(text) and math.isfinite(float(str(scalars.resolve(text))))


def _is_integer(text: str) -> bool:
    return isinstance(scalars.resolve(text), int)


def _ways(text: str) -> list[str]:
    """Candidates, the most likely first. The caller drops those that YAML does not read as numbers."""
    if is_number(text):
        return [text]
    if text.endswith("%"):
        return [f"{float(way) / 100:.12g}" for way in _ways(text[:-1].strip()) if _is_finite(way)]
    if power := _POWER.fullmatch(text):
        return [f"{way}e{int(power[2])}" for way in _ways(power[1] or "1")]
    if fraction := _FRACTION.fullmatch(text):
        return [f"{int(fraction[1]) / int(fraction[2]):.12g}"] if int(fraction[2]) else []
    if suffix := _SUFFIX.fullmatch(text):
        return _ways(suffix[1])
    if fortran := _FORTRAN.fullmatch(text):
        return _ways(f"{fortran[1]}e{fortran[2]}")
    return _separated(text)


def _separated(text: str) -> list[str]:
    """Candidates for digits with thousands separators, a decimal comma, or both."""
    with_point = text.replace(",", ".")
    if _SPACED.fullmatch(text):
        return [re.sub(_GAP, "", with_point)]
    if _ENGLISH.fullmatch(text):
        whole = text.replace(",", "")
        if "." in text or text.count(",") > 1:
            return [whole]
        return [with_point] if text.lstrip("+-").startswith("0") else [whole, with_point]
    if _CONTINENTAL.fullmatch(text):
        return [text.replace(".", "").replace(",", ".")]
    if _DECIMAL_COMMA.fullmatch(text):
        return [with_point]
    return [text.replace("_", "")]
