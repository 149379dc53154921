"""The ready configurations that come with the package: templates for a user's own.

They name their data by paths that begin with ``./`` or ``../``, and say in their first comment what they are.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from backprop_cli.config.compose import compose
from backprop_cli.files import ready_folder
from backprop_cli.settings import VARIABLE, expanded
from backprop_cli.structs import Struct
from backprop_cli.visible import visible

_RELATIVE = re.compile(r"\.\.?/[\w./-]+")
_PLAIN = re.compile(r"[\w./\\${}-][\w./\\:${}~+-]*")
"""Texts that YAML reads as they are, in lists and mappings too."""


def templates() -> dict[str, Template]:
    """The ready configurations by name: ``digits``, ``plugins/diabetes``."""
    configs = ready_folder() / "configs"
    paths = sorted(configs.rglob("*.yaml"), key=lambda path: (path.parent, path.name))
    return {
        name: Template(name, path) for path in paths for name in [path.relative_to(configs).with_suffix("").as_posix()]
    }


class Template(Struct):
    """A ready configuration."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        """The file's text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def comment(self) -> str:
        """The comment that the file begins with, on one line."""
        lines = self.text.split("\n")
        end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
        return " ".join(line.lstrip("# ") for line in lines[:end])

    @property
    def summary(self) -> str:
        """The comment up to its first colon or period."""
        return re.split(r"[.:] ", f"{self.comment} ")[0]

    @property
    def download(self) -> str | None:
        """Where the data can be downloaded, if it does not come with the package."""
        found = re.search(r"https://\S+", self.comment)
        return None if found is None or self.included else found[0]

    @property
    def data_sets(self) -> list[str]:
        """The names of the data files, or of the folder that has them."""
        found = (_RELATIVE.search(path) for path in self.data)
        return list(dict.fromkeys(Path(match[0]).name for match in found if match))

    @cached_property
    def data(self) -> list[str]:
        """The paths of the data files, as written."""
        return [str(node.value) for key, node in self._paths if key == "data"]

    @property
    def plugins(self) -> list[Path]:
        """The files that define types of its own."""
        return [self.path.parent / node.value for key, node in self._paths if key == "plugins"]

    @property
    def variable(self) -> str | None:
        """The environment variable that names the folder of the data, if any."""
        found = VARIABLE.search(" ".join(self.data))
        return None if found is None else found[1]

    def missing(self, folder: Path) -> list[Path]:
        """The data files that are not there for a configuration in ``folder``."""
        files = [folder / expanded(_RELATIVE.sub(self._elsewhere, path)) for path in self.data]
        return [file for file in files if not file.exists()]

    @property
    def included(self) -> bool:
        """Whether the data comes with the package; a path with an environment variable leads elsewhere."""
        return self.variable is None

    def moved(self, path: Path) -> str:
        """The text for a file ``path``.

        A path in it becomes absolute; if nothing is there, such as data to download, it becomes one that lies next to
        the new file. Comments name the new file and its run.
        """
        text = self.text
        for _, node in reversed(self._paths):
            start, end = node.start_mark.index, node.end_mark.index
            text = f"{text[:start]}{scalar(_RELATIVE.sub(self._elsewhere, node.value))}{text[end:]}"
        text = text.replace(f"configs/{self.name}.yaml", shlex.quote(path.as_posix()))
        return text.replace(f"runs/{self.path.stem}/", f"runs/{path.stem}/")

    def _elsewhere(self, found: re.Match[str]) -> str:
        path = Path(os.path.normpath(self.path.parent / found[0]))
        return str(path) if path.exists() else path.name

    @cached_property
    def _paths(self) -> list[tuple[str, ScalarNode]]:
        """The scalars that are paths of files, in the order of the text, each with its top key."""
        return [(key, node) for key, node in _scalars(compose(self.text).node) if _RELATIVE.search(node.value)]


def ready_hint(path: Path) -> str:
    """The hint for a configuration that is not there, but called like a template; else empty."""
    known = path.stem in templates()
    return f"bp init {path.stem} writes one, bp init --examples all of configs/ and datasets/" if known else ""


def scalar(text: str) -> str:
    """A path as YAML writes it."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """A text in quotes as YAML writes it, with escapes for line separators and for what an editor hides."""
    return visible(json.dumps(text, ensure_ascii=False))


def _scalars(node: Node | None, key: str = "") -> Iterator[tuple[str, ScalarNode]]:
    if isinstance(node, MappingNode):
        for name, value in node.value:
            yield from _scalars(value, key or name.value)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            yield from _scalars(value, key)
    elif isinstance(node, ScalarNode):
        yield key, node
