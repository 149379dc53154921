"""``json.md``: the object that each command prints with ``--json``, from the result of its Python function."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Union, get_args, get_origin

import backprop_cli
from backprop_cli.json_object import JsonObject
from backprop_cli.settings import attribute_docs
from generator import markdown
from generator.examples import Examples

_INTRODUCTION = """\
With `--json` a command prints exactly one JSON object to standard output, also on failure. A number that is not finite
is `null`. From Python, `to_json()` of a result gives the same object.

The format is stable: a key keeps its name, its type, its unit and its meaning. New keys may be added, so a script
should ignore keys that it does not know. The order of keys means nothing.

In the examples `...` stands for measured numbers and for further items of a list."""

_FAILURE = """\
A command that fails prints `error`. If it had begun a run, `run_dir` and `status` are there too; `bp eval --require`
prints its metrics as well. `code` is the [exit code](exit-codes.md) and `kind` the [kind of message](messages.md). A
problem has at least a `message`; one of a configuration also has `path`, and `file`, `line` and `column`, or the
`override` that set the value."""


class Shown(NamedTuple):
    """An example: the command, keys whose values differ from machine to machine, and the command that goes before."""

    command: str
    measured: tuple[str, ...] = ()
    before: str = ""


_ONE_PARAMETER = "'model.layers=[{type: dense, units: 3, bias: false}]'"
_EXAMPLES = {
    "train": Shown("bp train configs/iris.yaml training.epochs=1 --quiet --json"),
    "find_lr": Shown("bp train configs/iris.yaml --find-lr --json", ("reason", "stopped", "steps")),
    "evaluate": Shown("bp eval runs/iris/latest --require 'accuracy>=0' --confusion --json", ("counts",)),
    "validate": Shown("bp validate configs/iris.yaml --json"),
    "show": Shown("bp show runs/iris/latest --json"),
    "gradcheck": Shown(f"bp gradcheck configs/iris.yaml {_ONE_PARAMETER} --json", ("index",)),
    "jacobian": Shown("bp jacobian runs/iris/latest --json", ("largest",)),
    "explain": Shown("bp explain configs/iris.yaml --json"),
    "list_types": Shown("bp list schedules step --json"),
    "generate": Shown(
        "bp generate runs/names_gru/latest --prompt ma --tokens 6 --json",
        ("text",),
        "bp train configs/names_gru.yaml training.max_steps=2 --quiet",
    ),
    "cached": Shown("bp cache --json"),
    "init": Shown("bp init datasets/iris.csv --target species -o my.yaml --json"),
    "copy_examples": Shown("bp init --examples -o tour --json"),
    "list_templates": Shown("bp init --list --json"),
}
"""A command for each function of the Python API whose result it prints."""
_WRONG = Shown("bp validate configs/iris.yaml optimizer.lr=0.01 --json")
_CONSTANTS = ("tolerance", "configured", "from", "to", "default", "temperature")
"""Keys of numbers with a fraction that are settings, not measurements."""


def results_page(examples: Examples) -> str:
    """The page."""
    found = {name: results(name) for name in backprop_cli.__all__ if results(name)}
    headings = {name: _heading(name) for name in found}
    parts = [part for name in found for part in _section(name, headings[name], found[name], examples)]
    return markdown.page(
        "JSON",
        _INTRODUCTION,
        markdown.contents([*headings.values(), "Failures"]),
        *parts,
        "## Failures",
        _FAILURE,
        *_example(_WRONG, examples),
    )


def results(name: str) -> list[type[JsonObject]]:
    """The classes of results of a function of the Python API, without those that only others extend."""
    function = inspect.unwrap(getattr(backprop_cli, name))
    if not inspect.isfunction(function):
        return []
    annotation = eval(str(function.__annotations__.get("return")), function.__globals__)
    return [cls for alternative in _alternatives(annotation) for cls in _concrete(alternative)]


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _concrete(cls: Any) -> Iterator[type[JsonObject]]:
    if not (isinstance(cls, type) and issubclass(cls, JsonObject)):
        return
    below = cls.__subclasses__()
    if below:
        for each in below:
            yield from _concrete(each)
    else:
        yield cls


def _heading(name: str) -> str:
    """The command with an option that changes its result: ``bp train --find-lr``."""
    if name not in _EXAMPLES:
        return f"bp {name}"
    words = [word for word in _EXAMPLES[name].command.split() if word in ("--find-lr", "--list")]
    return " ".join([*_EXAMPLES[name].command.split()[:2], *words])


def _section(name: str, heading: str, classes: Sequence[type[JsonObject]], examples: Examples) -> Iterator[str]:
    yield f"## {heading}"
    yield f"From Python: `backprop_cli.{name}`."
    if name in _EXAMPLES:
        yield from _example(_EXAMPLES[name], examples)
    for cls in objects(classes):
        yield f"### {heading}: {cls.__name__}"
        yield markdown.docstring(cls.__doc__)
        yield key_table(cls, heading)


def objects(classes: Sequence[type[JsonObject]]) -> list[type[JsonObject]]:
    """The classes and those of the objects inside them, each once."""
    found: dict[type[JsonObject], None] = {}
    for cls in classes:
        if cls not in found:
            found[cls] = None
            inner = [each for annotation, _ in keys(cls).values() for each in _inside(annotation)]
            found |= dict.fromkeys(each for each in objects(inner) if each not in found)
    return list(found)


def keys(cls: type[JsonObject]) -> dict[str, tuple[Any, str]]:
    """Annotation and description of every key of an object."""
    names = cls.json_keys or [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return {name.removesuffix("_"): _attribute(cls, name) for name in names}


def _attribute(cls: type, name: str) -> tuple[Any, str]:
    """Annotation and description of a field, a class variable or a property."""
    for above in cls.__mro__:
        member = vars(above).get(name)
        if isinstance(member, property) and member.fget is not None:
            annotation = member.fget.__annotations__["return"]
            return _evaluated(annotation, above), inspect.cleandoc(member.fget.__doc__ or "")
        own = inspect.get_annotations(above)
        if isinstance(member, str) and "ClassVar" in own[name]:
            return Literal.__getitem__(member), _description(cls, name)
        if name in own:
            return _evaluated(own[name], above), _description(cls, name)
    raise LookupError(f"{cls.__name__}.{name}")


def _description(cls: type, name: str) -> str:
    return next((words[name] for words in map(attribute_docs, cls.__mro__[:-1]) if name in words), "")


def _evaluated(annotation: Any, cls: type) -> Any:
    return eval(annotation, vars(sys.modules[cls.__module__])) if isinstance(annotation, str) else annotation


def _inside(annotation: Any) -> Iterator[type[JsonObject]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, JsonObject):
        yield annotation
    for argument in get_args(annotation):
        if argument is not Ellipsis and get_origin(annotation) is not Literal:
            yield from _inside(argument)


def key_table(cls: type[JsonObject], heading: str) -> str:
    """The keys of an object; optional ones say so."""
    rows = []
    for name, (annotation, words) in keys(cls).items():
        optional = " (optional)" if name in cls.json_optional else ""
        rows.append([f"`{name}`", sort_of_value(annotation, heading) + optional, markdown.escaped(words)])
    return markdown.table(["key", "value", "meaning"], rows)


_WORDS = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "text", NoneType: "null"}


def sort_of_value(annotation: Any, heading: str = "") -> str:
    """The sort of a JSON value in words, with links to objects below ``heading``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and origin is None and issubclass(annotation, JsonObject):
        return f"[{annotation.__name__}](#{markdown.anchor(f'{heading}: {annotation.__name__}')})"
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    if origin is Annotated:
        return sort_of_value(arguments[0], heading)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(sort_of_value(each, heading) for each in arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"object of {_grouped(sort_of_value(arguments[1], heading))}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"list of {_grouped(sort_of_value(arguments[0], heading))}"
    if origin is ClassVar:
        return sort_of_value(arguments[0], heading)
    if hasattr(annotation, "__supertype__"):
        return sort_of_value(annotation.__supertype__, heading)
    return "object" if hasattr(annotation, "model_fields") else _WORDS.get(annotation, "any value")


def _grouped(words: str) -> str:
    return f"({words})" if " or " in words.replace("true or false", "") else words


def _example(shown: Shown, examples: Examples) -> Iterator[str]:
    yield examples.object(shown.command, lambda printed: pretty(json.loads(printed), shown.measured), shown.before)


def pretty(value: Any, measured: Sequence[str] = (), indent: str = "") -> str:
    """JSON on few lines: measured numbers and long lists are ``...``."""
    compact = _compact(value, measured)
    if len(indent) + len(compact) <= 108 or not isinstance(value, dict | list):
        return compact
    inner = f"{indent}  "
    if isinstance(value, list):
        items = [pretty(item, measured, inner) for item in value[:2]] + ["..."] * (len(value) > 2)
        return "[\n" + ",\n".join(inner + item for item in items) + f"\n{indent}]"
    members = [
        f'"{key}": {"..." if key in measured else _number(key, item) or pretty(item, measured, inner)}'
        for key, item in value.items()
    ]
    return "{\n" + ",\n".join(inner + member for member in members) + f"\n{indent}}}"


def _compact(value: Any, measured: Sequence[str]) -> str:
    if isinstance(value, dict):
        members = (
            f'"{key}": {"..." if key in measured else _number(key, item) or _compact(item, measured)}'
            for key, item in value.items()
        )
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join([_compact(item, measured) for item in value[:8]] + ['...'] * (len(value) > 8))}]"
    return "..." if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _number(key: str, value: Any) -> str:
    """A number with a fraction that is a setting, else the empty string."""
    return json.dumps(value) if key in _CONSTANTS and isinstance(value, float) else ""
