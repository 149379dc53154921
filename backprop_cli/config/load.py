"""A configuration file and the command line's overrides -> a checked ``Config``, or every problem at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from backprop_cli.config.compose import MAX_DEPTH, compose
from backprop_cli.config.configuration import Config
from backprop_cli.config.conflicts import incoherences
from backprop_cli.config.flaws import UnreadableError
from backprop_cli.config.locate import Override, Source, in_file_order
from backprop_cli.config.network_problems import Models, check_network
from backprop_cli.config.overrides import apply_overrides
from backprop_cli.config.path import TreePath
from backprop_cli.config.plugins import Plugin, enter, given_files, read_plugins
from backprop_cli.config.schema_problems import explain, got
from backprop_cli.errors import ConfigError, Problem, did_you_mean
from backprop_cli.settings import NOT_UTF_8, Settings

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Loaded:
    """A checked configuration and what it was read from.

    ``text`` is exactly what the user wrote (empty for a configuration stored in a checkpoint, whose ``path`` is
    None); relative paths in it start at ``base``. ``plugins`` are the files that were run for it.
    """

    config: Config
    source: Source
    text: str
    base: Path
    path: Path | None
    overrides: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    models: Models = field(default_factory=dict, compare=False, repr=False)
    """Networks that were built of ``config.model``, which no copy of this changes."""

    def problem(self, path: TreePath, reason: str, key: bool = False) -> Problem:
        """A problem found later, at its place in the file or in the override that set the value."""
        return self.source.problem(path, reason, key)


def load_config(path: Path | str, overrides: Sequence[str] = (), plugins: Sequence[Plugin] | None = None) -> Loaded:
    """Read and check a configuration file; the overrides (``KEY=VALUE``) are applied before the check.

    The files that it names under ``plugins`` are run, unless other ``plugins`` are there in their place.

    Raises:
        ConfigError: the file cannot be read, or has any of the mistakes that can be seen without its data;
            all of them, in file order.

    """
    path = Path(path)
    text = _read_text(path)
    tree, source, problems = read_tree(text, str(path), overrides)
    tree.setdefault("name", NOT_UTF_8.sub("_", path.stem))
    if plugins is None:
        plugins = _own_plugins(tree, source, path.parent, problems, overrides)
    else:
        problems = [*problems, *_put_in_place(tree, plugins, source.overrides)]
    config = check_tree(Config, tree, source, problems, overrides)
    return _finish(Loaded(config, source, text, path.parent, path, tuple(overrides), tuple(plugins)))


def from_tree(
    tree: dict[str, Any], overrides: Sequence[str] = (), *, base: Path, label: str, plugins: Sequence[Plugin] = ()
) -> Loaded:
    """As ``load_config``, for a configuration stored elsewhere, such as in a checkpoint; ``label`` names its home.

    The files it names under ``plugins`` are not run: ``plugins`` are there in their place.
    """
    own = _copied(tree, label)
    owners, problems = apply_overrides(own, overrides)
    problems += _put_in_place(own, plugins, owners)
    source = Source(label, overrides=owners)
    config = check_tree(Config, own, source, problems, overrides)
    return _finish(Loaded(config, source, "", base, None, tuple(overrides), tuple(plugins)))


def _put_in_place(
    tree: dict[Any, Any], plugins: Sequence[Plugin], owners: Mapping[TreePath, Override]
) -> list[Problem]:
    """Let ``plugins`` be what the tree names; the problems are overrides that say something else."""
    enter(plugins)
    tree["plugins"] = [str(plugin.path) for plugin in plugins]
    reason = "what a checkpoint or a run needs is named with --plugins FILE"
    return [Problem("plugins", reason, override=owners[path].words) for path in owners if path[0] == "plugins"]


def _own_plugins(
    tree: dict[Any, Any], source: Source, base: Path, problems: Sequence[Problem], overrides: Sequence[str]
) -> tuple[Plugin, ...]:
    """What the configuration names, run.

    Raises: ConfigError, which says nothing of values that the schema would refuse: a type may be one of the plugin's.
    """
    names = given_files(tree)

    def refuse(number: int, reason: str) -> Problem:
        return source.problem(("plugins", number) if isinstance(tree["plugins"], list) else ("plugins",), reason)

    try:
        return read_plugins([base / name for name in names], refuse)
    except ConfigError as error:
        raise ConfigError([*in_file_order(problems, overrides), *error.problems]) from error


def read_tree(text: str, label: str, overrides: Sequence[str] = ()) -> tuple[dict[Any, Any], Source, list[Problem]]:
    """The tree of a YAML text with the overrides in it, its places, and what was wrong so far.

    Raises:
        ConfigError: nothing can be said beyond this: no YAML, no mapping, nothing at all.

    """
    try:
        composed = compose(text)
    except UnreadableError as error:
        raise ConfigError([Source(label, text).flaw(error.flaw)]) from None
    tree = {} if composed.tree is None and overrides else composed.tree
    if tree is None:
        raise ConfigError([Problem("", "is empty; it needs at least data, model and loss", file=label)])
    source = Source(label, text, composed.node)
    if not isinstance(tree, dict):
        reason = f"expected a mapping with the keys data, model and loss, got {got(tree)}"
        raise ConfigError([source.problem((), reason)])
    owners, problems = apply_overrides(tree, overrides)
    return tree, Source(label, text, composed.node, owners), [*map(source.flaw, composed.flaws), *problems]


def check_tree(
    top: type[S], tree: dict[Any, Any], source: Source, problems: Sequence[Problem] = (), overrides: Sequence[str] = ()
) -> S:
    """The settings that ``tree`` holds.

    Raises:
        ConfigError: ``problems`` and those the schema finds, in file order.

    """
    found = list(problems)
    try:
        settings = top.model_validate(tree)
    except ValidationError as error:
        found += [source.problem(f.path, f.reason, f.key) for f in explain(error, top, tree)]
    if found:
        raise ConfigError(in_file_order(found, overrides))
    return settings


def _finish(loaded: Loaded) -> Loaded:
    """Checks that need more than one key, but no data."""
    problems = [loaded.problem(*found) for found in incoherences(loaded.config)]
    if not problems:
        problems = check_network(loaded)
    if problems:
        raise ConfigError(in_file_order(problems, loaded.overrides))
    return loaded


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError([Problem("", "no such file" + _near_file(path), file=str(path))]) from None
    except IsADirectoryError:
        raise ConfigError([Problem("", "is a directory; name the YAML file in it", file=str(path))]) from None
    except OSError as error:
        raise ConfigError([Problem("", f"cannot be read: {error.strerror}", file=str(path))]) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        reason = f"not UTF-8 text (byte 0x{content[error.start]:02x}); a configuration is a YAML text"
        raise ConfigError([Problem("", reason, str(path), line, column)]) from None


def _near_file(path: Path) -> str:
    """The nearest configuration in the same folder; compared without the suffix, which they share."""
    folder = path.parent
    known = {p.stem: p for p in folder.iterdir() if p.suffix in (".yaml", ".yml")} if folder.is_dir() else {}
    near = did_you_mean(path.stem, known)
    return next((f"; did you mean '{p}'?" for stem, p in known.items() if f"'{stem}'" in near), "")


def _copied(tree: Any, label: str, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise ConfigError([Problem("", f"the configuration is nested deeper than {MAX_DEPTH} levels", file=label)])
    if isinstance(tree, dict):
        return {key: _copied(value, label, depth + 1) for key, value in tree.items()}
    return [_copied(item, label, depth + 1) for item in tree] if isinstance(tree, list | tuple) else tree
