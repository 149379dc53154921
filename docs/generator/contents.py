"""``README.md`` of the reference: what each page has."""

from __future__ import annotations

from collections.abc import Mapping

from backprop_cli.api.list_types import registry_of
from generator import markdown
from generator.type_pages import kinds

_LINES = {
    "configuration.md": "every key of a configuration: value, default, meaning",
    "commands.md": "every command: arguments, options, examples",
    "exit-codes.md": "what a script tests",
    "messages.md": "every kind of message, with its way out",
    "json.md": "the object that each command prints with `--json`",
    "run-directory.md": "the files of a run, and their keys",
}
_HOLDS = {
    "layers": "formula, shapes, source and keys",
    "activations": "formula, source and keys",
    "losses": "formula, shapes, source and keys",
    "optimizers": "formula, shapes, source and keys",
    "formats": "what it reads, and its suffixes",
    "ops": "formula and attributes",
}
"""What a page has of each type, if not formula and keys."""
_INTRODUCTION = """\
`python docs/generate.py` writes these pages from the code, and a test compares them with it. A sentence to change is a
docstring, or the help of an option. In a terminal, `bp list KIND NAME` and `bp COMMAND --help` print the same."""


def contents_page(pages: Mapping[str, str]) -> str:
    """The page; ``pages`` are the others by file name."""
    lines = {
        f"{kind}.md": f"every {registry_of(kind).kind}: {_HOLDS.get(kind, 'formula and keys')}" for kind in kinds()
    }
    lines |= _LINES
    rows = [[f"[{text.splitlines()[0].removeprefix('# ')}]({name})", lines[name]] for name, text in pages.items()]
    return markdown.page("Reference", _INTRODUCTION, markdown.table(["page", ""], rows))
