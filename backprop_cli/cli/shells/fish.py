"""The completion script of fish."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from backprop_cli.cli.candidates import CommandPlaces, Value

SCRIPT = r"""
# Succeeds at this place of the line: a command, and the number of its argument; 2+ is the second or a later one.
function __backprop_cli_at --argument-names wanted_command wanted_place
    set -l name
    set -l place 1
    set -l is_value no
    for word in (commandline -opc)[2..-1]
        if test $is_value = yes
            set is_value no
        else if string match -q -- '-*' $word
            contains -- "$name $word" @TAKING@
            and set is_value yes
        else if test -z "$name"
            set name $word
        else
            set place (math $place + 1)
        end
    end
    test "$name" = "$wanted_command"; or return
    switch "$wanted_place"
        case ''
            return 0
        case '*+'
            test $place -ge (string replace + '' -- $wanted_place)
        case '*'
            test $place -eq $wanted_place
    end
end
# Folders, and the files whose names match the pattern.
function __backprop_cli_files
    set -l token (commandline -ct | string replace -r -- '^--[^=]*=' '')
    complete -C "'' $token" | string match -r -- '.*(?:/|'$argv[1]')$'
end
complete -c @PROGRAM@ -f
@LINES@
"""


def script(programs: Sequence[str], commands: Sequence[CommandPlaces]) -> str:
    """The script for these names of the program."""
    program, *others = programs
    taking = [_quoted(f"{each.name} {slot}") for each in commands for slot, _ in each.slots() if slot.startswith("-")]
    lines = [line for each in commands for line in _lines(program, each, commands)]
    lines += [f"complete -c {other} --wraps {program}" for other in others]
    filled = {"TAKING": " ".join(taking), "PROGRAM": program, "LINES": "\n".join(lines)}
    text = SCRIPT.strip()
    for name, content in filled.items():
        text = text.replace(f"@{name}@", content)
    return text


def _lines(program: str, command: CommandPlaces, commands: Sequence[CommandPlaces]) -> Iterator[str]:
    """A ``complete`` for each option and argument of a command; the program's argument is described word by word."""
    for option in command.options:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        taken = "" if option.is_flag else f" -x{_offer(option.value)}"
        yield f"{_begin(program, command.name)} {names} -d {_quoted(option.help)}{taken}"
    for number, argument in enumerate(command.arguments, start=1):
        begin = _begin(program, command.name, f"{number}+" if argument.repeats else str(number))
        if command.name:
            yield f"{begin}{_offer(argument.value)}"
        else:
            yield from (f"{begin} -a {each.name} -d {_quoted(each.summary)}" for each in commands[1:])


def _begin(program: str, name: str, place: str = "") -> str:
    return f"complete -c {program} -n {_quoted(f'__backprop_cli_at {_quoted(name)} {place}'.rstrip())}"


def _offer(value: Value) -> str:
    offered = list(value.words)
    if value.is_path:
        pattern = "|".join(map(re.escape, value.suffixes or ["/"]))
        offered.append(f"(__backprop_cli_files {_quoted(pattern)})")
    return f" -a {_quoted(' '.join(offered))}" if offered else ""


def _quoted(text: str) -> str:
    """A word of fish, which escapes inside single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
