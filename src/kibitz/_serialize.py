"""Pure: any value of the host -> bounded JSON text, without running the host's code.

Never `repr`, `str` or iteration of what is not on a list of known types: a Django QuerySet would
run SQL. A value already made of plain JSON types goes to orjson whole; anything else is copied,
piece by piece, within a budget, by `_copying.Copier`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import orjson

MAX_TEXT_BYTES = 384 * 1024  # two of them and their escapes stay below one record's 1 MB
_PLAIN_LIMIT = 64 * 1024  # of a collection: beyond this weight the bounded copy decides
_DEPTH = 12


class Snapshot(NamedTuple):
    """JSON text, and the size it would have had if something was cut, else 0."""

    text: str
    original_bytes: int


def snapshot(value: Any, max_bytes: int = MAX_TEXT_BYTES) -> Snapshot:
    """Return a value as JSON text of at most about `max_bytes`; never raises."""
    text = plain(value, max_bytes)
    if text is not None:
        return Snapshot(text, 0)
    from kibitz._copying import copy  # the slow path, not needed by an app of plain values

    return copy(value, max_bytes)


def plain(value: Any, max_bytes: int = MAX_TEXT_BYTES) -> str | None:
    """As `snapshot` for what is small and made of plain JSON types; None for anything else."""
    try:
        kind = type(value)
        if kind is str:
            weight = len(value)
        elif kind is dict:
            weight = _weigh(value.values(), _DEPTH)
        else:
            weight = _weigh((value,), _DEPTH)
        if 0 <= weight <= max_bytes:
            text = orjson.dumps(value)
            if len(text) <= 2 * max_bytes:  # long keys, many escapes
                return text.decode()
    except Exception:
        pass  # lone surrogates, keys that are no text, large numbers, another thread's change
    return None


def _weigh(parts: Collection[Any], depth: int) -> int:
    """Roughly the bytes of values of plain JSON types; negative if one is not plain, or too big.

    Not looked at is what orjson refuses by itself: keys, large integers, surrogates.
    """
    weight = 8 * len(parts)
    if not depth or weight > _PLAIN_LIMIT:
        return -1
    for part in parts:
        kind = type(part)
        if kind is str:
            weight += len(part)
        elif kind is int:
            pass
        elif kind is float:
            if part - part != 0:  # NaN and infinity would silently become null
                return -1
        elif kind is dict or kind is list or kind is tuple:
            more = _weigh(part.values() if kind is dict else part, depth - 1)
            if more < 0:
                return -1
            weight += more
        elif kind is not bool and part is not None:
            return -1
    return weight if weight <= _PLAIN_LIMIT else -1
