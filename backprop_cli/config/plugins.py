"""Plugins: a user's own Python files, run so that a configuration can name the types they register.

Only files that the user names are run, in the configuration of a command or with ``--plugins``; never files that only a
checkpoint names.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from backprop_cli.errors import BpError, ConfigError, Problem
from backprop_cli.registry import PLUGIN, Registration, RegistrationError, check_facts, guests, use_guests


class Plugin(NamedTuple):
    """A file that was run: its name as given, its text, and the types that it registered.

    ``sha256`` is the hash of the text; ``chain`` also covers the plugins before it, whose types it may use.
    """

    name: str
    path: Path
    text: str
    sha256: str
    chain: str
    entries: tuple[Registration, ...] = ()

    def problem(self, reason: str, line: int | None = None, column: int | None = None) -> Problem:
        """A problem with a line of the file, counted from 1; by default the whole line is marked."""
        if line is None:
            return Problem((), reason, file=self.name)
        lines = self.text.splitlines()
        source = lines[line - 1] if 0 < line <= len(lines) else ""
        start = len(source) - len(source.lstrip())
        width = 1 if column is not None else max(1, len(source.strip()))
        return Problem(
            (), reason, file=self.name, line=line, column=column or start + 1, width=width, source=source or None
        )

    def blamed(self, error: BaseException, line: int | None = None) -> Problem:
        """A problem at the file's innermost line in the traceback of ``error``, or else at ``line``."""
        lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if _file(frame) == str(self.path)]
        if isinstance(error, SyntaxError) and error.filename == str(self.path):
            return self.problem(f"SyntaxError: {error.msg}", error.lineno, error.offset or None)
        return self.problem(_reason(error), lines[-1] if lines else line)

    def line_of(self, entry: Registration) -> int | None:
        """The line on which the class begins."""
        classes = [node for node in ast.walk(ast.parse(self.text)) if isinstance(node, ast.ClassDef)]
        return next((node.lineno for node in classes if node.name == entry.cls.__name__), None)


def _file(frame: Any) -> str:
    return str(frame.f_code.co_filename)


def _reason(error: BaseException) -> str:
    if isinstance(error, RegistrationError | BpError):
        return str(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, NotImplementedError) and not error.args and frames:
        return f"the method {frames[-1].f_code.co_name} is missing"
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def given_files(tree: dict[Any, Any]) -> list[str]:
    """The names under ``plugins`` in a configuration that is not checked yet; other values are left out."""
    value = tree.get("plugins")
    names = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [name for name in names if isinstance(name, str) and name]


def read_plugins(paths: Sequence[Path], refuse: Callable[[int, str], Problem]) -> tuple[Plugin, ...]:
    """Run the files in order, each once a process; afterwards the registries hold their types and no other plugins'.

    ``refuse(number, reason)`` makes the problem of a file that cannot be run, at its name.

    Raises: ConfigError with the first problem of every file.
    """
    plugins: list[Plugin] = []
    problems: list[Problem] = []
    for number, path in enumerate(paths):
        if path.resolve() in [plugin.path for plugin in plugins]:
            problems.append(refuse(number, f"{path}: is named twice; name it once"))
            continue
        enter(plugins)
        try:
            plugins.append(_read(path, plugins[-1].chain if plugins else ""))
        except _RefusedError as error:
            problems.append(refuse(number, str(error)))
        except ConfigError as error:
            problems += error.problems
    enter(() if problems else plugins)
    if problems:
        raise ConfigError(problems)
    return tuple(plugins)


def enter(plugins: Sequence[Plugin]) -> None:
    """From now on the registries hold their own types and those of ``plugins``, no others."""
    use_guests([entry for plugin in plugins for entry in plugin.entries])


class _RefusedError(Exception):
    """A file is not a plugin; the message is the reason."""


_run: dict[tuple[Path, str], Plugin] = {}
"""Plugins that this process has run, by path and chain: a second run would make new classes of the same names."""


def _read(path: Path, before: str) -> Plugin:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise _RefusedError(f"{path}: no such file") from None
    except OSError as error:
        raise _RefusedError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _RefusedError(f"{path}: is not UTF-8 text (byte 0x{content[error.start]:02x})") from None
    sha256 = hashlib.sha256(content).hexdigest()
    chain = hashlib.sha256((before + sha256).encode()).hexdigest()
    absolute = path.resolve()
    if (absolute, chain) not in _run:
        _run[absolute, chain] = _executed(Plugin(str(path), absolute, text, sha256, chain))
    return _run[absolute, chain]._replace(name=str(path))


def _executed(plugin: Plugin) -> Plugin:
    """The plugin after running it, with the types that it registered."""
    before = guests()
    module = ModuleType(f"{PLUGIN}{plugin.chain[:12]}_{plugin.path.stem}")
    module.__file__ = str(plugin.path)
    sys.modules[module.__name__] = module  # where pydantic and dataclasses look for names in annotations
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(plugin.text, str(plugin.path), "exec", dont_inherit=True), vars(module))
    except BaseException as error:
        del sys.modules[module.__name__]
        use_guests(before)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError([plugin.blamed(error)]) from error
    entries = [entry for entry in guests() if entry.cls.__module__ == module.__name__]
    if not entries:
        raise _RefusedError(f"{plugin.name}: registers nothing; {_HOW}")
    for entry in entries:
        try:
            check_facts(entry)
        except RegistrationError as error:
            raise ConfigError([plugin.problem(str(error), plugin.line_of(entry))]) from error
    return plugin._replace(entries=tuple(entries))


_HOW = "register a class with a line above it, such as @LAYERS.register"
