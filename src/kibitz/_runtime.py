"""The border between the way in (spans) and the way out (spool): what is switched on in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kibitz.config import Settings

SPAN, LOG_RECORD, START = 1, 2, 3  # kinds of payload `put` takes


@dataclass(slots=True)
class Runtime:
    """What `init()` made; the way in reads it at every call.

    `put(kind, payload)` takes one whole OTLP/JSON `scopeSpans` (kinds 1, 3) or `scopeLogs` (kind 2)
    element. It makes no system call, never raises, and may be called from a finaliser or signal handler.
    """

    settings: Settings
    put: Callable[[int, bytes], None]
    redactor: Any = None
    join_otel: bool = False  # fill OpenTelemetry's current-span slot even if the host uses it


_current: Runtime | None = None


def get() -> Runtime | None:
    """The runtime, or None before `init()` and after `shutdown()`."""
    return _current


def install(runtime: Runtime | None) -> None:
    """Make this the runtime of the process."""
    global _current
    _current = runtime
