"""What can be typed at each place of a command line, read from the parsers of all commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

FILES = {
    "CHECKPOINT": (".safetensors",),
    "CONFIG": (".yaml", ".yml"),
    "DATA": ("",),
    "DIR": (),
    "FILE": ("",),
    "INPUT": ("",),
    "RUN": (),
}
"""Words of metavars that stand for paths, with the suffixes of the files; folders lead to them in any case."""


class Value(NamedTuple):
    """One argument or one option's value: any of the ``words``, or a path.

    ``suffixes``: those of the files that fit; ``""`` is every file, and without any only folders fit.
    """

    words: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    is_path: bool = False


class Place(NamedTuple):
    """An option, or a positional argument, which has no ``names``. An argument that ``repeats`` is the last."""

    names: tuple[str, ...]
    help: str
    metavar: str
    value: Value
    is_flag: bool
    repeats: bool


class CommandPlaces(NamedTuple):
    """A command with the places of its line; the program itself has no name."""

    name: str
    summary: str
    options: tuple[Place, ...]
    arguments: tuple[Place, ...]

    def slots(self) -> Iterator[tuple[str, Value]]:
        """Each option that takes a value, and each argument by number; ``*`` stands for all numbers after those."""
        for option in self.options:
            if not option.is_flag:
                yield from ((name, option.value) for name in option.names)
        for number, argument in enumerate(self.arguments, start=1):
            yield "*" if argument.repeats else str(number), argument.value


def every_command(root: Any) -> list[CommandPlaces]:
    """The places of the program, whose context is ``root``, then those of its commands as its help lists them."""
    group = root.command
    found = {name: group.get_command(root, name) for name in group.list_commands(root)}
    command = Place((), "", "COMMAND", Value(tuple(found)), is_flag=False, repeats=False)
    program = _places("", "", group, root)._replace(arguments=(command,))
    return [program, *(_places(name, str(each.help), each, root) for name, each in found.items())]


def _places(name: str, summary: str, command: Any, root: Any) -> CommandPlaces:
    context = command.make_context(name, [], parent=root, resilient_parsing=True)
    places = [_place(each, context) for each in command.get_params(context)]
    options = tuple(place for place in places if place.names)
    return CommandPlaces(name, summary, options, tuple(place for place in places if not place.names))


def _place(parameter: Any, context: Any) -> Place:
    metavar = str(parameter.metavar or "")
    words = [item.value for item in parameter.shell_complete(context, "") if item.type == "plain"]
    is_option = parameter.param_type_name == "option"
    return Place(
        names=tuple(sorted(parameter.opts)) if is_option else (),
        help=parameter.help or "",
        metavar=metavar,
        value=value_of(metavar, words),
        is_flag=is_option and parameter.is_flag,
        repeats=parameter.multiple if is_option else parameter.nargs == -1,
    )


def value_of(metavar: str, words: list[str]) -> Value:
    """What a metavar such as ``CONFIG|RUN``, ``FILE.png`` or ``N|all`` says, with the ``words`` declared for it."""
    suffixes: list[str] = []
    is_path = False
    for part in metavar.split("|"):
        stem, dot, suffix = part.partition(".")
        if stem in FILES or (stem.isupper() and dot):
            is_path = True
            suffixes += [dot + suffix] if dot else FILES[stem]
        elif re.fullmatch("[a-z0-9]+", part):
            words = [*words, part]
    every = "" in suffixes
    return Value(tuple(dict.fromkeys(words)), ("",) if every else tuple(dict.fromkeys(suffixes)), is_path)


def override_keys() -> list[str]:
    """``KEY=`` for every key of a configuration and of its sections; a type's own keys depend on the type."""
    from backprop_cli.config.configuration import Config

    return list(_keys_inside(Config, ""))


def _keys_inside(section: Any, prefix: str) -> Iterator[str]:
    for key, field in section.model_fields.items():
        is_union = get_origin(field.annotation) in (Union, UnionType)
        kinds = get_args(field.annotation) if is_union else (field.annotation,)
        sections = [kind for kind in kinds if hasattr(kind, "model_fields")]
        has_type = any("type" in each.model_fields for each in sections)  # {type: adam} can be written as adam
        if has_type or not set(kinds) <= {*sections, NoneType}:
            yield f"{prefix}{key}="
        for each in sections:
            yield from (found for found in _keys_inside(each, f"{prefix}{key}.") if found != f"{prefix}{key}.type=")
