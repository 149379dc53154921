"""The completion script of zsh."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from backprop_cli.cli.candidates import CommandPlaces, Place, Value

SCRIPT = r"""
#compdef @PROGRAMS@
_backprop_cli() {
    local curcontext=$curcontext state line
    typeset -A opt_args
    _arguments -C \
        @OWN@ \
        '*::argument:->arguments'
    [[ $state == arguments ]] || return
    case $line[1] in
@COMMANDS@
    esac
}
@VALUES@
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _backprop_cli "$@"
else
    compdef _backprop_cli @PROGRAMS@
fi
"""


def script(programs: Sequence[str], commands: Sequence[CommandPlaces]) -> str:
    """The script for these names of the program."""
    program, *others = commands
    functions = {value: f"_backprop_cli_{number}" for number, value in enumerate(_distinct(commands), start=1)}
    summaries = " ".join(quote(f"{each.name}:{each.summary}") for each in others)
    functions[program.arguments[0].value] = "_backprop_cli_commands"
    described = f"_backprop_cli_commands() {{\n    local -a found=({summaries})\n    _describe command found\n}}"
    bodies = [_function(name, value) for value, name in functions.items() if not name.endswith("commands")]
    filled = {
        "PROGRAMS": " ".join(programs),
        "OWN": _specs(program, functions),
        "COMMANDS": "\n".join(
            f"    {each.name})\n        _arguments \\\n        {_specs(each, functions)}\n        ;;" for each in others
        ),
        "VALUES": "\n".join([described, *bodies]),
    }
    text = SCRIPT.strip()
    for name, content in filled.items():
        text = text.replace(f"@{name}@", content)
    return text


def _distinct(commands: Sequence[CommandPlaces]) -> list[Value]:
    return list(dict.fromkeys(value for each in commands for _, value in each.slots() if value != Value()))


def _function(name: str, value: Value) -> str:
    """The function that adds what fits ``value``."""
    lines = ["local -i none=1"]
    if value.words:
        ending = "-S '' " if value.words[0].endswith("=") else ""
        lines.append(f"compadd {ending}-- {' '.join(map(quote, value.words))} && none=0")
    if value.is_path:
        named = "|".join(suffix.removeprefix(".") for suffix in value.suffixes)
        pattern = f" -g {quote(f'*.({named})(-.)')}" if named else ("" if value.suffixes else " -/")
        lines.append(f"_files{pattern} && none=0")
    return "\n    ".join([f"{name}() {{", *lines, "return none"]) + "\n}"


def _specs(command: CommandPlaces, functions: dict[Value, str]) -> str:
    """The arguments of ``_arguments`` for the options and arguments of a command."""
    specs = [_option(option, name, functions) for option in command.options for name in option.names]
    for number, argument in enumerate(command.arguments, start=1):
        place = "*" if argument.repeats else str(number)
        specs.append(f"{place}:{argument.metavar}: {functions.get(argument.value, '')}")
    return " \\\n        ".join(map(quote, specs))


def _option(option: Place, name: str, functions: dict[Value, str]) -> str:
    """``(--output -o)--output=[help]:FILE: function``."""
    allowed = "*" if option.repeats else f"({' '.join(option.names)})"
    text = option.help.replace("[", r"\[").replace("]", r"\]")
    if option.is_flag:
        return f"{allowed}{name}[{text}]"
    sign = "=" if name.startswith("--") else "+"
    return f"{allowed}{name}{sign}[{text}]:{option.metavar}: {functions.get(option.value, '')}"
