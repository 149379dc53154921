"""What code far below a job warns of reaches those who listen to the job."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from backprop_cli.errors import BpWarning


@contextmanager
def telling(tell: Callable[[str], None]) -> Iterator[None]:
    """Call ``tell`` with the text of every ``BpWarning`` inside, once each; other warnings go their way."""
    show, told = warnings.showwarning, set[str]()

    def tell_it(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, BpWarning):
            show(message, category, filename, lineno, file, line)
        elif str(message) not in told:
            told.add(str(message))
            tell(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", BpWarning)
        warnings.showwarning = tell_it
        yield
