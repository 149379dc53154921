"""``bp``: finds the commands, runs one, and turns its failure into a message and an exit code."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby
from pathlib import PurePath
from types import MappingProxyType
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from backprop_cli import __version__, memory
from backprop_cli.cli.command import COMMANDS, EXIT_CODES, Command, help_ending
from backprop_cli.cli.terminal import emit, emit_json, say, silence
from backprop_cli.errors import BpError, did_you_mean, nearest, warnings_to
from backprop_cli.registry import discover, plugin_line
from backprop_cli.visible import one_line

ParserError: Any = typer.BadParameter.__base__
"""The parser's exception for a wrong command line. Typer exports only this subclass of it."""
FOLDER = "backprop_cli.cli.commands"
EXAMPLES = ("bp init digits && bp train digits.yaml", "bp help train")
NO_DETAILS: Mapping[str, Any] = MappingProxyType({})


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, with another exit code."""


class _PrintsHelp:
    """A command that prints its help as a result, so that a full disk or a closed pipe is reported like any other."""

    def get_help_option(self: Any, ctx: Any) -> Any:
        """The option ``--help``."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        option.callback = _help
        return option


def _help(context: typer.Context, _: object, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        emit(context.get_help())
        raise typer.Exit


class Subcommand(_PrintsHelp, TyperCommand):
    """A command whose help names arguments as the usage line does, without the type that the parser would add."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            names, text = parameter.get_help_record(ctx) or ("", "")
            kind = parameter.param_type_name
            rows[kind].append((str(parameter.metavar) if kind == "argument" else names, text))
        for kind in (kind for kind in rows if rows[kind]):
            with formatter.section(f"{kind.capitalize()}s"):
                formatter.write_dl(rows[kind])


class Commands(_PrintsHelp, TyperGroup):
    """The subcommands. Each is imported when it is needed: importing all of them takes 15 ms longer than one."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The parser of a command; None if there is no such command."""
        module = f"{FOLDER}.{cmd_name}_command"
        if cmd_name not in COMMANDS and cmd_name.isidentifier() and find_spec(module) is not None:
            import_module(module)
        if cmd_name not in COMMANDS:
            return None
        return _parser(COMMANDS[cmd_name], ctx.find_root().info_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the help."""
        discover(FOLDER)
        return [each.name for each in sorted(COMMANDS.values(), key=lambda each: each.place)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command named by the first argument; for an unknown word, suggest the nearest."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            known = sorted(self.list_commands(ctx))
            beginning = next((name for name in known if word.startswith(name)), None)  # evaluate, prediction
            near = f"; did you mean '{beginning}'?" if beginning else did_you_mean(word, known)
            ctx.fail(f"unknown command '{word}'" + (near or f"; known: {', '.join(known)}"))
        return super().resolve_command(ctx, args)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what ``bp`` is, then its commands by group: newcomers need them before the options."""
        super().format_help_text(ctx, formatter)
        names = self.list_commands(ctx)
        width = max(map(len, names))
        for group, members in groupby(names, key=lambda name: COMMANDS[name].group):
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), COMMANDS[name].summary) for name in members])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write nothing below the options."""


@cache
def _parser(command: Command, program: str) -> Any:
    """The parser of one command. Building it takes milliseconds, and the parser of ``bp`` asks for it twice."""
    epilog = _called_as(program, help_ending(command.examples, command.all_codes, command.notes))
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(command.name, cls=Subcommand, epilog=epilog)(command.function)
    return typer.main.get_command(single)


def _called_as(program: str, text: str) -> str:
    """``text`` with this name of the program in its command lines."""
    return re.sub(r"\bbp(?= )", program, text)


@cache
def build(program: str = "bp") -> Any:
    """The parser of ``bp`` under this name; imports no NumPy, rich or pydantic."""
    app = typer.Typer(
        cls=Commands,
        name="bp",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=_called_as(program, help_ending(EXAMPLES, EXIT_CODES)),
        no_args_is_help=False,
    )
    app.callback(invoke_without_command=True)(_bp)
    return typer.main.get_command(app)


def main() -> NoReturn:
    """The entry point ``bp``."""
    for stream in (sys.stdout, sys.stderr):
        # A file name or class name that the terminal cannot show must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:], _PROGRAMS.get(PurePath(sys.argv[0]).stem, "bp")))


_PROGRAMS = {"__main__": "python -m backprop_cli", "backprop-cli": "backprop-cli"}
"""How the process was called, by the stem of its file, if not as ``bp``."""


def run(arguments: Sequence[str], program: str = "bp") -> int:
    """Run one command line and return its exit code. Never raises. ``program``: its name in usage lines."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    report, signals = _Report(program, as_json="--json" in own), list[int]()
    try:
        with _interrupted_by(signals), warnings_to(_say_warning, _say_other_warning):
            return _invoke(arguments, program)
    except typer.Exit as end:
        return int(end.exit_code)
    except BrokenPipeError:
        # The reader of standard output has left.
        silence(sys.stdout)
        return 0
    except ParserError as error:
        return report.usage(error)
    except BpError as error:
        return report.failure(error.exit_code, error.kind, error.describe(), error.with_run(), error.details)
    except MemoryError as error:
        text = f"out of memory: {memory.reason(error)}; make training.batch_size, the examples or the layers smaller"
        return report.failure(2, "memory", [{"message": text}], text)
    except Terminated:
        return report.interrupted(signal.SIGTERM)
    except (KeyboardInterrupt, typer.Abort):
        return report.interrupted(signal.SIGINT)
    except BaseException as error:  # a plugin may call sys.exit
        if signals:
            # Extension modules can replace an exception that a signal handler raises: pydantic does so while it builds
            # a serializer.
            return report.interrupted(signals[0])
        place = plugin_line(error)
        if place is not None:
            reason = f"{place}: {type(error).__name__}: {error}"
            return report.failure(2, "plugin", [{"message": reason}], f"{traceback.format_exc()}\n{reason}")
        text = f"{traceback.format_exc()}\nthis is a bug in bp {__version__}; please report it with the lines above"
        return report.failure(1, "internal", [{"message": f"{type(error).__name__}: {error}"}], text)


class _Report:
    """Says how a command failed: a message on standard error and, with ``--json``, an object on standard output."""

    def __init__(self, program: str, as_json: bool):
        self.program, self.as_json = program, as_json

    def failure(
        self, code: int, kind: str, problems: list[dict[str, Any]], text: str, details: Mapping[str, Any] = NO_DETAILS
    ) -> int:
        """Print the message and return ``code``. ``details``: further keys of the object."""
        say(text)
        if self.as_json:
            with contextlib.suppress(BpError):  # standard output is broken; the exit code still says it
                emit_json({"error": {"code": code, "kind": kind, "problems": problems}, **details})
        return code

    def interrupted(self, number: int) -> int:
        """Report that a signal ended a command that had nothing to save."""
        word = "terminated" if number == signal.SIGTERM else "interrupted"
        return self.failure(128 + number, "interrupted", [{"message": word}], word)

    def usage(self, error: Any) -> int:
        """Report a command line that the parser refused."""
        error.message = _in_words(error)
        message = error.format_message().replace(". Choose from:\n\t", "; choose from ").replace(",\n\t", ", ")
        message = one_line(message[:1].lower() + message[1:].rstrip("."))
        command = error.ctx.command_path if error.ctx is not None else self.program
        return self.failure(2, "usage", [{"message": message}], f"{command}: {message}\nTry '{command} --help'.")


def _in_words(error: Any) -> str:
    """The reason and the value. Messages of pydantic, which the parser uses, lack the value."""
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    rule = _RULES.get(found[0]["type"]) if found else None
    if rule is not None:
        return f"{rule.format(**found[0].get('ctx', {}))}, got '{found[0]['input']}'"
    key = _key_like(error)
    if key:
        error.possibilities = None
        return f"{error.message}; settings are given as KEY=VALUE: {key}"
    return str(error.message).replace("Value error, ", "")


def _key_like(error: Any) -> str:
    """A hint at the key that an unknown option names, if the command takes overrides and has no such option itself."""
    option = getattr(error, "option_name", None)
    if option is None or not any(each.name == "overrides" for each in error.ctx.command.params):
        return ""
    from backprop_cli.config.configuration import Config
    from backprop_cli.config.unknown_keys import UnknownKeys

    word = option.lstrip("-").replace("-", "_")
    if word in Config.model_fields:  # --seed is the key, not a misspelt --seeds
        return f"did you mean '{word}'?"
    if nearest(option.lstrip("-"), [each.lstrip("-") for each in error.possibilities or ()]):
        return ""
    way_out = UnknownKeys(Config, {}).problem((word,)).way_out
    return way_out if way_out.startswith("did you mean") else ""


_RULES = {
    "int_parsing": "expected an integer",
    "float_parsing": "expected a number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def _invoke(arguments: Sequence[str], program: str) -> int:
    command = build(program)
    with command.make_context(program, list(arguments)) as context:
        command.invoke(context)
    return 0


def _say_warning(text: str) -> None:
    say(f"warning: {one_line(text)}")


def _say_other_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say(warnings.formatwarning(message, category, filename, lineno, line).rstrip())


@contextlib.contextmanager
def _interrupted_by(numbers: list[int]) -> Iterator[None]:
    """SIGTERM raises ``Terminated`` and Ctrl-C KeyboardInterrupt, so that a command closes its files and screen before
    it ends. ``numbers`` collects the signals received. A SIGINT that is ignored stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, _: object) -> None:
        numbers.append(number)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, terminate)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _version(wanted: bool) -> None:
    if wanted:
        emit(f"bp {__version__}")
        raise typer.Exit


def _bp(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Train, check and understand neural networks with nothing heavier than NumPy."""
    if context.invoked_subcommand is None:
        emit(context.get_help())
