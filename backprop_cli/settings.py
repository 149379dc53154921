"""The pydantic base of every YAML section, whose fields are its schema; markers and types of fields."""

from __future__ import annotations

import ast
import inspect
import os
import re
import textwrap
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")


class Settings(BaseModel):
    """Immutable, hashable and strict: text is no number, and an unknown key is an error.

    The docstring below a field describes it: see ``descriptions``.
    """

    # Most settings are only validated as part of the whole configuration: deferring saves 40 ms at each start.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    like: ClassVar[type[Settings] | None] = None
    """Another class that shares keys and descriptions with this one; keys not given here have its values."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        properties = handler.resolve_ref_schema(described).get("properties", {})
        for key, text in descriptions(cls).items():
            if key in properties:
                properties[key].setdefault("description", text)
        return described


def refusal(reason: str, key: str | None = None) -> PydanticCustomError:
    """A validator's error with ``reason`` as its message; ``key``: the key of the section to change."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason, **({} if key is None else {"key": key})})


def descriptions(cls: type[Settings]) -> dict[str, str]:
    """The description of each key: the docstring below its field, in the class or the nearest base that has one.

    Read from the source on demand. Pydantic's ``use_attribute_docstrings`` reads the source of every class at import,
    which takes 0.1 s for the classes of a configuration.
    """
    words: dict[str, str] = {} if cls.like is None else descriptions(cls.like)
    for above in reversed(cls.__mro__):
        if issubclass(above, Settings) and above is not Settings:
            words |= attribute_docs(above)
    return {key: words[key] for key in cls.model_fields if key in words}


@cache
def attribute_docs(cls: type) -> dict[str, str]:
    """The docstring below each annotated attribute in the body of a class."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError):
        return {}  # the class has no file, as at a prompt
    words = {}
    for field, below in pairwise(definition.body if isinstance(definition, ast.ClassDef) else []):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                words[key] = inspect.cleandoc(text)
    return words


class ByName(dict[str, T]):
    """Settings by name. Hashable, as settings must be, and never modified."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


class NoneWord:
    """Pydantic marker: the word ``none`` means None, in values and in the JSON schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Any:
            return None if isinstance(value, str) and value == "none" else value

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"const": "none"}, handler(schema)]}


class FromData(int):
    """A number that the data decides, written ``auto``. Before the data is read it is 1."""

    def __repr__(self) -> str:
        return "auto"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FromData)

    def __hash__(self) -> int:
        return hash("auto")

    __str__ = __repr__


AUTO = FromData(1)


class OrAuto:
    """Pydantic marker of a number: the word ``auto`` stands for ``AUTO``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any, number: ValidatorFunctionWrapHandler) -> Any:
            return AUTO if isinstance(value, FromData) or value == "auto" else number(value)

        return core_schema.no_info_wrap_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"const": "auto"}, handler(schema["schema"])]}


class OneOrMany:
    """Pydantic marker of a list of names: a single name is a list of one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Any:
            return [value] if isinstance(value, str) else value

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class DefaultType(NamedTuple):
    """Pydantic marker: the ``type`` of a mapping without one, as in ``optimizer: {learning_rate: 1e-2}``."""

    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Any:
            return {"type": self.name, **value} if isinstance(value, dict) and "type" not in value else value

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        words, mapping = handler(schema)["anyOf"]
        # A mapping without a type may fit several alternatives, so one match is enough.
        return {"anyOf": [words, {"type": "object", "anyOf": mapping["oneOf"]}], "default": self.name}


PositiveInt = Annotated[int, Field(gt=0)]
AutoInt = Annotated[PositiveInt, OrAuto()]
"""A number, or ``auto``: the data decides."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
"""A share; 1 is all."""
FractionBelowOne = Annotated[float, Field(ge=0, lt=1)]

Maybe = Annotated[T | None, NoneWord()]
"""``T``, or ``none`` or YAML's null to switch the feature off."""

Many = Annotated[tuple[T, ...], Strict(False)]
"""A YAML list, kept as a tuple so that settings are hashable; its items are strict."""


NOT_UTF_8 = re.compile("[\udc80-\udcff]")
"""Characters by which Python represents bytes of a path that are not UTF-8."""


class IsPath:
    """Marker of a field that names a file, by a path that is absolute or relative to the configuration file.

    Python represents bytes that are not UTF-8 as lone surrogates, which pydantic does not accept as text.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            return value if isinstance(value, str) and NOT_UTF_8.search(value) else inner(value)

        return core_schema.no_info_wrap_validator_function(read, handler(source))


class OnResume(NamedTuple):
    """Marker of a field: the effect of changing its value when a run is resumed, and ``why`` a change is not made.

    It also applies to nested fields without a marker. ``FREE``: training continues. ``RESTARTS``: memory that depends
    on the setting, such as the best value so far, is reset. ``IN_PLACE``: it is ignored, with a remark. The default for
    the whole configuration is ``REFUSED``, so that a new setting cannot be changed until someone classifies it.
    """

    effect: Literal["free", "restarts", "ignored", "refused"]
    why: str = ""


FREE, RESTARTS = OnResume("free"), OnResume("restarts")
REFUSED = OnResume("refused", "the numbers that the run has saved would mean something else")
RESPLITS = OnResume("refused", "the run would be tested on rows that it was trained on")
IN_PLACE = OnResume("ignored", "a resumed run stays in its directory")
REREADS = OnResume("refused", "the network was trained on its inputs and targets as they were")


VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
"""An environment variable in a path, with its default if it has one."""


def expanded(path: str) -> str:
    """The path with environment variables filled in; one that starts with a variable is relative to the working
    directory.
    """

    def value(found: re.Match[str]) -> str:
        name, default = found.groups()
        given = os.environ.get(name, "")
        if given:
            return str(Path.cwd() / given) if found.start() == 0 else given
        if default is None:
            reason = f"the environment variable {name} is not set; set it, or write a path"
            raise refusal(reason)
        return default

    return VARIABLE.sub(value, path)


FilePath = Annotated[str, Field(min_length=1), IsPath(), AfterValidator(expanded)]
"""A file's path as written in the configuration. ``${NAME}`` in it is an environment variable, ``${NAME:-path}`` one
with a default."""


EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a name or a mapping with a 'type'",
    "union_tag_not_found": "a name or a mapping with a 'type'",
    "none_required": "none",
}
"""The expected sort of value, by type of pydantic error."""
