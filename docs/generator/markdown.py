"""Markdown: tables, lists of contents, and docstrings as paragraphs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence

_CODE = re.compile(r"``(.+?)``|`([^`\n]+)`", re.DOTALL)
_LABEL = re.compile(r"(Shapes|YAML|Raises|Source|Way out):(?: +|$)(.*)")
_SPECIAL = re.compile(r"\\|(?<! )\*|\*(?! )|<(?=[A-Za-z/!?])|\](?=\()|(?<!\w)_|_(?!\w)")


def escaped(text: str) -> str:
    """Text in which Markdown finds no markup, apart from single or double backticks around code."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [_SPECIAL.sub(r"\\\g<0>", text[end : code.start()]), f"`{' '.join((code[1] or code[2]).split())}`"]
        end = code.end()
    return "".join([*parts, _SPECIAL.sub(r"\\\g<0>", text[end:])])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown on one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def block(language: str, text: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text.rstrip()}\n```"


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return words.replace(" ", "-")


def contents(headings: Iterable[str]) -> str:
    """A line of links to headings of the page."""
    return " · ".join(f"[{heading.replace('`', '')}](#{anchor(heading)})" for heading in headings)


def page(title: str, *parts: str) -> str:
    """A page: its title and its parts, those that are not empty."""
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"


def docstring(text: str | None) -> str:
    """A docstring as Markdown: paragraphs, and its labelled lines (``Shapes: ...``) as a list."""
    parts = (part.splitlines() for part in inspect.cleandoc(text or "").split("\n\n"))
    return "\n\n".join(made for part in parts if part for made in _paragraph(part))


def _paragraph(lines: list[str]) -> Iterator[str]:
    """A paragraph, or an indented block; then the list of its labelled lines."""
    first = next((index for index, line in enumerate(lines) if _LABEL.match(line)), len(lines))
    if all(line.startswith("    ") for line in lines):
        yield block("text", "\n".join(line[4:] for line in lines))
    elif first > 0:
        yield escaped(" ".join(map(str.strip, lines[:first])))
    items = labels("\n".join(lines[first:]))
    if items:
        yield "\n".join(f"- {label}: {_labelled(label, words)}" for label, words in items.items())


def _labelled(label: str, words: str) -> str:
    return f"`{words}`" if label == "YAML" else escaped(words)


def labels(text: str) -> dict[str, str]:
    """The labelled lines of a docstring: ``{"Shapes": "x (batch, ...) -> out as x"}``."""
    found: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        match = _LABEL.match(line)
        if match:
            label = match[1]
            found[label] = match[2]
        elif label and line.startswith(" "):
            found[label] += f" {line.strip()}"
        else:
            label = ""
    return found
