"""Random trace and span ids, from a generator of our own.

Not `random`'s global one, which repeats after the host's `random.seed(42)`, and not a copy of the
parent's after a fork, which would repeat in every child.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

_random = random.Random(os.urandom(16))
_bits = _random.getrandbits
_pid = os.getpid()
on_fork: list[Callable[[], None]] = []  # what else a forked child must renew before its first span


def new_trace_id() -> int:
    """Return a random trace id, never 0. A span id must have been asked for first.

    One look for a fork per span: it costs 0.2 µs, more than the ids.
    """
    return _bits(128) or 1


def new_span_id() -> int:
    """Return a random span id, never 0."""
    if os.getpid() != _pid:  # uWSGI forks without Python's hooks
        _reseed()
    return _bits(64) or 1


def _reseed() -> None:
    global _pid
    _pid = os.getpid()
    _random.seed(os.urandom(16))
    for renew in on_fork:
        renew()
