"""Threads that compute for ingest take turns: one at a time, in pieces of milliseconds.

SQLite lets go of the GIL at each row. A writer that must then wait for it until a decoding thread's
5 ms are over stores half as much, and both cost a third more.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

TURN = threading.Lock()
"""Held while computing, never while waiting: for a lock, a commit, another process."""

_PIECE = 250


def pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a large request into what one turn is long enough for: about 10 ms."""
    if len(items) <= _PIECE:
        yield items
        return
    for start in range(0, len(items), _PIECE):
        yield items[start : start + _PIECE]
