"""The border between the way in (spans) and the way out (spool): all state of the process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kibitz import _ids

if TYPE_CHECKING:
    from kibitz._running import Slot
    from kibitz._spans import Span
    from kibitz.config import Settings

SPAN, LOG_RECORD, START = 1, 2, 3  # kinds of record; `put` takes the first two


class Redactor(Protocol):
    """Scrubs every string of one record; `is_strict` for files whose capture is "redacted"."""

    is_constant: bool  # what it left as it was once, it always will

    def __call__(self, payload: bytes, is_strict: bool = False) -> bytes:
        """Return the record without what must not leave; never raises."""


def _no() -> bool:
    return False


def _never(_: object) -> bool:
    return False


def _note_nothing(head: bytes, tail: bytes, start_ns: int) -> Slot | None:
    return None


@dataclass(slots=True)
class Runtime:
    """What `init()` made; the way in reads it at every call.

    `put(kind, payload)` takes one whole OTLP/JSON `scopeSpans` or `scopeLogs` element. It makes no
    system call, never raises, and may be called from a finaliser or a signal handler. Whoever has
    made a record hands it to `emit`, never to `put`: the one choke point of redaction. What
    `note_start` gets must have been through it too.
    """

    settings: Settings
    put: Callable[[int, bytes], None]
    note_start: Callable[[bytes, bytes, int], Slot | None] = _note_nothing  # head, tail, start
    redactor: Redactor | None = None
    is_visible: Callable[[], bool] = _no  # do our spans fill OpenTelemetry's current-span slot?
    is_private: Callable[[object], bool] = _never  # is this OTel span one of our private provider?
    new_trace_id: Callable[[], int] = _ids.new_trace_id
    new_span_id: Callable[[], int] = _ids.new_span_id
    now_ns: Callable[[], int] = time.time_ns
    after_span: Callable[[Span], None] | None = None  # quick and harmless: on the caller's thread
    tails: dict[tuple[bytes, bytes], bytes | None] = field(default_factory=dict)  # of start records

    def emit(self, kind: int, payload: bytes, is_strict: bool = False) -> None:
        """Redact one record and keep it."""
        redactor = self.redactor
        self.put(kind, payload if redactor is None else redactor(payload, is_strict))

    def note_scrubbed(
        self, payloads: Sequence[bytes], start_ns: int, is_strict: bool = False
    ) -> Slot | None:
        """Redact the first start record that is short enough to be noted, and note it."""
        redactor = self.redactor
        for payload in payloads:
            scrubbed = payload if redactor is None else redactor(payload, is_strict)
            slot = self.note_start(scrubbed, b"", start_ns)
            if slot is not None:
                return slot
        return None

    def leaves_alone(self, payload: bytes) -> bool:
        """Whether redaction never changes this: then it may be put without being looked at."""
        redactor = self.redactor
        return redactor is None or (redactor.is_constant and redactor(payload) == payload)


_current: Runtime | None = None
configured: Settings | None = None  # by the last `init()`, also of one that recorded nothing
_on_install: list[Callable[[Runtime], None]] = []


def get() -> Runtime | None:
    """The runtime, or None before `init()` and after `shutdown()`."""
    return _current


def install(runtime: Runtime | None) -> None:
    """Make this the runtime of the process."""
    global _current
    _current = runtime
    if runtime is not None:
        for hook in _on_install:
            hook(runtime)


def uninstall() -> None:
    """Back to recording nothing."""
    install(None)


def on_install(hook: Callable[[Runtime], None]) -> None:
    """Call `hook` with every runtime from now on; at once if there is one."""
    _on_install.append(hook)
    if _current is not None:
        hook(_current)
