"""Registries: a kind's types by name, filled by importing every module of one folder.

To add a type, add a file: no list is edited anywhere. The types of a plugin, a user's own module, are registered only
while a configuration that names the plugin is in use: see ``use_guests``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from backprop_cli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")

PLUGIN = "bp_plugin_"
"""Start of the name of every plugin's module."""


def _with_article(noun: str) -> str:
    """``a layer``, ``an op``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


@cache
def snake_case(name: str) -> str:
    """``LeakyRelu`` -> ``leaky_relu``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def discover(package: str) -> list[str]:
    """Import every module of the folder ``package`` (sorted by name); return the modules' full names.

    Modules whose name starts with an underscore are left out: they hold code that the others share.
    """
    names = [f"{package}.{name}" for name in modules_of(package)]
    for name in names:
        importlib.import_module(name)
    return names


def modules_of(package: str) -> list[str]:
    """Names of the modules of a folder, sorted, without those that start with an underscore."""
    folder = importlib.import_module(package)
    names = (found.name for found in pkgutil.iter_modules(folder.__path__))
    return sorted(name for name in names if not name.startswith("_"))


class Registry(Generic[T]):
    """Types of one kind by name: ``LAYERS["dense"]`` is the class ``Dense``.

    Importing a registry costs nothing, and a command pays only for the types it uses. A look-up imports the module of
    that name, then modules with a similar name (``pool`` for ``max_pool``), finally the whole folder, as a listing
    does. So the names of files decide how fast a type is found, but not whether.
    A class's name is the default of its ``type`` field, or its class name in snake case.
    """

    def __init__(self, kind: str, plural: str, package: str, base: type[T] | None = None):
        self.kind, self.plural, self.package = kind, plural, package
        self.base = base
        """The class that every type subclasses; None: any class."""
        self._types: dict[str, type[T]] = {}
        self._discovered = False

    def register(self, cls: type[T]) -> type[T]:
        """Class decorator: register ``cls`` under its name.

        Raises: RegistrationError if the name is taken, or the class is not a subclass of ``base``.
        """
        if self.base is not None and not issubclass(cls, self.base):
            raise RegistrationError(f"{cls.__name__} is not {_with_article(self.kind)}: subclass {self.base.__name__}")
        name = self.name_of(cls)
        if cls.__module__.startswith(PLUGIN):
            # Importing the whole folder takes 0.1 s: ``check_name`` does it once for each plugin.
            self._refuse_second(name, self._guest_types().get(name) or self._import_near(name))
            _guests.append(Registration(self, name, cls))
            return cls
        known = self._types.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            self._refuse_second(name, known)
        self._types[name] = cls
        return cls

    def _refuse_second(self, name: str, known: type[T] | None) -> None:
        if known is not None:
            home = sys.modules.get(known.__module__)
            place = getattr(home, "__file__", None) if known.__module__.startswith(PLUGIN) else known.__module__
            raise RegistrationError(
                f"{self.kind} '{name}' is already registered: {known.__qualname__} of {place}; rename one"
            )

    @staticmethod
    def name_of(cls: type[Any]) -> str:
        """The name to register a class under."""
        fields = getattr(cls, "model_fields", None) or getattr(cls, "__pydantic_fields__", {})
        words = snake_case(cls.__name__)
        if "type" not in fields:
            return words
        if fields["type"].is_required():
            raise RegistrationError(
                f"{cls.__name__} has no name; start it with the line type: Literal['{words}'] = '{words}'"
            )
        return str(fields["type"].default)

    def _load(self) -> dict[str, type[T]]:
        if not self._discovered:
            self._discovered = True  # first: the folder's own modules may look things up
            discover(self.package)
        return {**self._types, **self._guest_types()}

    def _guest_types(self) -> dict[str, type[T]]:
        return {entry.name: entry.cls for entry in _guests if entry.registry is self}

    def _find(self, name: object) -> type[T] | None:
        word = str(name)
        return self._guest_types().get(word) or self._import_near(word) or self._load().get(word)

    def _import_near(self, name: str) -> type[T] | None:
        """The type from the module of its name, or from one whose name is part of it or contains it."""
        if name not in self._types and not self._discovered:
            near = (module for module in self._modules if module in name or name in module)
            for module in sorted(near, key=lambda module: (module != name, name in module)):
                importlib.import_module(f"{self.package}.{module}")
                if name in self._types:
                    break
        return self._types.get(name)

    def check_name(self, name: str) -> None:
        """Raise RegistrationError if a module of the folder has a type with this name, the one of a plugin's type."""
        self._load()
        self._refuse_second(name, self._types.get(name))

    @cached_property
    def _modules(self) -> list[str]:
        return modules_of(self.package)

    def __getitem__(self, name: str) -> type[T]:
        found = self._find(name)
        if found is None:
            raise UsageError(self.unknown(name))
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def __len__(self) -> int:
        return len(self._load())

    def items(self) -> list[tuple[str, type[T]]]:
        """(name, class) pairs sorted by name."""
        return sorted(self._load().items())

    def unknown(self, name: object) -> str:
        """The message for an unknown name, with our name for it, the nearest name, or all names."""
        word = str(name)
        way = self._translated(word) or self._owners(word) or self._as_value(word) or did_you_mean(word, self)
        return f"unknown {self.kind} '{name}'" + (way or f"; known: {', '.join(self)}")

    def _translated(self, word: str) -> str:
        from backprop_cli.translations import translated_type

        said = translated_type(self.kind, word, self)
        return f"; {said}" if said else ""

    def _owners(self, word: str) -> str:
        """The types that have a key of this name which is not common to all."""
        common = getattr(self.base, "model_fields", {})
        keys = {known: set(getattr(cls, "model_fields", ())).difference(common) for known, cls in self.items()}
        owners = [known for known, own in keys.items() if word in own]
        return f"; it is a key of {', '.join(owners)}" if owners else ""

    def _as_value(self, word: str) -> str:
        """How to write a type that requires a value of another registry, if the name is one of that registry's."""
        for known, cls in self.items():
            for key, field in getattr(cls, "model_fields", {}).items():
                for choice in field.metadata if field.is_required() else ():
                    if isinstance(choice, Choice) and (name := choice.registry.same(word)):
                        return f"; that is {_with_article(choice.registry.kind)}: {{type: {known}, {key}: {name}}}"
        return ""

    def same(self, word: str) -> str | None:
        """The type whose name is ``word`` without regard to case and underscores: ``LeakyReLU`` is leaky_relu."""
        from backprop_cli.translations import plain

        return next((name for name in self if plain(name) == plain(word)), None)


class RegistrationError(ValueError):
    """A type cannot be registered."""


class Registration(NamedTuple):
    """A registered class: its registry and its name there."""

    registry: Registry[Any]
    name: str
    cls: type[Any]


def check_facts(entry: Registration) -> None:
    """Raise RegistrationError if a class does not define a class variable that its base leaves open."""
    kind = entry.registry.kind
    for name in sorted(getattr(entry.registry.base, "__class_vars__", ())):
        if not hasattr(entry.cls, name):
            raise RegistrationError(f"{kind} '{entry.name}' must define `{name}`")


_guests: list[Registration] = []
"""The types of plugins that are registered at this moment, in all registries."""


def guests() -> tuple[Registration, ...]:
    """The types of plugins that are registered, in the order of registration."""
    return tuple(_guests)


def use_guests(entries: Iterable[Registration]) -> None:
    """Register these types of plugins, in place of those registered before."""
    _guests[:] = entries


def plugin_line(error: BaseException) -> str | None:
    """``FILE:LINE`` of the innermost line of a plugin in the traceback of ``error``, if any."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).startswith(PLUGIN):
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


class Choice:
    """Pydantic marker: a field that holds one of a registry's types.

    ``activation: Annotated[Activation, Choice(ACTIVATIONS)]`` accepts ``relu`` and ``{type: leaky_relu, slope: 0.2}``:
    a bare string stands for that type with its defaults. The type that a value names is looked up when the value is
    read. So a command builds only the schemas it uses, types may contain each other (a block of layers), and types
    registered later are found.
    """

    def __init__(self, registry: Registry[Any]):
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        def read(value: Any) -> Any:
            return value if isinstance(value, source) else self._read(value)

        return core_schema.no_info_plain_validator_function(read)

    def _read(self, value: Any) -> Any:
        from pydantic_core import PydanticCustomError, PydanticKnownError

        given = {"type": value} if isinstance(value, str) else value
        if not isinstance(given, dict):
            raise PydanticKnownError("model_attributes_type")
        if "type" not in given:
            reason = f"needs a 'type': {', '.join(self.registry)}"
            raise PydanticCustomError("missing_type", "{reason}", {"reason": reason})
        if given["type"] not in self.registry:
            reason = self.registry.unknown(given["type"])
            raise PydanticCustomError("unknown_type", "{reason}", {"reason": reason, "key": "type"})
        return self.registry[given["type"]].model_validate(given)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """A union with ``{TYPE: (plural, name, class)}`` in place of each class, which ``json_schema`` resolves."""
        types = self.registry.items()
        complete = [name for name, cls in types if not any(key.is_required() for key in cls.model_fields.values())]
        tagged = {"oneOf": [{TYPE: (self.registry.plural, name, cls)} for name, cls in types]}
        return {"anyOf": [{"enum": complete}, {"type": "object", "required": ["type"], **tagged}]}


TYPE = "registered type"
"""Key of the placeholder for a registered class in a JSON schema."""
