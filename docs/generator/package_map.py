"""The map in ``architecture.md``: the packages with their lines, and a diagram drawn from the imports."""

from __future__ import annotations

import re
from pathlib import Path

import backprop_cli
from generator import markdown

PACKAGE = Path(backprop_cli.__file__).parent
BEGIN = "<!-- written by docs/generate.py: begin -->"
END = "<!-- written by docs/generate.py: end -->"
_IMPORT = re.compile(r"^\s*(?:from|import) backprop_cli\.(\w+)", re.MULTILINE)
_NAMES = re.compile(r"^\s*from backprop_cli import \(?([\w, ]+)", re.MULTILINE)
_FOUNDATIONS = "foundations"


def architecture_page(page: str) -> str:
    """The page with its map made anew, between the two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n\n".join([f"{before}{BEGIN}", _packages(), _diagram(), f"{END}{after}"])


def _packages() -> str:
    """A table of packages, leftmost first, with their lines in the docstring of ``backprop_cli``."""
    single = [path.stem for path in sorted(PACKAGE.glob("*.py")) if not path.stem.startswith("__")]
    below = ", ".join(f"`{name}.py`" for name in single if name not in _lines())
    rows = [[f"`{_FOUNDATIONS}`", f"single files that import no package: {below}"]]
    rows += [[f"`{_file(name)}`", markdown.escaped(line)] for name, line in _lines().items()]
    return markdown.table(["package", "holds"], rows)


def _file(name: str) -> str:
    return f"{name}/" if (PACKAGE / name).is_dir() else f"{name}.py"


def _lines() -> dict[str, str]:
    """The line of each package, in the order in which they may import each other."""
    return dict(re.findall(r"^``(\w+)`` +(.+)$", backprop_cli.__doc__ or "", re.MULTILINE))


def _diagram() -> str:
    """A Mermaid graph: an arrow from each package to those that it imports and reaches no other way."""
    found, reached = imports(), dict[str, set[str]]()
    lines = []
    for name, direct in found.items():  # those to the left come first
        further = {each for other in direct for each in reached[other]}
        reached[name] = direct | further
        lines += [f"    {name} --> {other}" for other in found if other in direct - further]
    return markdown.block("mermaid", "\n".join(["flowchart TB", *reversed(lines)]))


def imports() -> dict[str, set[str]]:
    """The packages that each package imports; all single files are ``foundations``."""
    found: dict[str, set[str]] = {_FOUNDATIONS: set(), **{name: set() for name in _lines()}}
    for name in _lines():
        for path in sorted([*(PACKAGE / name).rglob("*.py"), *PACKAGE.glob(f"{name}.py")]):
            found[name] |= {part if part in found else _FOUNDATIONS for part in _imported(path)}
        found[name].discard(name)
    return found


def _imported(path: Path) -> set[str]:
    """The parts of ``backprop_cli`` that a file imports, also inside functions and for types."""
    text = path.read_text(encoding="utf-8")
    return set(_IMPORT.findall(text)) | {name for names in _NAMES.findall(text) for name in re.findall(r"\w+", names)}
