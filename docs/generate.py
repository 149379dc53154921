"""Writes the pages of ``docs/reference`` and the diagram of ``docs/architecture.md`` from the code.

``python docs/generate.py`` writes them; with ``--check`` it writes nothing, names the pages that are out of date and
exits with 1. ``--quick`` keeps the output of commands that the pages show, instead of running them again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from generator.commands import commands_page, exit_codes_page
from generator.configuration import configuration_page
from generator.contents import contents_page
from generator.examples import Examples
from generator.messages import messages_page
from generator.package_map import architecture_page
from generator.results import results_page
from generator.run_files import run_directory_page
from generator.type_pages import type_pages

DOCS = Path(__file__).parent


def pages(docs: Path, quick: bool) -> Mapping[Path, str]:
    """The text of every generated page by its place in ``docs``."""
    with Examples(docs / "reference" if quick else None).opened() as examples:
        reference = {
            "configuration.md": configuration_page(),
            **type_pages(),
            "commands.md": commands_page(),
            "exit-codes.md": exit_codes_page(),
            "messages.md": messages_page(examples),
            "json.md": results_page(examples),
            "run-directory.md": run_directory_page(),
        }
    reference["README.md"] = contents_page(reference)
    architecture = docs / "architecture.md"
    found = {docs / "reference" / name: text for name, text in reference.items()}
    return {**found, architecture: architecture_page(architecture.read_text(encoding="utf-8"))}


def out_of_date(found: Mapping[Path, str]) -> list[Path]:
    """The pages that differ from what is on disk, and pages on disk that nothing generates."""
    folders = {path.parent for path in found if path.parent.name == "reference"}
    stray = [path for folder in folders for path in sorted(folder.glob("*.md")) if path not in found]
    return [path for path, text in found.items() if _read(path) != text] + stray


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 and name pages that differ")
    parser.add_argument("--quick", action="store_true", help="keep the recorded output of commands")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the pages; default: docs")
    options = parser.parse_args(arguments)
    found = pages(options.docs, options.quick)
    stale = out_of_date(found)
    if options.check:
        for path in stale:
            reason = "differs from the code" if path in found else "nothing generates it"
            print(f"{path}: {reason}; run python docs/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        if path in found:
            path.parent.mkdir(exist_ok=True)
            path.write_text(found[path], encoding="utf-8")
        else:
            path.unlink()
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
