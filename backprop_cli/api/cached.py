"""``bp cache``: work of earlier runs that is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backprop_cli.execution import cache
from backprop_cli.json_object import JsonObject


class CachedFiles(JsonObject):
    """Files of one kind."""

    files: int
    """Their number."""
    bytes: int
    """Their size together."""


class CacheResult(JsonObject):
    """The cache, or what was removed from it."""

    folder: Path
    """Where it lies; it need not exist."""
    distrust: str | None
    """Why nothing in it is used; null if it is used."""
    kinds: Mapping[str, CachedFiles]
    """Files by kind: ``code`` of compiled steps, and verdicts on plugins."""


def cached(*, clean: bool = False) -> CacheResult:
    """The files that save work at the next start; each may be deleted. With ``clean`` they are removed."""
    kinds: dict[str, list[int]] = {}
    for entry in cache.clean() if clean else cache.entries():
        kinds.setdefault(entry.kind, []).append(entry.bytes)
    files = {kind: CachedFiles(len(sizes), sum(sizes)) for kind, sizes in kinds.items()}
    return CacheResult(cache.cache_folder(), cache.distrust() or None, files)
