"""What a plugin registered: does it keep its kind's contract, and are its gradients right?"""

from __future__ import annotations

from pydantic import ValidationError

from backprop_cli.checks.registered import check_registered
from backprop_cli.checks.result import Report
from backprop_cli.registry import Entry, RegistrationError

CHECKED = ("layers", "activations", "losses", "optimizers", "averages", "initializers", "ops")
"""Kinds of which ``check_registered`` can tell something."""


def check_addition(entry: Entry) -> Report | None:
    """The checks of one type at its samples; None where there is nothing that could be wrong: a metric, a step.

    Raises:
        RegistrationError: its name is taken, or it lacks samples to check it at.
        Exception: whatever its own code raises.

    """
    cls, kind = entry.cls, entry.registry.kind
    entry.registry.check_name(entry.name)
    if entry.registry.plural not in CHECKED:
        return None
    if not cls.samples:
        raise RegistrationError(f"{kind} '{entry.name}' has no samples, at which its gradient could be checked")
    try:
        report = check_registered(only={entry.registry.plural: (entry.name,)})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise RegistrationError(f"{kind} '{entry.name}' cannot be made of its samples: {found}") from error
    return report if report.checks else None
