"""`guarded`: nothing of ours raises into the host; our own tests see every error."""

from __future__ import annotations

import logging
import os
from types import TracebackType

_logger = logging.getLogger("kibitz")
_seen: set[str] = set()
_is_strict = os.environ.get("KIBITZ_STRICT") == "1"


def set_strict(is_strict: bool) -> None:
    """Let our own errors through (our tests) or swallow them (everywhere else)."""
    global _is_strict
    _is_strict = is_strict


class _Guarded:
    """Swallows errors of our code, and tells each kind once in the log `kibitz`."""

    __slots__ = ("doing",)

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        report(self.doing, error)
        return not _is_strict


def guarded(doing: str) -> _Guarded:
    """Guard a block of our own code, never of the host's: `with guarded("opening a span"): ...`."""
    return _Guarded(doing)


def report(doing: str, error: BaseException | None) -> None:
    """Tell an error of ours once per kind and place; quietly, the host's log is not ours."""
    name = f"{doing}: {type(error).__name__}"
    if name not in _seen and len(_seen) < 100:
        _seen.add(name)
        _logger.debug("kibitz failed while %s", doing, exc_info=error)


def swallow(doing: str, error: Exception) -> None:
    """As `guarded`, for an `except Exception` around our own code on the hot path."""
    report(doing, error)
    if _is_strict:
        raise error
