"""Whether the data files of a run are those it was trained on: other rows would be split in another way."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

ACCEPT = "--accept-changed-data"
FIRST, ACCEPTED = "data", "accepted_data"
"""Keys of a checkpoint's metadata: the digests that the run began with, and later ones that it went on with."""


class Changed(NamedTuple):
    """What is not as it was, in words. ``is_now``: the files, and not only those of a time in between."""

    text: str
    is_now: bool

    def way_out(self, taken: str) -> str:
        """What to do; ``taken``: how a command takes the data as it is."""
        return f"put the old file back, or {taken} {ACCEPT}" if self.is_now else f"{taken} {ACCEPT} where that is meant"


def data_metadata(files: Mapping[str, str], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a checkpoint says of its data. ``before``: what the one said that training goes on from."""
    digests = list(files.values())
    if before is None:
        return {FIRST: digests, ACCEPTED: []}
    accepted = list(before.get(ACCEPTED, []))
    if digests != [before[FIRST], *accepted][-1]:
        accepted.append(digests)
    return {FIRST: before[FIRST], ACCEPTED: accepted}


def changed(metadata: Mapping[str, Any], files: Mapping[str, str]) -> Changed | None:
    """What is not as it was of the data behind a checkpoint; None where all is.

    Data that a run went on with in between counts: rows of it were trained on, too.
    """
    digests, first = list(files.values()), metadata[FIRST]
    if digests == first:
        in_between = any(later != first for later in metadata.get(ACCEPTED, []))
        text = f"{', '.join(files)}: the run has been trained on other data in between"
        return Changed(text, is_now=False) if in_between else None
    pairs = list(zip_longest(files, first)) if len(digests) == len(first) else [(", ".join(files), ", ".join(first))]
    told = [
        f"{path}: has changed since the run began (its sha256 was {digest})"
        for path, digest in pairs
        if files.get(path) != digest
    ]
    return Changed("; ".join(told), is_now=True)
