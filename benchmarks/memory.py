"""Peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_bytes() -> int:
    """Largest resident size so far.

    Linux keeps ``ru_maxrss`` across fork and exec, so that a child begins with its parent's peak; ``VmHWM`` belongs to
    the program alone.
    """
    found = _status("VmHWM:")
    if found is not None:
        return found
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> int | None:
    """From here on the peak is that of what follows; the resident size now, None where the system cannot forget."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS:")


def _status(key: str) -> int | None:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), None)
