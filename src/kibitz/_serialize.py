"""Pure: any value of the host -> bounded JSON text, without running the host's code.

Never `repr`, `str` or iteration of what is not on a list of known types: a Django QuerySet would
run SQL. A value already made of plain JSON types goes to orjson whole; anything else is copied,
piece by piece, within a budget, by `_copying.Copier`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

MAX_TEXT_BYTES = 384 * 1024  # two of them and their escapes stay below one record's 1 MB
_PLAIN_LIMIT = 64 * 1024  # beyond this weight the bounded copy decides
_DEPTH = 12
_INT64 = 2**63


class Snapshot(NamedTuple):
    """JSON text, and the size it would have had if something was cut, else 0."""

    text: str
    original_bytes: int


def snapshot(value: Any, max_bytes: int = MAX_TEXT_BYTES) -> Snapshot:
    """Return a value as JSON text of at most about `max_bytes`; never raises."""
    try:
        if 0 <= _weigh(value, _DEPTH) <= max_bytes:
            return Snapshot(orjson.dumps(value).decode(), 0)
    except Exception:  # lone surrogates, a dict changed by another thread: the copy takes care
        pass
    from kibitz._copying import copy  # the slow path, not needed by an app of plain values

    return copy(value, max_bytes)


def _weigh(value: Any, depth: int) -> int:
    """Roughly the bytes of a value of plain JSON types; negative if it is not plain or too big."""
    kind = type(value)
    if kind is str:
        return len(value)
    if value is None or kind is bool:
        return 5
    if kind is int:
        return 20 if -_INT64 <= value < _INT64 else -1
    if kind is float:
        return 20 if value - value == 0 else -1
    if kind is dict:
        parts = value.values()
        weight = 0
        for key in value:
            if type(key) is not str:
                return -1
            weight += len(key) + 4
    elif kind is list or kind is tuple:
        parts = value
        weight = 2 * len(value)
    else:
        return -1
    if not depth:
        return -1
    for part in parts:
        if type(part) is str:
            weight += len(part)
        else:
            more = _weigh(part, depth - 1)
            if more < 0:
                return -1
            weight += more
        if weight > _PLAIN_LIMIT:
            return -1
    return weight
