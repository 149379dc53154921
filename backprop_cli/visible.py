"""Text made safe for a terminal, and its width in columns.

Names, values and lines of files may contain any character. All printed and logged text passes through ``visible``.
"""

from __future__ import annotations

import os
import re
import sys

# Controls except newline and tab, characters that reorder or hide text, line separators, and lone surrogates, which
# cannot be encoded. The joiners U+200C and U+200D stay as they are: words and emoji contain them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[\t\n]")
_DOTS = "..."
_TAB = 8
"""Most columns of a tab."""
DEFAULT_WIDTH = 80


def visible(text: str) -> str:
    r"""``text`` with an escape (``\x1b``, ``\u202e``) for each character that a terminal obeys or hides.

    Newlines and tabs stay.
    """
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    r"""As ``visible``, with newlines and tabs escaped, too (``\n``)."""
    return _BREAKS.sub(lambda found: "\\t" if found[0] == "\t" else "\\n", visible(text))


def json_visible(text: str) -> str:
    """JSON text with JSON's own escapes for these characters, so that it decodes to the same value."""
    return _UNSAFE.sub(_json_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0D:
        return "\\r"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k]:02x}{units[k + 1]:02x}" for k in range(0, len(units), 2))


VALUE_WIDTH = 60
"""Most characters of a value in a message."""


def shortened(text: str, most: int = VALUE_WIDTH) -> str:
    """``text``, with its middle cut out if it has more than ``most`` characters."""
    if len(text) <= most:
        return text
    kept = most - len(_DOTS)
    return text[: kept - kept // 3] + _DOTS + text[len(text) - kept // 3 :]


def columns(text: str) -> int:
    """Columns of a line of visible text on a terminal: a wide character takes two, a combining one none."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    import unicodedata  # a large table that most starts do not need

    if char == "\t":
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def terminal_width() -> int:
    """The value of ``COLUMNS`` if it is set, else the columns of the terminal, else 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and 0 < int(given) < 10_000:
        return int(given)
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            found = os.get_terminal_size(stream.fileno()).columns if stream is not None else 0
        except (OSError, ValueError):
            continue
        if found > 0:
            return found
    return DEFAULT_WIDTH


def marked(source: str, column: int, width: int, room: int) -> tuple[str, str]:
    """A source line cut to ``room`` columns around ``column`` (from 0), and carets under ``width`` characters of it.

    Carets end with the line. Tabs are kept in both lines, so that they stay aligned.
    """
    # A line may be a megabyte long, so only characters that may be shown are processed.
    first, last = max(0, column - room), column + room
    cells = [char if char == "\t" else one_line(char) for char in source[first:last]]
    widths = [_TAB if cell == "\t" else columns(cell) for cell in cells]
    place = column - first
    begin, end = _window(widths, place, min(width, room), room, (first > 0, last < len(source)))
    before, after = (_DOTS if first + begin > 0 else ""), (_DOTS if first + end < len(source) else "")
    padding = "".join("\t" if cell == "\t" else " " * columns(cell) for cell in cells[begin:place])
    carets = max(1, sum(map(columns, cells[place : min(place + width, end)])))
    return before + "".join(cells[begin:end]) + after, " " * len(before) + padding + "^" * carets


def _window(widths: list[int], place: int, width: int, room: int, cut: tuple[bool, bool]) -> tuple[int, int]:
    """The range of cells to show. ``cut``: whether the line continues before the first cell, and after the last.

    A third of the room lies left of the mark, or more if little text follows it.
    """
    if sum(widths) <= room and not any(cut):
        return 0, len(widths)
    room = max(room - 2 * len(_DOTS), 1)
    end, used = min(place, len(widths)), 0
    while end < len(widths) and (used + widths[end] <= room * 2 // 3 or end == place):
        used += widths[end]
        end += 1
    begin = min(place, len(widths))
    if end == len(widths) and not cut[1]:
        room += len(_DOTS)
    while begin > 0 and used + widths[begin - 1] <= room:
        begin -= 1
        used += widths[begin]
    if begin == 0 and not cut[0]:
        room += len(_DOTS)
    while end < len(widths) and used + widths[end] <= room:
        used += widths[end]
        end += 1
    return begin, end
