"""Comparison of data files with those that a run was trained on: changed rows would be split differently."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from backprop_cli.errors import UsageError

ACCEPT = "--accept-changed-data"
FIRST, ACCEPTED = "data", "accepted_data"
"""Keys of a checkpoint's metadata: the digests at the start of the run, and those accepted on resumption."""


class Changed(NamedTuple):
    """A change of the data, in words. ``is_now``: whether the current files differ from the run's first ones."""

    text: str
    is_now: bool

    def way_out(self, taken: str) -> str:
        """The way out. ``taken``: words before the flag that accepts the data, such as ``accept it with``."""
        return f"restore the old file, or {taken} {ACCEPT}" if self.is_now else f"{taken} {ACCEPT} if that is intended"


def check_acceptance(accepts: bool, resume: Path | None) -> None:
    """Raise UsageError if changed data is accepted without a run to resume."""
    if accepts and resume is None:
        raise UsageError(f"train: {ACCEPT} is for --resume; a new run takes its data as it is")


def data_metadata(files: Mapping[str, str], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metadata of a checkpoint about its data. ``before``: that of the checkpoint to resume from, if any."""
    digests = list(files.values())
    if before is None:
        return {FIRST: digests, ACCEPTED: []}
    accepted = list(before.get(ACCEPTED, []))
    if digests != [before[FIRST], *accepted][-1]:
        accepted.append(digests)
    return {FIRST: before[FIRST], ACCEPTED: accepted}


def changed(metadata: Mapping[str, Any], files: Mapping[str, str]) -> Changed | None:
    """The change from the data that a checkpoint was trained on; None if there is none.

    Other data in between counts as a change: the network was trained on it, too.
    """
    digests, first = list(files.values()), metadata[FIRST]
    if digests == first:
        in_between = any(later != first for later in metadata.get(ACCEPTED, []))
        text = f"{', '.join(files)}: the run was trained on other data for a while"
        return Changed(text, is_now=False) if in_between else None
    pairs = list(zip_longest(files, first)) if len(digests) == len(first) else [(", ".join(files), ", ".join(first))]
    lines = [
        f"{path}: has changed since the run began (its sha256 was {digest})"
        for path, digest in pairs
        if files.get(path) != digest
    ]
    return Changed("; ".join(lines), is_now=True)
