"""``python -m tests.fuzz [NAME ...] [--inputs 20000] [--seed 0] [--replay INDEX]``: damaged files for every reader."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness import fuzz, replay, targets


def main() -> int:
    """Run the command; 1 where a reader failed."""
    known = targets()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(known)}")
    parser.add_argument("--inputs", type=int, default=20_000, help="damaged files a reader")
    parser.add_argument("--seed", type=int, default=0, help="other files")
    parser.add_argument("--replay", type=int, metavar="INDEX", help="read this one input again")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    if given.replay is not None:
        (name,) = given.names
        keep = Path(tempfile.gettempdir()) / f"{name}-{given.seed}-{given.replay}{known[name].suffix}"
        for line in replay(known[name], given.seed, given.replay, keep):
            print(line)
        return 0
    failed = False
    for name in given.names or known:
        start = time.monotonic()
        outcome = fuzz(name, given.inputs, seed=given.seed)
        counts = f"{given.inputs:,} inputs, {outcome.refused:,} refused, {len(outcome.failures)} failures"
        print(f"{name}: {counts}, {time.monotonic() - start:.0f} s", flush=True)
        for failure in outcome.kinds():
            print(failure, flush=True)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
