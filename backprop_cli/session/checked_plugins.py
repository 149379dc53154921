"""Plugins are run and checked before a configuration or a checkpoint that needs them is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from backprop_cli import __version__
from backprop_cli.config.load import Loaded, load_config
from backprop_cli.config.plugins import Plugin, read_plugins
from backprop_cli.errors import CheckError, ConfigError, Problem, UsageError, warn
from backprop_cli.execution import cache
from backprop_cli.run.directory import RunDirectory

_KIND = "plugin"
"""Kind of the cache files that hold verdicts."""


def read_config(path: Path | str, overrides: Sequence[str] = ()) -> Loaded:
    """Read a configuration, and run and check the plugins that it names.

    Raises:
        ConfigError: the configuration is wrong, or a plugin cannot be run.
        CheckError: a plugin's gradient is wrong.

    """
    loaded = load_config(path, overrides)
    _check(loaded.plugins)
    return loaded


def run_plugins(files: Sequence[Path | str], *, gradients: bool = True) -> tuple[Plugin, ...]:
    """Run and check the files of ``--plugins``; afterwards no other plugin is registered.

    Without ``gradients`` only the other promises are checked: the caller checks the gradients itself.

    Raises:
        ConfigError: a file cannot be run.
        CheckError: a gradient is wrong, or another promise is broken.

    """
    plugins = read_plugins([Path(file) for file in files], lambda _, reason: Problem((), f"--plugins {reason}"))
    _check(plugins, gradients)
    return plugins


def refuse_plugins(files: Sequence[Path | str], path: Path | str) -> None:
    """Raise UsageError for ``--plugins`` together with a configuration."""
    if files:
        named = ", ".join(str(file) for file in files)
        raise UsageError(f"--plugins is for checkpoints and runs; {path} names its own: plugins: [{named}]")


def _check(plugins: Sequence[Plugin], gradients: bool = True) -> None:
    """Check the plugins that have not passed yet in this version of bp, after the same other plugins."""
    for plugin in plugins:
        verdict = f"{plugin.chain[:24]}-{__version__}"
        if cache.load(_KIND, verdict) is not None:
            continue
        passed = _checked(plugin, gradients)
        if gradients:
            content = {"file": plugin.name, "sha256": plugin.sha256, "passed": passed}
            cache.save(_KIND, verdict, json.dumps(content).encode())


def _checked(plugin: Plugin, gradients: bool) -> list[str]:
    """Check every type of a plugin and return the names of the gradient checks. Raises: CheckError, ConfigError."""
    # Most starts have no plugin to check.
    from backprop_cli.checks.gradients import mistake
    from backprop_cli.checks.promises.case import BrokenPromiseError
    from backprop_cli.checks.registered import check_addition, check_promises

    names: list[str] = []
    for entry in plugin.entries:
        line = plugin.line_of(entry)
        place = plugin.name if line is None else f"{plugin.name}:{line}"
        try:
            report = None
            if gradients:
                report = check_addition(entry)
            else:
                check_promises(entry)
        except BrokenPromiseError as error:
            raise CheckError(f"{place}: op {entry.name} breaks a promise of ops: {error}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of code that is not ours, which may call sys.exit
            raise ConfigError([plugin.blamed(error, line)]) from error
        if report is not None and not report.passed:
            raise CheckError(f"{place}: gradient check failed: {mistake(report)}")
        names += [check.name for check in report.checks] if report is not None else []
    return names


def read_run_config(run: RunDirectory, overrides: Sequence[str], files: Sequence[Path | str]) -> Loaded:
    """The configuration of a run, for which no checkpoint is needed; the plugins ``files`` replace its own.

    Raises: as ``read_config`` and ``stand_in``.
    """
    plugins = stand_in(run.path, run.read_record().get("plugins", {}), files)
    return load_config(run.resolved, overrides, plugins)


def stand_in(where: Path, needed: Mapping[str, str], files: Sequence[Path | str]) -> tuple[Plugin, ...]:
    """Run the plugins ``files`` instead of those that the checkpoint or run ``where`` needs.

    ``needed``: sha256 by name. A needed plugin that equals none of the files is replaced by the next file that is left
    over, with a warning.

    Raises:
        UsageError: a plugin that it needs is not given.
        ConfigError: a file cannot be run.
        CheckError: a gradient is wrong.

    """
    if len(files) < len(needed):
        given = [_sha256(file) for file in files]
        missing = [name for name, sha256 in needed.items() if sha256 not in given][: len(needed) - len(files)]
        raise UsageError(
            f"{where}: its network needs {' and '.join(missing)}, whose code is not run unasked; if you trust it, "
            f"add {' '.join(f'--plugins {name}' for name in missing)}"
        )
    plugins = run_plugins(files)
    others = [plugin for plugin in plugins if plugin.sha256 not in needed.values()]
    changed = [name for name, sha256 in needed.items() if sha256 not in [plugin.sha256 for plugin in plugins]]
    for name, plugin in zip(changed, others, strict=False):
        warn(f"{plugin.name}: is not the {name} that {where} was trained with (its sha256 differs)")
    return plugins


def _sha256(file: Path | str) -> str:
    """The file's sha256; empty if it cannot be read, which running it reports."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""
