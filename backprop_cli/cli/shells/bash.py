"""The completion script of bash. Its versions before 4 have no ``compopt``, and add a space after ``KEY=``."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from backprop_cli.cli.candidates import CommandPlaces, Value

SCRIPT = r"""
_backprop_cli() {
    local IFS=$' \t\n' line=() word command= slot= options= words= suffixes= path found
    local -i place=1 is_path=0 i
    COMPREPLY=()
    # bash splits words at '='; these are whole again.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((${#line[@]})) && [[ $word == =* || ${line[${#line[@]} - 1]} == *= ]]; then
            line[${#line[@]} - 1]+=$word
        else
            line+=("$word")
        fi
    done
    local -i last=$((${#line[@]} - 1))
    local current=${line[last]}
    for ((i = 0; i < last; i++)); do
        word=${line[i]}
        if [[ $slot ]]; then
            slot=
        elif [[ $word == -* && $word != - ]]; then
            case "$command $word" in
            @TAKING@) slot=$word ;;
            esac
        elif [[ -z $command ]]; then
            command=$word
        else
            place+=1
        fi
    done
    if [[ -z $slot && $current == --*=* ]]; then
        slot=${current%%=*}
        current=${current#*=}
    elif [[ -z $slot && $current == -* ]]; then
        case $command in
@OPTIONS@
        esac
        COMPREPLY=($(compgen -W "$options" -- "$current"))
        return
    elif [[ -z $slot && $current == *=* ]]; then
        return
    fi
    case "$command ${slot:-$place}" in
@VALUES@
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if ((${#COMPREPLY[@]})) && [[ ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
    ((is_path)) || return
    ((${#COMPREPLY[@]})) || compopt -o filenames 2>/dev/null
    while IFS= read -r path; do
        [[ ${path##*/} != .* || ${current##*/} == .* ]] || continue
        found=$path
        [[ $path == '~/'* ]] && found=$HOME/${path#'~/'}
        if [[ -d $found ]]; then
            COMPREPLY+=("$path")
            continue
        fi
        for word in $suffixes; do # / stands for all files
            [[ $word == / || $path == *"$word" ]] && COMPREPLY+=("$path") && break
        done
    done < <(compgen -f -- "$current")
}
complete -F _backprop_cli @PROGRAMS@
"""


def script(programs: Sequence[str], commands: Sequence[CommandPlaces]) -> str:
    """The script for these names of the program."""
    taking = [quote(f"{each.name} {slot}") for each in commands for slot, _ in each.slots() if slot.startswith("-")]
    offered = {each.name: [name for option in each.options for name in option.names] for each in commands}
    filled = {
        "TAKING": " | ".join(taking),
        "OPTIONS": "\n".join(
            f"{' ' * 8}{quote(name)}) options={quote(' '.join(offered[name]))} ;;" for name in offered
        ),
        "VALUES": "\n".join(_values(commands)),
        "PROGRAMS": " ".join(programs),
    }
    text = SCRIPT.lstrip()
    for name, content in filled.items():
        text = text.replace(f"@{name}@", content)
    return text.rstrip()


def _values(commands: Sequence[CommandPlaces]) -> list[str]:
    """A ``case`` for each value, of the places that take it. Patterns for all further arguments come last."""
    places: dict[tuple[bool, Value], list[str]] = {}
    for command in commands:
        for slot, value in command.slots():
            further = slot == "*"
            pattern = quote(f"{command.name} ") + "[0-9]*" if further else quote(f"{command.name} {slot}")
            if value != Value():
                places.setdefault((further, value), []).append(pattern)
    return [
        f"{' ' * 4}{' | '.join(patterns)}) {_assigned(value)} ;;"
        for (_, value), patterns in sorted(places.items(), key=lambda each: each[0][0])
    ]


def _assigned(value: Value) -> str:
    words = [f"words={quote(' '.join(value.words))}"] if value.words else []
    suffixes = " ".join(suffix or "/" for suffix in value.suffixes)
    return " ".join([*words, *([f"suffixes={quote(suffixes)} is_path=1"] if value.is_path else [])])
