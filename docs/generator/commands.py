"""``commands.md`` and ``exit-codes.md``: what ``bp COMMAND --help`` prints, and the exit codes of all commands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from backprop_cli.cli import app
from backprop_cli.cli.command import COMMANDS, EXIT_CODES
from generator import markdown

_COMMANDS_INTRODUCTION = """\
`bp COMMAND --help` prints the same. Results go to standard output; progress, warnings and messages go to standard
error. With `--json` a command prints one JSON object, also on failure: see [JSON](json.md)."""

_CODES_INTRODUCTION = """\
Every command ends with one of these codes. On failure a message on standard error says what is wrong and what to do;
[messages](messages.md) explains each kind. Early stopping and limits such as `training.max_seconds` end with 0, and so
does a broken pipe (`bp list layers | head`)."""


@cache
def parsers() -> dict[str, Any]:
    """The parser of each command, as the help of ``bp`` lists them."""
    group: Any = app.build()
    context = group.make_context("bp", [], resilient_parsing=True)
    return {name: group.get_command(context, name) for name in group.list_commands(context)}


def commands_page() -> str:
    """The page of all commands."""
    overview = markdown.table(
        ["command", ""],
        [[f"[`bp {name}`](#bp-{name})", markdown.escaped(COMMANDS[name].summary)] for name in parsers()],
    )
    parts = [part for name in parsers() for part in _command(name)]
    return markdown.page("Commands", _COMMANDS_INTRODUCTION, overview, *parts)


def exit_codes_page() -> str:
    """The page of all exit codes."""
    rows = [[str(code), meaning, _commands_with(code)] for code, meaning in EXIT_CODES.items()]
    return markdown.page("Exit codes", _CODES_INTRODUCTION, markdown.table(["code", "meaning", "commands"], rows))


def _commands_with(code: int) -> str:
    names = [name for name in parsers() if code in COMMANDS[name].all_codes]
    return "all" if names == list(parsers()) else ", ".join(f"[{name}](commands.md#bp-{name})" for name in names)


def _command(name: str) -> Iterator[str]:
    command, declared = parsers()[name], COMMANDS[name]
    yield f"## bp {name}"
    yield "\n\n".join(" ".join(part.split()) for part in str(command.help).split("\n\n"))
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    yield markdown.block("text", " ".join([f"bp {name}", *map(_usage, arguments), "[OPTIONS]"]))
    rows = [[f"`{each.metavar}`", markdown.escaped(_help(each))] for each in arguments]
    rows += [[f"`{_spelling(each)}`", markdown.escaped(_help(each))] for each in options]
    if rows:
        yield markdown.table(["argument or option", ""], rows)
    yield markdown.block("sh", "\n".join(declared.examples))
    if declared.notes:
        yield markdown.block("text", declared.notes)
    yield f"[Exit codes](exit-codes.md): {', '.join(map(str, declared.all_codes))}."


def _usage(argument: Any) -> str:
    """``CONFIG``, ``[INPUT]``, ``[KEY=VALUE ...]``."""
    name = f"{argument.metavar} ..." if argument.nargs == -1 else str(argument.metavar)
    return name if argument.required else f"[{name}]"


def _spelling(option: Any) -> str:
    """``--output, -o FILE``."""
    names = ", ".join([*option.opts, *option.secondary_opts])
    return f"{names} {option.metavar}" if option.metavar and not option.is_flag else names


def _help(parameter: Any) -> str:
    text = str(getattr(parameter, "help", "") or "")
    default = parameter.default
    is_shown = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    if is_shown and "default" not in text:
        text += f" Default: {default}."
    return text
