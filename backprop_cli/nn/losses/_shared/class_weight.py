"""The key ``class_weight`` of losses for classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag

from backprop_cli.errors import did_you_mean, listing
from backprop_cli.nn.class_name import Places, spelled
from backprop_cli.nn.loss import ClassWeightError
from backprop_cli.settings import NonNegative


class WeightByClass(dict[str | int | float | bool, float]):
    """Weights by class name; hashable, as settings must be, and never changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def _word(value: object) -> object:
    return "none" if value is None else value


def _kind(value: object) -> str:
    return "mapping" if isinstance(value, dict) else "word"


ClassWeight = Annotated[
    Annotated[Literal["none", "balanced"], Tag("word")]
    | Annotated[dict[str | int | float | bool, NonNegative], AfterValidator(WeightByClass), Tag("mapping")],
    Discriminator(_kind),
    BeforeValidator(_word),
]
"""``none`` (also YAML's null), ``balanced``, or weights by class name."""


def class_weights(setting: ClassWeight, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
    """The weight of each of ``classes``; None: all are 1.

    ``balanced`` is ``examples / (classes * count[c])``, 1 for a class without examples (King & Zeng, Logistic
    Regression in Rare Events Data (2001), as in scikit-learn); classes that a mapping leaves out weigh 1.

    Raises: ClassWeightError if a mapping names a class that is not among ``classes``.
    """
    if setting == "none":
        return None
    if setting == "balanced":
        count = np.asarray(counts, dtype=np.float64)
        return np.where(count > 0, count.sum() / (len(count) * np.maximum(count, 1.0)), 1.0)
    return _weights_by_name(setting, classes)


def _weights_by_name(weights: dict[str | int | float | bool, float], classes: Sequence[Any]) -> NDArray[np.float64]:
    places = Places(classes)
    found = np.ones(len(classes))
    unknown, named = dict[Any, str](), dict[int, Any]()
    for name, weight in weights.items():
        place = places.find(name)
        if place is None:
            unknown[name] = f"unknown class '{spelled(name)}'{_hint(name, [spelled(each) for each in classes])}"
        elif place in named:
            unknown[name] = f"class '{spelled(classes[place])}' has a weight already; remove one of the two"
        else:
            found[place], named[place] = weight, name
    if unknown:
        raise ClassWeightError(unknown)
    return found


def _hint(name: str | int | float | bool, known: Sequence[str]) -> str:
    """A hint with the nearest class, or quotes for a number that the file spells another way."""
    if not isinstance(name, str | bool):
        same = next((each for each in known if _value(each) == name), None)
        if same is not None:
            return f"; write it in quotes, as the file spells it: '{same}'"
    return did_you_mean(spelled(name), known) or f"; known: {listing(known, 20)}"


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
