"""Pure: the slow way of a snapshot, for values that are not plain JSON: copied within a budget.

Only what is on the list below is ever read, and read through the built-in type's own methods, so a
subclass cannot run code. Everything else becomes its type's name.
"""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import math
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from kibitz._serialize import Snapshot

_DEPTH = 12
_MAX_NODES = 5_000
_MAX_ITEMS = 1_000  # of one collection
_MAX_ARRAY = 1_000  # elements of a number array that is shown
_INT64 = 2**63
_LONGEST_WORD = 256
_CUT_WORD = re.compile(r"[\w+/=.~-]{1,256}$")  # half a secret must not survive at the cut
_ARRAY_MODULES = ("numpy", "torch", "pandas", "jax", "jaxlib", "tensorflow", "polars", "cupy")


def copy(value: Any, max_bytes: int) -> Snapshot:
    """Return a bounded JSON text of any value; never raises."""
    copier = Copier(max_bytes)
    try:
        text = orjson.dumps(copier.copy(value, _DEPTH)).decode()
    except Exception:
        text = orjson.dumps(type_name(value)).decode()
    return Snapshot(text, len(text) + copier.lost if copier.lost else 0)


def type_name(value: Any) -> str:
    """Name the type of a value that is not looked into."""
    kind = type(value)
    module = kind.__module__
    name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    return f"<{clean(name)}>"


def clean(text: str) -> str:
    """Replace lone surrogates, which no JSON may hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Copier:
    """Copies one value into plain JSON types, within a budget of bytes and nodes."""

    def __init__(self, max_bytes: int) -> None:
        self.room = max_bytes
        self.nodes = _MAX_NODES
        self.lost = 0  # bytes, or items, that were left out
        self._open: set[int] = set()  # containers we are inside of

    def copy(self, value: Any, depth: int) -> Any:
        """Copy a value; `depth` levels of nesting are left."""
        self.nodes -= 1
        self.room -= 8
        if self.nodes < 0 or self.room < 0:
            self.lost += 1
            return "…"
        scalar = _SCALARS.get(type(value))
        if scalar is not None:
            return scalar(self, value)
        if id(value) in self._open:
            return "<cycle>"
        self._open.add(id(value))
        try:
            return self._copy_structure(value, depth)
        except Exception:  # a field that is not there, an odd metaclass
            return type_name(value)
        finally:
            self._open.discard(id(value))

    def _copy_structure(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if isinstance(value, enum.Enum):
            return self.copy(value._value_, depth)
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, (bool, int)):
            return _whole(self, int(int.__index__(value)))
        if isinstance(value, float):
            return _real(self, float.__float__(value))
        if isinstance(value, (*_COLLECTIONS, dict)) or _fields_of(kind) is not None:
            if depth <= 0:
                self.lost += 1
                return type_name(value)
            return self._copy_inside(value, depth - 1)
        if kind.__module__.partition(".")[0] in _ARRAY_MODULES:
            return self._copy_array(value, depth)
        for base, show in _SHOWN:
            if isinstance(value, base):
                return self.text(show(value))
        return type_name(value)

    def _copy_inside(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return self._copy_pairs(dict.items(value), len(value), depth)
        names = getattr(type(value), "_fields", None)
        if isinstance(value, tuple) and isinstance(names, tuple):
            return self._copy_pairs(zip(names, tuple.__iter__(value), strict=False), 0, depth)
        for base in _COLLECTIONS:
            if isinstance(value, base):
                return self._copy_items(base.__iter__(value), base.__len__(value), depth)
        return self._copy_pairs(_read_fields(value), 0, depth)

    def _copy_pairs(self, pairs: Iterable[tuple[Any, Any]], size: int, depth: int) -> Any:
        copied: dict[str, Any] = {}
        for key, item in pairs:
            if len(copied) >= _MAX_ITEMS or self.nodes < 0 or self.room < 0:
                self.lost += max(1, size - len(copied))
                copied["…"] = f"{size - len(copied)} more"
                break
            copied[self._key(key)] = self.copy(item, depth)
        return copied

    def _copy_items(self, items: Iterator[Any], size: int, depth: int) -> Any:
        copied: list[Any] = []
        for item in items:
            if len(copied) >= _MAX_ITEMS or self.nodes < 0 or self.room < 0:
                self.lost += max(1, size - len(copied))
                copied.append(f"… {size - len(copied)} more")
                break
            copied.append(self.copy(item, depth))
        return copied

    def _copy_array(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind.__module__.partition(".")[0] == "numpy":
            size = getattr(value, "size", None)
            is_plain = getattr(getattr(value, "dtype", None), "kind", "O") in "biufSU"
            if type(size) is int and size <= _MAX_ARRAY and is_plain:
                return self.copy(value.tolist(), depth)
        shape = getattr(value, "shape", None)
        if not isinstance(shape, tuple):
            return type_name(value)
        sizes = ", ".join(str(n) for n in shape if type(n) is int)
        return f"{type_name(value)[:-1]} shape=({sizes})>"

    def _key(self, key: Any) -> str:
        if isinstance(key, enum.Enum):
            key = key._value_
        if isinstance(key, str):
            return self.text(str.__str__(key))
        if key is None or isinstance(key, (int, float)):
            copied = self.copy(key, 1)
            return copied if isinstance(copied, str) else orjson.dumps(copied).decode()
        copied = self.copy(key, 3)
        return copied if isinstance(copied, str) else orjson.dumps(copied).decode()

    def text(self, text: str) -> str:
        """Take a text into the copy, cut if the budget is spent."""
        size = len(text)
        if size <= self.room:
            self.room -= size
            return clean(text)
        kept = clean(_without_cut_word(text[: max(self.room, 0)]))
        self.room = 0
        self.lost += size - len(kept)
        return f"{kept}…[cut, {size} characters]"


def _without_cut_word(text: str) -> str:
    """Only the end is searched: over all of a long base64 text the pattern takes seconds."""
    end = max(0, len(text) - _LONGEST_WORD)
    return text[:end] + _CUT_WORD.sub("", text[end:])


def _whole(_: Copier, value: int) -> Any:
    if -_INT64 <= value < _INT64:
        return value
    try:
        return str(value)
    except ValueError:  # more digits than Python converts
        return f"<int of {value.bit_length()} bits>"


def _real(_: Copier, value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _bytes(copier: Copier, value: Any) -> str:
    size = len(value)
    if size <= 4096:
        try:
            text = bytes(value).decode()
        except UnicodeDecodeError:
            text = "\0"
        if text.isprintable():
            return copier.text(text)
    return f"<{type(value).__name__} of {size} bytes>"


def _memory(copier: Copier, value: memoryview) -> str:
    return f"<memoryview of {value.nbytes} bytes>"


def _as_is(_: Copier, value: Any) -> Any:
    return value


_SCALARS: dict[type, Callable[[Copier, Any], Any]] = {
    type(None): _as_is,
    bool: _as_is,
    int: _whole,
    float: _real,
    str: Copier.text,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _memory,
    array.array: lambda copier, value: copier.copy(value.tolist()[:_MAX_ARRAY], 1),
}
_COLLECTIONS: tuple[Any, ...] = (
    list,
    tuple,
    set,
    frozenset,
    collections.deque,
    type({}.keys()),
    type({}.values()),
)
_SHOWN: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (datetime.datetime, datetime.datetime.isoformat),
    (datetime.date, datetime.date.isoformat),
    (datetime.time, datetime.time.isoformat),
    (datetime.timedelta, lambda value: f"{value.total_seconds()} s"),
    (decimal.Decimal, decimal.Decimal.__str__),
    (uuid.UUID, uuid.UUID.__str__),
    (pathlib.PurePath, pathlib.PurePath.__str__),
    (complex, complex.__repr__),
    (range, range.__repr__),
    (re.Pattern, lambda value: str(value.pattern)),
    (type, lambda value: f"<class {value.__module__}.{value.__qualname__}>"),
    (
        (types.FunctionType, types.BuiltinFunctionType),
        lambda value: f"<function {value.__module__}.{value.__qualname__}>",
    ),
    (types.ModuleType, lambda value: f"<module {value.__dict__.get('__name__')}>"),
    (types.SimpleNamespace, lambda value: f"<namespace of {len(value.__dict__)}>"),
    (BaseException, lambda value: describe(value)),
)


def describe(error: BaseException) -> str:
    """Return an exception's type and message; only the type if the message cannot be had."""
    try:
        return f"{type(error).__qualname__}: {error}"
    except Exception:
        return type(error).__qualname__


def _fields_of(kind: type) -> Any:
    """The declared fields of a dataclass, pydantic model (1 and 2) or attrs class, else None."""
    declared = kind.__dict__.get("__dataclass_fields__") or getattr(
        kind, "__dataclass_fields__", None
    )
    if declared is not None:
        return declared
    if "pydantic" in sys.modules:
        for name in ("__pydantic_fields__", "__fields__"):
            declared = kind.__dict__.get(name)
            if type(declared) is dict:
                return declared
    attributes = getattr(kind, "__attrs_attrs__", None)
    return {each.name: each for each in attributes} if attributes is not None else None


def _read_fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Fields and values, without the ones declared `repr=False`: those are the secret ones."""
    own = getattr(value, "__dict__", {})
    for name, declared in _fields_of(type(value)).items():
        if getattr(declared, "repr", True) is False:
            continue
        if name in own:
            yield name, own[name]
        elif isinstance(getattr(type(value), name, None), types.MemberDescriptorType):
            yield name, object.__getattribute__(value, name)  # a slot
    extra = own.get("__pydantic_extra__") or _pydantic_extra(value)
    if type(extra) is dict:
        yield from extra.items()


def _pydantic_extra(value: Any) -> Any:
    if "__pydantic_fields__" not in type(value).__dict__:
        return None
    try:
        return object.__getattribute__(value, "__pydantic_extra__")
    except AttributeError:
        return None
