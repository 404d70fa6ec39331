"""JSON schema of a function from its type hints, in the form model providers take for tools.

Pure; pydantic models describe themselves, and pydantic is never imported for it.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    decimal.Decimal: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    bytes: {"type": "string"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    set: {"type": "array", "uniqueItems": True},
    frozenset: {"type": "array", "uniqueItems": True},
    dict: {"type": "object"},
    object: {},
    Any: {},
    inspect.Parameter.empty: {},
    datetime.datetime: {"type": "string", "format": "date-time"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.time: {"type": "string", "format": "time"},
    datetime.timedelta: {"type": "string", "format": "duration"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    Path: {"type": "string"},
}
_SEQUENCES = (
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.deque,
)
_SETS = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping, collections.OrderedDict)


def tool_schema(function: Callable[..., Any], name: str | None = None) -> Schema:
    """Describe a function as a tool.

    Shape: {"name": str, "description": str, "parameters": JSON schema of an object}
    """
    builder = _Builder()
    properties: dict[str, Schema] = {}
    required = []
    hints = _hints_of(function)
    for parameter in _parameters_of(function):
        schema = builder.describe(hints.get(parameter.name, parameter.annotation))
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
        elif _is_json(parameter.default):
            schema = {**schema, "default": parameter.default}
        properties[parameter.name] = schema
    parameters: Schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    if builder.definitions:
        parameters["$defs"] = builder.definitions
    return {
        "name": name or function.__name__,
        "description": inspect.getdoc(function) or "",
        "parameters": parameters,
    }


def _parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    place = function.__qualname__.rpartition("<locals>.")[2]
    if "." in place and parameters and parameters[0].name in ("self", "cls", "mcs"):
        parameters = parameters[1:]
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each for each in parameters if each.kind not in rest]


def _hints_of(thing: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except Exception:  # a name that exists for type checkers only
        return {}


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_json(each) for each in value)
    return value is None or type(value) in (str, int, float, bool)


class _Builder:
    """Describes types; named ones once, under `$defs`, so that they may contain themselves."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def describe(self, hint: Any) -> Schema:
        """Return the schema of a type hint; `{}` (anything) for what has none."""
        if isinstance(hint, (str, typing.TypeVar)):
            return {}
        plain = _PLAIN.get(hint) if isinstance(hint, collections.abc.Hashable) else None
        if plain is not None:
            return dict(plain)
        origin = typing.get_origin(hint)
        if origin is not None:
            return self._describe_generic(origin, typing.get_args(hint), hint)
        if hasattr(hint, "__supertype__"):  # NewType
            return self.describe(hint.__supertype__)
        if not isinstance(hint, type):
            return {}
        return self._describe_class(hint)

    def _describe_generic(self, origin: Any, args: tuple[Any, ...], hint: Any) -> Schema:
        if origin is typing.Annotated:
            return self._describe_annotated(args[0], args[1:])
        if origin is typing.Literal:
            return _enumeration(list(args))
        if origin in (typing.Union, types.UnionType):
            return _any_of([self.describe(each) for each in args])
        if origin in (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar):
            return self.describe(args[0])
        if origin is tuple:
            return self._describe_tuple(args)
        if origin in _SETS:
            return {"type": "array", "items": self.describe(args[0]), "uniqueItems": True}
        if origin in _SEQUENCES:
            return {"type": "array", "items": self.describe(args[0])}
        if origin in _MAPPINGS:
            return {"type": "object", "additionalProperties": self.describe(args[-1])}
        if isinstance(hint, type) or isinstance(origin, type):
            return self.describe(origin)
        return {}

    def _describe_annotated(self, hint: Any, extras: tuple[Any, ...]) -> Schema:
        schema = self.describe(hint)
        for extra in extras:
            text = extra if isinstance(extra, str) else _description_of(extra)
            if text:
                schema = {**schema, "description": text}
        return schema

    def _describe_tuple(self, args: tuple[Any, ...]) -> Schema:
        if len(args) == 2 and args[1] is Ellipsis:
            return {"type": "array", "items": self.describe(args[0])}
        size = len(args)
        items = [self.describe(each) for each in args]
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}

    def _describe_class(self, kind: type) -> Schema:
        if issubclass(kind, enum.Enum):
            return _enumeration([each.value for each in kind])
        describe_itself = getattr(kind, "model_json_schema", None)
        if callable(describe_itself):
            return self._describe_model(kind, describe_itself)
        if dataclasses.is_dataclass(kind):
            return self._define(kind, self._dataclass_fields)
        if typing.is_typeddict(kind):
            return self._define(kind, self._typeddict_fields)
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return self._define(kind, self._namedtuple_fields)
        for base in kind.__mro__[1:-1]:
            if base in _PLAIN:
                return dict(_PLAIN[base])
        return {}

    def _describe_model(self, kind: type, describe_itself: Callable[..., Schema]) -> Schema:
        try:
            schema = dict(describe_itself(ref_template="#/$defs/{model}"))
        except Exception:  # a model with fields JSON cannot say
            return {"type": "object"}
        self.definitions.update(schema.pop("$defs", {}))
        self.definitions[kind.__name__] = schema
        return {"$ref": f"#/$defs/{kind.__name__}"}

    def _define(
        self, kind: type, read: Callable[[type], list[tuple[str, Any, bool, Schema]]]
    ) -> Schema:
        """Describe a class with fields. `read`: name, hint, is required, more keywords of each."""
        name = kind.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # before its fields: they may refer to it
            properties, required = {}, []
            for field, hint, is_required, more in read(kind):
                properties[field] = {**self.describe(hint), **more}
                if is_required:
                    required.append(field)
            self.definitions[name] = {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            }
            if "__doc__" in kind.__dict__ and kind.__doc__ and not _is_generated(kind):
                self.definitions[name]["description"] = inspect.cleandoc(kind.__doc__)
        return {"$ref": f"#/$defs/{name}"}

    def _dataclass_fields(self, kind: type) -> list[tuple[str, Any, bool, Schema]]:
        hints = _hints_of(kind)
        found = []
        for field in dataclasses.fields(kind):
            if not field.init:
                continue
            has_default = field.default is not dataclasses.MISSING
            is_required = not has_default and field.default_factory is dataclasses.MISSING
            more: Schema = {}
            if has_default and _is_json(field.default):
                more["default"] = field.default
            if isinstance(field.metadata.get("description"), str):
                more["description"] = field.metadata["description"]
            found.append((field.name, hints.get(field.name, field.type), is_required, more))
        return found

    def _typeddict_fields(self, kind: type) -> list[tuple[str, Any, bool, Schema]]:
        required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
        hints: Mapping[str, Any] = _hints_of(kind) or kind.__annotations__
        return [(name, hint, name in required, {}) for name, hint in hints.items()]

    def _namedtuple_fields(self, kind: type) -> list[tuple[str, Any, bool, Schema]]:
        defaults: Mapping[str, Any] = getattr(kind, "_field_defaults", {})
        names: tuple[str, ...] = getattr(kind, "_fields", ())
        hints = _hints_of(kind)
        return [(name, hints.get(name, Any), name not in defaults, {}) for name in names]


def _is_generated(kind: type) -> bool:
    """Whether the docstring is the signature that `dataclass` and `NamedTuple` write themselves."""
    return (kind.__doc__ or "").startswith(f"{kind.__name__}(")


def _description_of(extra: Any) -> str | None:
    """The description in pydantic's `Field(description=…)` or typing_extensions' `Doc`."""
    for name in ("description", "documentation"):
        text = getattr(extra, name, None)
        if isinstance(text, str):
            return text
    return None


def _enumeration(values: list[Any]) -> Schema:
    schema: Schema = {"enum": [value for value in values if _is_json(value)]}
    names = {_PLAIN[type(value)]["type"] for value in schema["enum"] if type(value) in _PLAIN}
    if len(names) == 1:
        schema = {"type": names.pop(), **schema}
    return schema


def _any_of(options: list[Schema]) -> Schema:
    if {} in options:
        return {}
    names = [option["type"] for option in options if list(option) == ["type"]]
    if len(names) == len(options):
        return {"type": names[0] if len(names) == 1 else names}
    return {"anyOf": options}
