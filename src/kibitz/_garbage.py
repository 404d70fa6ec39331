"""Whether this thread is in the midst of a garbage collection, where CPython must be told.

Up to 3.11 it collects garbage in the midst of `ContextVar.set`, and crashes if a finaliser sets the
variable too (later ones collect between two instructions). So what ends in a collection, such as an
abandoned generator, runs without being current.

The callbacks are all C: one in Python would be where a Ctrl-C strikes now and then, and there
Python prints it and goes on.
"""

from __future__ import annotations

import gc
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from kibitz import _runtime

if TYPE_CHECKING:
    from kibitz._runtime import Runtime


class _Flag(set[str]):
    """Empty between collections: `gc` sets `start` and `stop`, each to a dict of the same keys."""

    start: Any = property(fset=set.update)
    stop: Any = property(fset=set.difference_update)


collecting = _Flag()
_newest: dict[str, Any] = {}  # what `gc` told every callback at the start
_CALLBACKS: list[Any] = [partial(setattr, collecting), _newest.__setitem__]
# The same, of the last collection on each thread. Not where gevent has replaced threads: its locals
# fail while a greenlet is finalised, and its greenlets share one thread anyway.
_own = threading.local() if threading.local.__module__ == "_thread" else None
if _own is not None:
    _CALLBACKS.append(partial(setattr, _own))


def is_collecting() -> bool:
    """Whether a finaliser that a collection runs is what calls this."""
    if not collecting:
        return False
    return _own is None or getattr(_own, "start", None) is _newest.get("start")


def _watch(_: Runtime) -> None:
    gc.callbacks.extend(each for each in _CALLBACKS if each not in gc.callbacks)


if sys.version_info < (3, 12):
    _runtime.on_install(_watch)
