"""Scalars of the YAML 1.2 core schema: the value of unquoted text, and the text of a value.

PyYAML follows YAML 1.1, where ``1e-3`` is text, ``no`` is false and ``010`` is eight. This module replaces it.
Source: YAML 1.2.2, section 10.3.2 (core schema, tag resolution).
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(?:(inf|Inf|INF)|(?:nan|NaN|NAN))")

MAX_DIGITS = 1000
"""Digits of a decimal integer; Python refuses to read more than 4300."""

# Quoted, because YAML 1.1 readers take these words for truth values.
_YAML_1_1_WORDS = frozenset({"y", "n", "yes", "no", "on", "off"})
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def resolve(text: str) -> Scalar:
    """The value of unquoted ``text``.

    Raises:
        ValueError: a decimal integer of more than ``MAX_DIGITS`` digits.

    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"an integer of {len(text)} digits; at most {MAX_DIGITS} are read")
        return int(text)
    if _RADIX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL.fullmatch(text)
    if special is None:
        return text
    sign = -1.0 if special[1] == "-" else 1.0
    return sign * float("inf" if special[2] else "nan")


def write(value: Scalar) -> str:
    """``value`` on one line, which reads as an equal value; floats in their shortest form."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _write_text(value)
    if isinstance(value, float):
        if value != value:
            return ".nan"
        if value in (float("inf"), float("-inf")):
            return ".inf" if value > 0 else "-.inf"
    return repr(value)


def _write_text(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and isinstance(resolve(text), str) and text.lower() not in _YAML_1_1_WORDS
    return text if plain else '"' + "".join(map(_escape, text)) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
