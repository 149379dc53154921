"""``bp init --examples``: the ready configurations and their data, as they lie in a clone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backprop_cli.errors import UsageError
from backprop_cli.files import ready_folder
from backprop_cli.json_object import JsonObject
from backprop_cli.run.atomic import reason
from backprop_cli.run.output import opened

_FILES = ("configs/**/*.yaml", "configs/**/*.py", "datasets/*.*")


class CopiedExamples(JsonObject):
    """The files that were written; those that were there already are left out."""

    folder: Path
    """The folder that has ``configs`` and ``datasets`` now."""
    files: Sequence[Path]
    """The new files, relative to it."""


def copy_examples(folder: Path | str = ".", *, force: bool = False) -> CopiedExamples:
    """Write the ready configurations and their data to ``configs`` and ``datasets`` in ``folder``.

    The commands of the documentation then work there as they are. A file with other content is only replaced with
    ``force``, and if there is one, nothing is written.

    Raises:
        UsageError: a file of that name has other content, or a file cannot be written.

    """
    folder, ready = Path(folder), ready_folder()
    names = sorted(path.relative_to(ready) for pattern in _FILES for path in ready.glob(pattern))
    try:
        new = [name for name in names if not _is_copy(folder / name, ready / name)]
        changed = next((folder / name for name in new if (folder / name).exists()), None)
        if changed is not None and not force:
            raise UsageError(f"{changed} exists already and differs; --force replaces it, -o FOLDER writes elsewhere")
        for name in new:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with opened(folder / name) as stream:
                stream.write((ready / name).read_bytes())
    except OSError as error:
        raise UsageError(f"{folder}: the examples cannot be written: {reason(error)}") from error
    return CopiedExamples(folder, new)


def _is_copy(path: Path, original: Path) -> bool:
    return path.is_file() and path.read_bytes() == original.read_bytes()
