"""What a plugin registered: does it keep its kind's contract, and are its gradients right?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import ValidationError

from backprop_cli.autodiff import OPS
from backprop_cli.checks.gradients import check_objective
from backprop_cli.checks.method import Options
from backprop_cli.checks.promises.kept import check_rules, check_values
from backprop_cli.checks.registered import check_registered, op_objectives
from backprop_cli.checks.result import Report, worst_first
from backprop_cli.registry import Entry, RegistrationError

CHECKED = ("layers", "activations", "losses", "optimizers", "averages", "initializers", "ops")
"""Kinds of which ``check_registered`` can tell something."""

_SEED = 0


def check_addition(entry: Entry) -> Report | None:
    """The checks of one type at its samples; None where there is nothing that could be wrong: a metric, a step.

    For an op the whole contract is checked, including derivatives of both orders.

    Raises:
        RegistrationError: its name is taken, or it lacks samples to check it at.
        BrokenPromiseError: a method of an op violates the contract of ops.
        Exception: whatever its own code raises.

    """
    if not _has_samples(entry):
        return None
    if entry.registry is not OPS:
        report = _gradients(entry)
        return report if report.checks else None
    check_values(entry.cls, np.random.default_rng(_SEED))
    report = _gradients(entry)
    if report.passed:
        check_rules(entry.cls, np.random.default_rng(_SEED))
        report = _second_order(entry, report)
    return report if report.checks else None


def check_promises(entry: Entry) -> None:
    """Check the contract of an op except its derivatives, which the caller checks.

    Raises: as ``check_addition``.
    """
    if _has_samples(entry) and entry.registry is OPS:
        check_values(entry.cls, np.random.default_rng(_SEED))
        check_rules(entry.cls, np.random.default_rng(_SEED))


def _has_samples(entry: Entry) -> bool:
    """False for kinds that have none."""
    entry.registry.check_name(entry.name)
    if entry.registry.plural not in CHECKED:
        return False
    if not entry.cls.samples:
        kind = entry.registry.kind
        raise RegistrationError(f"{kind} '{entry.name}' has no samples, at which its gradient could be checked")
    return True


def _gradients(entry: Entry) -> Report:
    try:
        return check_registered(only={entry.registry.plural: (entry.name,)})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise RegistrationError(
            f"{entry.registry.kind} '{entry.name}' cannot be made of its samples: {found}"
        ) from error


def _second_order(entry: Entry, first: Report) -> Report:
    """The report of second order if it finds a mistake, else the first."""
    options = Options("all", first.tolerance, _SEED)
    objectives = op_objectives(np.random.default_rng(_SEED), {entry.registry.plural: (entry.name,)}, edges=False)
    second = replace(
        first, checks=worst_first([c for each in objectives for c in check_objective(each, "auto", 2, options)])
    )
    return first if second.passed else second
