"""Reads attribute values in disguise: numbers as text, lists as Python tuples, JSON in text.

None of these functions raises; None means "says nothing".
"""

import json
import re
from typing import Any

import orjson

MAX_DEPTH = 32
_INT64 = 2**63
_LONGEST_NUMBER = 40
_EMPTY_TEXTS = frozenset(("", "None", "null"))
_TRUE = frozenset(("true", "1", "yes"))
_FALSE = frozenset(("false", "0", "no"))
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_SURROGATE = re.compile("[\ud800-\udfff]")


def text(value: Any) -> str | None:
    """Return the value as text; empty text and a stringified null say nothing."""
    if isinstance(value, str):
        return None if value in _EMPTY_TEXTS else value
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value)


def quoted_text(value: Any) -> str | None:
    """Like `text`, for senders that write every value as JSON text."""
    if value.__class__ is str and value[:1] != '"':
        return None if value in _EMPTY_TEXTS else value
    found = text(value)
    if found is not None and len(found) > 1 and found[0] == '"' and found[-1] == '"':
        inner = parse_json(found)
        return text(inner) if isinstance(inner, str) else found
    return found


def integer(value: Any) -> int | None:
    """Return a count: whole, not negative, within 64 bits."""
    if value.__class__ is int:
        return value if 0 <= value < _INT64 else None
    number_ = number(value)
    if number_ is None or number_ < 0 or number_ >= _INT64:
        return None
    return int(number_)


def number(value: Any) -> float | int | None:
    """Return a finite number, also from text."""
    if value.__class__ is int or value.__class__ is float:
        found: float | int = value
    elif isinstance(value, str) and len(value) < _LONGEST_NUMBER:
        try:
            is_whole = value.removeprefix("-").isdecimal()
            found = int(value) if is_whole else float(value)
        except ValueError:
            return None
    else:
        return None
    return found if -_INT64 <= found < _INT64 else None


def flag(value: Any) -> bool | None:
    """Return a boolean, also from text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
    return None


def texts(value: Any) -> list[str] | None:
    """Return a list of text: from a list, JSON text, a printed Python tuple or one word."""
    if isinstance(value, str):
        head = value[:1]
        if head == "[":
            value = parse_json(value) or [m[0] or m[1] for m in _QUOTED.findall(value)]
        elif head == "(":
            value = [m[0] or m[1] for m in _QUOTED.findall(value)]
        else:
            value = [value]
    if not isinstance(value, list):
        return None
    found = [item for item in map(text, value) if item is not None]
    return found or None


def filled(value: Any) -> Any:
    """Return the value unless it is empty."""
    if value is None or value == "" or value == [] or value == {}:
        return None
    return value


def parse_json(value: str) -> Any:
    """Parse JSON text, bounded and clean; None when it is not JSON (or is `null`)."""
    try:
        parsed = orjson.loads(value)
    except (orjson.JSONDecodeError, UnicodeError):
        # orjson refuses lone surrogates, NaN and 1e400, which real senders write.
        try:
            parsed = json.loads(value, strict=False, parse_constant=_nothing, parse_int=_bounded)
        except (ValueError, RecursionError):
            return None
        return bounded(parsed)
    is_deep = len(value) > 2 * MAX_DEPTH and value.count("[") + value.count("{") > MAX_DEPTH
    return bounded(parsed) if is_deep or "\\u0000" in value else parsed


def json_value(value: Any) -> Any:
    """Return what an attribute says: the JSON its text holds, or the value when structured."""
    if value.__class__ is not str:
        return value
    head = value[:1]
    if head in '{["' or value in ("true", "false", "null") or head in "-0123456789":
        parsed = parse_json(value)
        if parsed is not None or value == "null":
            return parsed
    return value


def json_object(value: Any) -> dict[str, Any] | None:
    """Return a non-empty object, from one or from its JSON text."""
    if value.__class__ is str and value[:1] == "{":
        value = parse_json(value)
    return value if isinstance(value, dict) and value else None


def json_list(value: Any) -> list[Any] | None:
    """Return a non-empty list, from one or from its JSON text."""
    if value.__class__ is str and value[:1] == "[":
        value = parse_json(value)
    return value if isinstance(value, list) and value else None


def dumps(value: Any) -> str:
    """Return JSON text of a value that came from JSON."""
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):
        return json.dumps(value, default=str)


def shape(keys: tuple[str, ...]) -> Any:
    """Return the lists and dicts that `a.0.b`-style keys make; in place of each value, its place.

    All-digit keys make a list, sorted as numbers, holes closed. At least one key must be given. A
    longer key that meets a scalar in its way is dropped: both cannot be true.
    """
    root: dict[str, Any] = {}
    for place, key in enumerate(keys):
        node = root
        parts = key.split(".", MAX_DEPTH)
        for part in parts[:-1]:
            below = node.setdefault(part, {})
            if below.__class__ is int:
                break
            node = below
        else:
            if node.get(parts[-1]).__class__ is not dict:
                node[parts[-1]] = place
    return _settle(root)


def _settle(node: dict[str, Any]) -> Any:
    for key, value in node.items():
        if value.__class__ is dict:
            node[key] = _settle(value)
    if next(iter(node), "x").isdecimal() and all(k.isdecimal() and len(k) < 10 for k in node):
        return [node[key] for key in sorted(node, key=int)]
    return node


def fill(made: Any, given: Any) -> Any:
    """Return what `shape` made with each value, `given[place]`, in its place."""
    if made.__class__ is dict:
        return {
            key: fill(one, given) if one.__class__ is dict or one.__class__ is list else given[one]
            for key, one in made.items()
        }
    if made.__class__ is list:
        return [fill(one, given) for one in made]
    return given[made]


def bounded(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return the value with clean text, numbers within 64 bits and at most `depth` levels."""
    kind = value.__class__
    if kind is str:
        return clean(value)
    if kind is int:
        return value if -_INT64 <= value < _INT64 else str(value)
    if kind is float:
        return value if -1e309 < value < 1e309 else None
    if kind is dict:
        if depth <= 0:
            return "{…}"
        return {clean(str(key)): bounded(item, depth - 1) for key, item in value.items()}
    if kind is list or kind is tuple:
        if depth <= 0:
            return "[…]"
        return [bounded(item, depth - 1) for item in value]
    return value


def clean(value: str) -> str:
    """Replace what databases and UTF-8 cannot hold by U+FFFD."""
    if "\x00" in value:
        value = value.replace("\x00", "\ufffd")
    if not value.isascii():
        value = _SURROGATE.sub("\ufffd", value)
    return value


def _nothing(_name: str) -> None:
    return None


def _bounded(digits: str) -> int | str:
    if len(digits) < 19:
        return int(digits)
    if len(digits) > 20:
        return digits
    value = int(digits)
    return value if -_INT64 <= value < _INT64 else digits
