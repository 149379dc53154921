"""Registries: a kind's types by name, filled by importing every module of one folder.

Adding a type is adding a file: no list is edited anywhere.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from backprop_cli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")


def snake_case(name: str) -> str:
    """``LeakyRelu`` -> ``leaky_relu``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def discover(package: str) -> list[str]:
    """Import every module of the folder ``package`` (sorted by name); return the modules' full names."""
    folder = importlib.import_module(package)
    names = sorted(f"{package}.{found.name}" for found in pkgutil.iter_modules(folder.__path__))
    for name in names:
        importlib.import_module(name)
    return names


class Registry(Generic[T]):
    """Types of one kind by name: ``LAYERS["dense"]`` is the class ``Dense``.

    The folder is imported on the first look-up, so that importing a registry costs nothing.
    A class's name here is its ``type`` field's default, or its class name in snake case.
    """

    def __init__(self, kind: str, plural: str, package: str):
        self.kind, self.plural, self.package = kind, plural, package
        self._types: dict[str, type[T]] = {}
        self._discovered = False

    def register(self, cls: type[T]) -> type[T]:
        """Class decorator: enter ``cls`` under its name."""
        name = self.name_of(cls)
        known = self._types.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{self.kind} '{name}' is registered twice: {known!r} and {cls!r}")
        self._types[name] = cls
        return cls

    @staticmethod
    def name_of(cls: type[Any]) -> str:
        """The name under which a class is registered."""
        fields = getattr(cls, "model_fields", None) or getattr(cls, "__pydantic_fields__", {})
        return str(fields["type"].default) if "type" in fields else snake_case(cls.__name__)

    def _load(self) -> dict[str, type[T]]:
        if not self._discovered:
            self._discovered = True  # first: the folder's own modules may look things up
            discover(self.package)
        return self._types

    def __getitem__(self, name: str) -> type[T]:
        types = self._load()
        if name not in types:
            raise UsageError(self.unknown(name))
        return types[name]

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def __len__(self) -> int:
        return len(self._load())

    def items(self) -> list[tuple[str, type[T]]]:
        """(name, class) pairs sorted by name."""
        return sorted(self._load().items())

    def unknown(self, name: object) -> str:
        """The message for a name that is not here: the nearest known one, or all of them."""
        near = did_you_mean(str(name), self)
        return f"unknown {self.kind} '{name}'" + (near or f"; known: {', '.join(self)}")


class Choice:
    """Pydantic marker: a field holding one of a registry's types.

    ``activation: Annotated[Activation, Choice(ACTIVATIONS)]`` accepts ``relu`` and ``{type: leaky_relu, slope: 0.2}``:
    a bare string stands for that type with its defaults. The schema is a union tagged by ``type``, so an error's
    location carries the tag as one extra step after the field (``("activation", "leaky_relu", "slope")``).
    """

    def __init__(self, registry: Registry[Any]):
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import PydanticCustomError, core_schema

        registry = self.registry
        choices: dict[Any, CoreSchema] = {name: handler.generate_schema(cls) for name, cls in registry.items()}

        def expand(value: Any) -> Any:
            if isinstance(value, str):
                value = {"type": value}
            if isinstance(value, dict):
                if "type" not in value:
                    raise PydanticCustomError(
                        "missing_type", "{reason}", {"reason": f"needs a 'type': {', '.join(registry)}"}
                    )
                if not isinstance(value["type"], str) or value["type"] not in registry:
                    reason = registry.unknown(value["type"])
                    raise PydanticCustomError("unknown_type", "{reason}", {"reason": reason, "key": "type"})
            return value

        union = core_schema.tagged_union_schema(choices, discriminator="type", from_attributes=True)
        return core_schema.no_info_before_validator_function(expand, union)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        complete = [name for name, cls in self.registry.items() if not _required_keys(cls)]
        tagged = {"type": "object", "required": ["type"], **handler(schema)}
        return {"anyOf": [{"enum": complete}, tagged]}


def _required_keys(cls: type[Any]) -> list[str]:
    return [key for key, field in cls.model_fields.items() if field.is_required()]
