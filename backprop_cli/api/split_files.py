"""``bp split``: the splits of a table as files of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from backprop_cli.api.arguments import one_or_many
from backprop_cli.config.dump import to_yaml
from backprop_cli.config.load import Loaded, located
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.data.dataset import split_lines
from backprop_cli.data.file import BOM, DataFile, lines_of
from backprop_cli.data.format import format_of
from backprop_cli.data.formats.json import Json
from backprop_cli.data.split import Indices
from backprop_cli.errors import UsageError
from backprop_cli.json_object import JsonObject
from backprop_cli.run.atomic import reason
from backprop_cli.run.output import opened
from backprop_cli.session.checked_plugins import read_config


class SplitResult(JsonObject):
    """The files that were written."""

    files: Mapping[str, Path]
    """The file of each split, by its name."""
    rows: Mapping[str, int]
    """The number of its rows."""
    config: Path
    """A configuration that trains on these files."""


@one_or_many
def split(config: Path | str, folder: Path | str, overrides: Sequence[str] = ()) -> SplitResult:
    """Write a file for each split of a table to ``folder``, and a configuration that uses them.

    The files have the header, the columns and the rows of the source, as written there and in their order. Training
    on them gives the same splits, and so the same run. ``overrides`` are ``KEY=VALUE`` texts.

    Raises:
        UsageError: a file exists already or cannot be written, or the data is no table that can be split.
        ConfigError: the configuration is wrong.
        DataError: the source cannot be read or split.

    """
    loaded, folder = read_config(Path(config), overrides), Path(folder)
    data, seed = loaded.config.data, loaded.config.seed
    source = data.first
    if not isinstance(source, str) or data.split is None or data.text is not None or data.window is not None:
        raise UsageError(f"split: {config}: {_why_not(loaded)}; bp split is for a file of rows that data.split splits")
    file = DataFile(loaded.base / source)
    with located(loaded):
        format = format_of(file.name, data.format)
        if isinstance(format, Json) and _is_array(file):
            raise UsageError(f"split: {file.name} is one JSON array, not lines; write one object on each line (.jsonl)")
        lines, left_out = split_lines(data, loaded.config.loss.task, base=loaded.base, seed=seed)
    suffix = format.suffixes[0] if file.is_standard_input else Path(source.removesuffix(".gz")).suffix
    files = {split: folder / f"{split}{suffix}" for split in lines}
    target = folder / f"{Path(config).stem}.yaml"
    there = next((path for path in (*files.values(), target) if path.exists()), None)
    if there is not None:
        raise UsageError(f"{there} exists already; name another folder, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(file, files, lines, left_out)
        with opened(target) as stream:
            stream.write(to_yaml(_tree(loaded, folder, files)).encode())
    except OSError as error:
        raise UsageError(f"{folder}: the splits cannot be written: {reason(error)}") from error
    return SplitResult(files, {split: len(each) for split, each in lines.items()}, target)


def _why_not(loaded: Loaded) -> str:
    data = loaded.config.data
    if data.window is not None:
        return "data.window makes windows that reach from one split into the next"
    if data.text is not None or data.generate is not None:
        return "the data has no rows in a file"
    return "data.split is none" if data.split is None else "inputs and targets are in two files"


def _is_array(file: DataFile) -> bool:
    """Whether the text of a JSON file is an array, whose objects may share lines."""
    with file.open() as stream:
        return next(filter(None, map(bytes.strip, lines_of(stream, file.name))), b"").removeprefix(BOM).startswith(b"[")


def _write(file: DataFile, files: Mapping[str, Path], lines: Mapping[str, Indices], left_out: Set[int]) -> None:
    """Write the lines of each split's rows to its file, after the lines before the first row, without ``left_out``."""
    begins = {int(line): split for split, chosen in lines.items() for line in chosen}
    first = min({*begins, *left_out})
    with contextlib.ExitStack() as stack, file.open() as source:
        streams = {split: stack.enter_context(opened(path)) for split, path in files.items()}
        owners = list(streams.values())
        for number, line in enumerate(lines_of(source, file.name), 1):
            if number >= first and number in begins:
                owners = [streams[begins[number]]]
            elif number in left_out:
                owners = []
            for stream in owners:
                stream.write(line if line.endswith(b"\n") else line + b"\n")


def _tree(loaded: Loaded, folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    """The resolved configuration with these files, and without the columns that decided the split as inputs."""
    tree, settings = resolved_tree(loaded, folder), loaded.config.data
    data = {key: value for key, value in tree["data"].items() if key not in ("source", "train")}
    if settings.features == "all" and settings.order:
        data["exclude"] = list(dict.fromkeys((*(settings.exclude or ()), *settings.order)))
    return {**tree, "data": {**{split: path.name for split, path in files.items()}, **data, "split": "none"}}
