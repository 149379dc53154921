"""Names, texts and numbers as C spells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.exporting.c.c99 import WIDTH, literal

TYPES = {"float32": "float", "float64": "double", "int64": "int64_t", "bool": "unsigned char"}
"""Element types."""
_TAKEN = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
flags inputs integers memory numbers outputs texts tokens
"""
"""Keywords, and names of the file's own."""


def identifier(name: str) -> str:
    """The name with only letters, digits and ``_``: ``dense_1.weight`` is ``dense_1_weight``."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    text = f"_{text}" if not text or text[0].isdigit() else text
    return f"{text}_" if text in _TAKEN.split() else text


def identifiers(names: Iterable[str], others: Iterable[str] = ()) -> list[str]:
    """Identifiers that differ from each other and from ``others``."""
    found: list[str] = []
    taken = set(others)
    for name in names:
        text = identifier(name)
        while text in taken:
            text += "_"
        taken.add(text)
        found.append(text)
    return found


def quoted(text: str) -> str:
    """A string literal; bytes of UTF-8 that are not printable ASCII are octal, which ends after three digits."""
    escapes = {'"': '\\"', "\\": "\\\\", "?": "\\?"}
    letters = (chr(byte) for byte in text.encode())
    return '"' + "".join(escapes.get(c, c if " " <= c <= "~" else f"\\{ord(c):03o}") for c in letters) + '"'


def comment(text: str) -> str:
    """A text that can stand in a comment: printable ASCII that does not end it."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f]", " ", plain).replace("*/", "* /").replace("/*", "/ *")


def rows_of(items: Sequence[str], indent: str = "    ") -> list[str]:
    """Items, separated by commas, in lines."""
    lines, line = [], indent
    for item in items:
        piece = f"{item}, "
        if len(line) + len(piece) > WIDTH and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += piece
    lines.append(line.rstrip())
    return lines


def enumeration(entries: Sequence[tuple[str, int, str]]) -> list[str]:
    """An enum of names, values and comments; without a comma after the last one, which C++98 refuses."""
    commas = [","] * (len(entries) - 1) + [""]
    return [
        "enum {",
        *(
            f"    {name} = {value}{comma}" + (f" /* {about} */" if about else "")
            for (name, value, about), comma in zip(entries, commas, strict=True)
        ),
        "};",
    ]


def array(name: str, values: Array, kind: str | None = None, qualifier: str = "static const") -> list[str]:
    """The definition of an array with its numbers, exactly."""
    kind = kind or values.dtype.name
    flat = np.ascontiguousarray(values).reshape(-1)
    texts = [literal(number, kind) for number in flat.tolist()]
    head = f"{qualifier} {TYPES[kind]} {name}[{flat.size}] = {{"
    one = f"{head}{', '.join(texts)}}};"
    return [one] if len(one) <= WIDTH else [head, *rows_of(texts), "};"]
