"""Errors, their exit codes for scripts, and the words that messages share.

::

    BpError
    ├── UsageError         2  a command was called with arguments that do not fit together
    ├── ConfigError        2  the configuration is wrong; has every problem
    ├── ShapeError         2  arrays that do not fit an op or a layer
    ├── CheckError         3  a gradient is wrong, a --require is not met
    ├── DivergenceError    4  the loss or a weight is no longer finite
    ├── CheckpointError    5  a checkpoint is missing, corrupt or of another network
    ├── DataError          6  a data file is wrong; names file, row, column and value
    └── InterruptionError 130  SIGINT (143: SIGTERM, 129: SIGHUP), raised after everything is saved

Any other exception is a bug in ``bp``: exit code 1 and a traceback.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TextIO

from backprop_cli.visible import marked, one_line, shortened, terminal_width


class BpError(Exception):
    """A failure that the user can act on: the message is printed without a traceback."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "internal"
    details: Mapping[str, Any] = MappingProxyType({})
    """More keys for ``--json`` to print next to ``error``, such as the run directory."""

    def printed(self) -> str:
        """The message as printed and logged."""
        return str(self)

    def with_run(self) -> str:
        """The message as printed, below the directory of the run that it ended, if any."""
        run = self.details.get("run_dir")
        return self.printed() if run is None else f"run {run}\n{self.printed()}"

    def describe(self) -> list[dict[str, Any]]:
        """The problems as objects for JSON, each with at least a ``message``."""
        return [{"message": str(self)}]


class UsageError(BpError):
    """A command was called with arguments that do not fit together.

    Way out: change the command line as the message says; ``bp COMMAND --help`` lists the arguments.
    """

    exit_code = 2
    kind = "usage"


TreePath = tuple[str | int, ...]
"""Steps from the top of a configuration: keys of mappings, indexes of lists."""


def path_text(path: TreePath) -> str:
    """``("model", "layers", 0, "units")`` -> ``model.layers[0].units``."""
    text = ""
    for step in path:
        if isinstance(step, int) and not isinstance(step, bool):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else str(step)
    return text


_LONGEST_NAME = 200
_LONGEST_MESSAGE = 2000
"""Most characters of a path or override, and of a message: they may quote a whole file."""
_NARROWEST = 20
"""Least columns of a source line."""


def _short(text: str, most: int = _LONGEST_NAME) -> str:
    return one_line(shortened(text, most))


class Problem(NamedTuple):
    """Something wrong with a configuration or targets (an error), or something suspicious in them (a warning).

    ``path`` leads to the value; with ``at_key`` its key is wrong. Checks set only these fields. ``Source.placed`` adds
    the place: ``file``, ``line`` and ``column`` (from 1), the ``source`` line, and the ``width`` of the value in it; or
    the ``override`` that set the value, or the option that stands for it.
    """

    path: TreePath
    reason: str
    way_out: str = ""
    at_key: bool = False
    file: str | None = None
    line: int | None = None
    column: int | None = None
    width: int = 1
    source: str | None = None
    override: str | None = None

    @property
    def message(self) -> str:
        """``reason; way out``."""
        return f"{self.reason}; {self.way_out}" if self.way_out else self.reason

    @property
    def headline(self) -> str:
        """One line: ``file:line:column: path: reason; way out``, as much of it as is known."""
        message = _short(self.message, _LONGEST_MESSAGE)
        if self.override is not None:
            word = "" if self.override.startswith("--") else "override "
            return f"{word}{_short(self.override)}: {message}"
        text = f"{_short(path_text(self.path))}: {message}" if self.path else message
        if self.file is None:
            return text
        place = one_line(self.file) if self.line is None else f"{one_line(self.file)}:{self.line}:{self.column}"
        return f"{place}: {text}"

    def __str__(self) -> str:
        """The headline, and under it the source line with carets where the place is known."""
        if self.override is not None or self.source is None or self.line is None or self.column is None:
            return self.headline
        number = f"{self.line:>5} | "
        room = max(terminal_width() - len(number), _NARROWEST)
        source, carets = marked(self.source, self.column - 1, self.width, room)
        return f"{self.headline}\n{number}{source}\n{'| '.rjust(len(number))}{carets}"

    def describe(self) -> dict[str, Any]:
        """The problem as an object for JSON; keys without a value are left out."""
        fields = {
            "path": path_text(self.path),
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "override": self.override,
        }
        return {key: value for key, value in fields.items() if value is not None}


MOST_PROBLEMS = 20
"""Problems of a configuration that a message lists; ``--json`` has all."""


class ConfigError(BpError):
    """The configuration is wrong; nothing was run and nothing was written.

    A message has all problems in the order of the file, each with its line and column. It prints the first 20; the JSON
    has all.

    Way out: each problem ends with its own, such as the nearest known name. ``bp validate`` finds the same problems
             without a training.
    """

    exit_code = 2
    kind = "config"

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        count = len(self.problems)
        more = [f"... and {count - MOST_PROBLEMS:,} more"] if count > MOST_PROBLEMS else []
        closing = f"{plural(count, 'problem')}; nothing was run."
        return "\n".join([*map(str, self.problems[:MOST_PROBLEMS]), *more, closing])

    def describe(self) -> list[dict[str, Any]]:
        """One object for each problem."""
        return [problem.describe() for problem in self.problems]


class ShapeError(BpError):
    """Arrays do not fit an op or a layer.

    In a configuration the same is a problem of kind ``config``, at the line of the layer.

    Way out: give arrays of the shapes that the message asks for; ``bp list`` has the shapes of every layer.
    """

    exit_code = 2
    kind = "shape"

    def __init__(self, where: object, reason: str, **specs: object):
        """``where``: the text of the op or layer; ``specs``: the shapes that it was given."""
        self.where, self.reason, self.specs = str(where), reason, specs
        given = ", ".join(f"{name}: {spec}" for name, spec in specs.items())
        super().__init__(f"{where}: {reason}" + (f" (given {given})" if given else ""))


class CheckError(BpError):
    """A check failed: a gradient is wrong, or a requirement is not met.

    Way out: for a requirement train longer or better, or require less. For a gradient correct the derivative rule that
             the message names; it is a plugin's, or else a bug in ``bp``.
    """

    exit_code = 3
    kind = "check"


class DivergenceError(BpError):
    """The loss, a gradient or a weight is no longer finite.

    The run ends at that step and keeps its last good checkpoint.

    Way out: lower ``optimizer.learning_rate``, set ``training.clip_norm``, or standardize inputs and targets.
    """

    exit_code = 4
    kind = "diverged"


class BpWarning(UserWarning):
    """A warning about a result that is still usable; printed as one line.

    Way out: none is needed; each warning says how to make it go away.
    """


def warn(text: str) -> None:
    """Warn the user: ``train`` writes the text to the run's log, ``validate`` lists it, other commands print it."""
    warnings.warn(text, BpWarning, stacklevel=3)


@contextmanager
def warnings_to(receive: Callable[[str], None], others: Callable[..., None] | None = None) -> Iterator[None]:
    """Call ``receive`` once with each text that ``warn`` gets inside the block.

    ``others`` gets all other warnings, with the arguments of ``warnings.showwarning``. By default they are shown as
    before.
    """
    show, seen = others or warnings.showwarning, set[str]()

    def sort(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message)
        if not issubclass(category, BpWarning):
            show(message, category, filename, lineno, file, line)
        elif text not in seen:
            seen.add(text)
            receive(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always", BpWarning)
        warnings.showwarning = sort
        yield


class CheckpointError(BpError):
    """A checkpoint is missing, corrupt or of another network, or cannot be written.

    Way out: name another checkpoint of the run, or train again. If the disk is full, make room and continue with
             ``bp train --resume RUN``.
    """

    exit_code = 5
    kind = "checkpoint"


class DataError(BpError):
    """A data file cannot be used as the configuration asks.

    The message names file, row (as an editor counts lines) and column, the value, and what was expected.

    Way out: correct the file, or say in ``data`` how to read it: ``missing_values``, ``numbers``, ``categories``.
    """

    exit_code = 6
    kind = "data"

    def printed(self) -> str:
        """The message on one line, even if it quotes text of the file that has several."""
        return one_line(str(self))


class DataProblemsError(DataError):
    """Several problems of one file, each printed on a line of its own."""

    def __init__(self, errors: Sequence[DataError]):
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, errors)))

    def printed(self) -> str:
        """The first problems, a line each, and their number."""
        shown = [error.printed() for error in self.errors[:MOST_PROBLEMS]]
        return "\n".join([*shown, f"{plural(len(self.errors), 'problem')} of the data"])

    def describe(self) -> list[dict[str, Any]]:
        """One object for each problem."""
        return [problem for error in self.errors for problem in error.describe()]


class SettingError(DataError):
    """Settings do not fit the data; each is given as the path of its key and a reason.

    ``config.load.located`` turns it into a ConfigError with file and line.
    """

    def __init__(self, findings: Sequence[tuple[TreePath, str]]):
        self.problems = tuple(Problem(path, reason) for path, reason in findings)
        super().__init__("; ".join(reason for _, reason in findings))


class MissingDataError(DataError):
    """A data file is missing; ``problem`` is placed where the configuration or an override names the file."""

    def __init__(self, problem: Problem):
        self.problem = problem
        super().__init__(str(problem))

    def printed(self) -> str:
        """The problem with its source line."""
        return str(self)

    def describe(self) -> list[dict[str, Any]]:
        """The problem with its place."""
        return [self.problem.describe()]


class InterruptionError(BpError):
    """A signal stopped the work; everything done so far is saved.

    Ctrl-C is SIGINT, and ``kill`` sends SIGTERM. A closed terminal is SIGHUP.

    Way out: continue with ``bp train --resume RUN``; the run ends with the same bits as without the interruption.
    """

    kind = "interrupted"

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number  # type: ignore[misc]

    def with_run(self) -> str:
        """The message alone: its command names the run."""
        return self.printed()


_NEAR = 0.65
"""Least similarity of a suggestion (1: equal): `kernel` is near `kernel_size`, `size` is not near `stride` (0.6)."""
_LONGEST_NEAR = 100
"""Longest names to compare, in characters: the time is the product of their lengths."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` most likely stands for, if one is near; never ``name`` itself.

    Near is a typing error, or the short form of exactly one known name: initials (``lr``) or a beginning (``batch``).
    """
    word = name.lower()
    by_lower = {k.lower(): k for k in known if k != name and len(k) <= _LONGEST_NEAR}
    if len(word) > _LONGEST_NEAR:
        return None
    near = difflib.get_close_matches(word, by_lower, n=1, cutoff=_NEAR)
    if not near and len(word) > 1:
        initials = [k for k in by_lower if word == "".join(part[0] for part in k.split("_") if part)]
        beginnings = [k for k in by_lower if k.startswith(word)]
        near = next((found for found in (initials, beginnings) if len(found) == 1), [])
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the ``nearest`` known name, else the empty string."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean '{near}'?"


def plural(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``1,000 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def joined(words: Sequence[str], conjunction: Literal["and", "or"]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def listing(values: Iterable[object], limit: int = 10) -> str:
    """The first ``limit`` values, separated by commas, and how many there are in all if there are more."""
    texts = [str(value) for value in values]
    return ", ".join(texts) if len(texts) <= limit else f"{', '.join(texts[:limit])}, ... ({len(texts):,} in all)"
