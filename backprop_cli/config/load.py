"""A configuration file and the command line's overrides -> a checked ``Config``, or every problem at once."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from functools import reduce
from itertools import takewhile
from operator import getitem
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from backprop_cli.config.compose import MAX_DEPTH, UnreadableError, compose
from backprop_cli.config.configuration import Config
from backprop_cli.config.conflicts import conflicts
from backprop_cli.config.fields import known_keys
from backprop_cli.config.locate import Override, Source, in_file_order
from backprop_cli.config.network_problems import Models, check_network
from backprop_cli.config.overrides import apply_overrides
from backprop_cli.config.plugins import Plugin, enter, given_files, read_plugins
from backprop_cli.data.format import is_table
from backprop_cli.errors import ConfigError, Problem, SettingError, TreePath, nearest, path_text
from backprop_cli.nn.loss import ClassWeightError
from backprop_cli.settings import NOT_UTF_8, Settings
from backprop_cli.structs import Struct

S = TypeVar("S", bound=Settings)


class Loaded(Struct, eq=False):
    """A checked configuration and its source.

    ``text``: exactly as the user wrote it. Relative paths in it start at ``base``. A configuration from a checkpoint
    has no ``text`` and no ``path``. ``plugins``: the files that were run for it.
    """

    config: Config
    source: Source
    text: str
    base: Path
    path: Path | None
    overrides: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    models: Models = field(default_factory=dict, repr=False)
    """Networks built from ``config.model`` so far; copies share them."""

    def placed(self, problem: Problem) -> Problem:
        """The problem with its place in the file, or the override that set the value."""
        return self.source.placed(problem)

    def problem(self, path: TreePath, reason: str, way_out: str = "") -> Problem:
        """An error at ``path``, with its place."""
        return self.placed(Problem(path, reason, way_out))


def load_config(path: Path | str, overrides: Sequence[str] = (), plugins: Sequence[Plugin] | None = None) -> Loaded:
    """Read and check a configuration file; the overrides (``KEY=VALUE``) are applied before the check.

    The files that it names under ``plugins`` are run, unless ``plugins`` replace them.

    Raises:
        ConfigError: the file cannot be read, or it has problems that show without its data; all of them, in file order.

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
    tree: dict[str, Any],
    overrides: Sequence[str] = (),
    *,
    base: Path,
    label: str,
    plugins: Sequence[Plugin] = (),
    original: Loaded | None = None,
    refused: Callable[[Loaded], Sequence[Problem]] = lambda loaded: (),
) -> Loaded:
    """As ``load_config``, for a configuration stored elsewhere, such as in a checkpoint; ``label`` names that place.

    The files that it names under ``plugins`` are not run: ``plugins`` replace them. ``original``: the same tree
    without overrides, whose networks are used again if ``model`` is equal; all problems are due to the overrides.
    ``refused``: problems of overrides that are correct, but not for this use. They come before conflicts with other
    keys, which may follow from them.
    """
    own = _copied(tree, label)
    owners, problems = apply_overrides(own, overrides)
    problems += _put_in_place(own, plugins, owners)
    source = Source(label, overrides=owners)
    if original is None:
        config = check_tree(Config, own, source, problems, overrides)
        return _finish(Loaded(config, source, "", base, None, tuple(overrides), tuple(plugins)))
    _drop_keys_of_old_types(own, owners)
    try:
        config = check_tree(Config, own, source, problems, overrides)
        models = original.models if original.config.model == config.model else {}
        return _finish(Loaded(config, source, "", base, None, tuple(overrides), tuple(plugins), models), refused)
    except ConfigError as error:
        raise ConfigError([_due_to(owners, problem) for problem in error.problems]) from error


def _drop_keys_of_old_types(tree: dict[Any, Any], owners: Mapping[TreePath, Override]) -> None:
    """Where an override sets a ``type``, remove the keys of the old type: a stored configuration has them all.

    Those of a layer stay, and are refused: its parameters are stored too.
    """
    for *above, key in [path for path in owners if path and path[0] != "model"]:
        holder = reduce(getitem, above, tree)
        known = known_keys(Config, tree, tuple(above)) if key == "type" else ()
        for name in [name for name in holder if name not in known and (*above, name) not in owners] if known else ():
            del holder[name]


def _due_to(owners: Mapping[TreePath, Override], problem: Problem) -> Problem:
    """A problem of a value that no override set, as one of the nearest override, or of all if none is near."""
    if problem.override is not None or not owners:
        return problem

    def shared(path: TreePath) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(path, problem.path, strict=False)))

    nearest_path = max(owners, key=shared)
    words = [owners[nearest_path].words] if shared(nearest_path) else [owner.words for owner in owners.values()]
    inside = f"{path_text(problem.path)}: " if problem.path else ""
    return problem._replace(reason=f"{inside}{problem.reason}", file=None, override=" ".join(dict.fromkeys(words)))


def _put_in_place(
    tree: dict[Any, Any], plugins: Sequence[Plugin], owners: Mapping[TreePath, Override]
) -> list[Problem]:
    """Register ``plugins`` and name them in the tree. The problems: overrides that name other plugins."""
    enter(plugins)
    tree["plugins"] = [str(plugin.path) for plugin in plugins]
    reason = "plugins of a checkpoint or run are named with --plugins FILE"
    return [Problem(("plugins",), reason, override=owners[path].words) for path in owners if path[0] == "plugins"]


def _own_plugins(
    tree: dict[Any, Any], source: Source, base: Path, problems: Sequence[Problem], overrides: Sequence[str]
) -> tuple[Plugin, ...]:
    """The plugins that the configuration names, after running them.

    Raises: ConfigError, without problems of the schema: an unknown type may be one of the plugin's.
    """
    names = given_files(tree)

    def refuse(number: int, reason: str) -> Problem:
        path: TreePath = ("plugins", number) if isinstance(tree["plugins"], list) else ("plugins",)
        return source.placed(Problem(path, reason))

    try:
        return read_plugins([base / name for name in names], refuse)
    except ConfigError as error:
        raise ConfigError([*in_file_order(problems, overrides), *error.problems]) from error


def read_tree(text: str, label: str, overrides: Sequence[str] = ()) -> tuple[dict[Any, Any], Source, list[Problem]]:
    """The tree of a YAML text with the overrides applied, its source, and the problems so far.

    Raises:
        ConfigError: the text is empty, or not YAML, or not a mapping, so nothing else can be checked.

    """
    try:
        composed = compose(text)
    except UnreadableError as error:
        raise ConfigError([Source(label, text).placed(error.problem)]) from None
    tree = {} if composed.tree is None and overrides else composed.tree
    if tree is None:
        raise ConfigError([Problem((), "is empty", "it needs at least data, model and loss", file=label)])
    source = Source(label, text, composed.node)
    if not isinstance(tree, dict):
        from backprop_cli.config.schema_problems import got

        reason = f"expected a mapping with the keys data, model and loss, got {got(tree)}"
        raise ConfigError([source.placed(Problem((), reason))])
    owners, problems = apply_overrides(tree, overrides)
    return tree, Source(label, text, composed.node, owners), [*map(source.placed, composed.problems), *problems]


def check_tree(
    top: type[S], tree: dict[Any, Any], source: Source, problems: Sequence[Problem] = (), overrides: Sequence[str] = ()
) -> S:
    """The settings in ``tree``.

    Raises:
        ConfigError: ``problems`` and those that the schema finds, in file order.

    """
    found = list(problems)
    try:
        settings = top.model_validate(tree)
    except ValidationError as error:
        # Imported here: a correct configuration does not need these four modules.
        from backprop_cli.config.schema_problems import schema_problems

        found += map(source.placed, schema_problems(error, top, tree))
    if found:
        raise ConfigError(in_file_order(found, overrides))
    return settings


def _finish(loaded: Loaded, refused: Callable[[Loaded], Sequence[Problem]] = lambda loaded: ()) -> Loaded:
    """Check keys against each other and the network, without data."""
    problems = refused(loaded) or list(map(loaded.placed, conflicts(loaded.config))) or check_network(loaded)
    if problems:
        raise ConfigError(in_file_order(problems, loaded.overrides))
    return loaded


def check_metrics(loaded: Loaded, outputs: int) -> list[Problem]:
    """Problems with metrics that are undefined for this data. ``outputs``: number of classes or target columns."""
    config = loaded.config
    found = [metric.problem(config.loss.task, outputs) for metric in config.metrics]
    return [loaded.placed(each._replace(path=("metrics", index))) for index, each in enumerate(found) if each]


@contextmanager
def located(loaded: Loaded) -> Iterator[None]:
    """Add places to problems that data and loss find in the configuration.

    Raises: ConfigError instead of SettingError and ClassWeightError.
    """
    try:
        yield
    except SettingError as error:
        problems = list(error.problems)
    except ClassWeightError as error:
        problems = [
            Problem(("loss", "class_weight", name if isinstance(name, str | int) else str(name)), reason, at_key=True)
            for name, reason in error.reasons.items()
        ]
    else:
        return
    raise ConfigError(in_file_order(map(loaded.placed, problems), loaded.overrides))


def _read_text(path: Path) -> str:
    def refuse(reason: str, way_out: str = "", line: int | None = None, column: int | None = None) -> ConfigError:
        return ConfigError([Problem((), reason, way_out, file=str(path), line=line, column=column)])

    if path.suffix not in ("", ".yaml", ".yml") and is_table(path):
        raise refuse("is a table, not a configuration", f"bp init {shlex.quote(str(path))} writes one")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        near = _near_file(path)
        raise refuse("no such file", f"did you mean '{near}'?" if near else _ready(path)) from None
    except IsADirectoryError:
        raise refuse("is a directory", "name the YAML file in it") from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        reason = f"not UTF-8 text (byte 0x{content[error.start]:02x})"
        raise refuse(reason, "a configuration is a YAML text", line, column) from None


def _near_file(path: Path) -> Path | None:
    """The configuration in the same folder with the nearest name; suffixes are not compared."""
    folder = path.parent
    known = {p.stem: p for p in folder.iterdir() if p.suffix in (".yaml", ".yml")} if folder.is_dir() else {}
    near = nearest(path.stem, known)
    return None if near is None else known[near]


def _ready(path: Path) -> str:
    from backprop_cli.config.ready import ready_hint

    return ready_hint(path)


def _copied(tree: Any, label: str, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise ConfigError([Problem((), f"the configuration is nested deeper than {MAX_DEPTH} levels", file=label)])
    if isinstance(tree, dict):
        return {key: _copied(value, label, depth + 1) for key, value in tree.items()}
    return [_copied(item, label, depth + 1) for item in tree] if isinstance(tree, list | tuple) else tree
