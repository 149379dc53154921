"""Struct: the base of immutable objects with named fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from inspect import get_annotations
from operator import attrgetter
from typing import Any, ClassVar, dataclass_transform


@dataclass(frozen=True, eq=False)
class _Frozen:
    """Lets ``@dataclass(frozen=True)`` accept structs as bases."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Struct(_Frozen):
    """Base of immutable classes whose annotated attributes are fields, as in a frozen dataclass.

    Two structs are equal if they are of one class and their fields are equal; with ``class Name(Struct, eq=False)``,
    if they are the same object. With ``kw_only=True`` fields are given by name. ``fields``, ``replace`` and ``asdict``
    of ``dataclasses`` take structs, and a frozen dataclass can be derived from one.

    All structs share the methods below. ``@dataclass`` compiles six methods for each class, which takes 0.4 ms, and
    a command makes up to sixty classes when it starts.
    """

    _names: ClassVar[tuple[str, ...]] = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    """The fields that can be given without their names."""
    _defaults: ClassVar[dict[str, Any]] = {}
    _factories: ClassVar[dict[str, Callable[[], Any]]] = {}
    _tails: ClassVar[dict[int, tuple[Any, ...]]] = {}
    """By the number of values that are given without their names: the defaults of the fields after them."""
    _values: ClassVar[Callable[[Any], Any]]
    """All values of a struct, as a tuple."""

    def __init_subclass__(cls, *, eq: bool = True, kw_only: bool = False) -> None:
        super().__init_subclass__()
        cls.__dataclass_fields__ = {**cls.__dataclass_fields__, **_own_fields(cls, kw_only)}
        every = cls.__dataclass_fields__.values()
        cls._names = tuple(cls.__dataclass_fields__)
        cls.__match_args__ = tuple(each.name for each in every if not each.kw_only)  # type: ignore[misc]
        cls._defaults = {each.name: each.default for each in every if each.default is not MISSING}
        cls._factories = {each.name: each.default_factory for each in every if each.default_factory is not MISSING}
        cls._tails = _defaults_after(cls)
        cls._values = staticmethod(_getter(cls._names))
        if not eq:
            cls.__eq__, cls.__hash__ = object.__eq__, object.__hash__  # type: ignore[method-assign]

    def __init__(self, *values: Any, **named: Any):
        cls = type(self)
        rest = None if named else cls._tails.get(len(values))
        every = _in_order(cls, values, named) if rest is None else values + rest
        vars(self).update(zip(cls._names, every, strict=True))
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check or complete a new struct; called when its fields are set."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in self._names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in self._names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super().__delattr__(name)

    def __eq__(self, other: object) -> bool:
        cls = type(self)
        return cls._values(self) == cls._values(other) if type(other) is cls else NotImplemented

    def __hash__(self) -> int:
        cls = type(self)
        return hash((cls, cls._values(self)))

    def __repr__(self) -> str:
        shown = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _own_fields(cls: type[Any], kw_only: bool) -> dict[str, Field[Any]]:
    """The fields of the class's own body."""
    annotated = get_annotations(cls)
    body = {name: vars(cls)[name] for name in annotated if name in vars(cls)}
    body |= {"__doc__": cls.__name__, "__module__": cls.__module__, "__annotations__": annotated}
    # `dataclass` finds the fields of a class that has no more than these, and adds no methods to it.
    alike: type[Any] = type(cls.__name__, (), body)
    alike = dataclass(init=False, repr=False, eq=False, match_args=False, kw_only=kw_only)(alike)
    return {each.name: each for each in fields(alike)}


def _defaults_after(cls: type[Struct]) -> dict[int, tuple[Any, ...]]:
    """See ``_tails``; without numbers of values that leave a field without one."""
    names = cls._names
    if cls.__match_args__ != names:
        return {}
    known = next((n for n, name in reversed([*enumerate(names)]) if name not in cls._defaults), -1) + 1
    return {n: tuple(cls._defaults[name] for name in names[n:]) for n in range(known, len(names) + 1)}


def _getter(names: Sequence[str]) -> Callable[[Any], Any]:
    # For one name attrgetter returns no tuple.
    return attrgetter(*names) if len(names) > 1 else lambda struct: tuple([getattr(struct, name) for name in names])


def _in_order(cls: type[Struct], values: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
    """The values of all fields, in their order. Raises: TypeError for arguments that do not fit the fields."""
    given = {**cls._defaults, **dict(zip(cls.__match_args__, values, strict=False)), **named}
    for name, make in cls._factories.items():
        if name not in given:
            given[name] = make()
    taken = cls.__match_args__[: len(values)]
    if len(taken) < len(values):
        raise TypeError(f"{cls.__name__}() takes {len(taken)} arguments without a name, got {len(values)}")
    if given.keys() != cls.__dataclass_fields__.keys() or not named.keys().isdisjoint(taken):
        raise TypeError(f"{cls.__name__}() {_mistake(cls._names, given, [name for name in named if name in taken])}")
    return [given[name] for name in cls._names]


def _mistake(names: Sequence[str], given: Mapping[str, Any], twice: Sequence[str]) -> str:
    unknown, missing = [name for name in given if name not in names], [name for name in names if name not in given]
    words, wrong = (
        ("got two values for", twice) if twice else ("has no field", unknown) if unknown else ("needs", missing)
    )
    return f"{words} {', '.join(map(repr, wrong))}"
