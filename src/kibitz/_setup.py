"""Switching kibitz on and off: `init`, `flush`, `shutdown`, and what happens at fork and exit."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kibitz import _directory, _ids, _orphans, _runtime, _transport
from kibitz._otel import is_private, record_also, visibility
from kibitz._record import VERSION
from kibitz._redact import build_redactor
from kibitz._running import Running
from kibitz._runtime import Runtime
from kibitz._sender import Sender
from kibitz._spool import Spool, Target
from kibitz.config import Capture, Durability, Settings, load

log = logging.getLogger("kibitz")

_AGENT = f"kibitz/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor}"

# Of the time for an exit, what the interpreter gets for its own end: it takes 0.05 s, on a busy
# machine 0.4 s.
_OWN_END_S, _OWN_END_SHARE = 0.3, 0.15

# What a forked child inherits is kept, so that freeing it closes no descriptor that is someone
# else's.
_INHERITED: list[object] = []


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What became of the records this process has handed in; together they are all of them."""

    sent: int  # the collector has them
    spooled: int  # waiting
    dropped: int  # lost: over a limit, or too old
    rejected: int  # the collector refused them


class Outlet:
    """The way out of this process, renewed in every forked child."""

    def __init__(self, settings: Settings) -> None:
        base = _directory.base_directory(settings.spool_dir, os.environ)
        self.settings = settings
        self.target = Target(settings.collector, settings.api_key, base)
        self._install = "none" if settings.durability == "memory" else _directory.install_id(base)
        self._pid = os.getpid()
        self.running = Running()
        self.spool, self.sender = self._make()

    def _make(self) -> tuple[Spool, Sender]:
        resource = resource_of(self.settings, self._install)
        spool = Spool(self.settings, self.target, resource, self._install, self.running)
        return spool, Sender(spool, self.settings, _AGENT)

    def put(self, kind: int, payload: bytes) -> None:
        """Keep one record; never raises."""
        try:
            if os.getpid() != self._pid:  # uWSGI forks without Python's hooks
                self.renew()
            self.spool.put(kind, payload)
            if not self.sender.is_running:
                self.sender.start()
        except Exception:
            self.spool.failed += 1

    def renew(self) -> None:
        """In a forked child: leave the parent's files alone and begin our own."""
        pid = os.getpid()
        if pid == self._pid:
            return
        _INHERITED.append((self.spool, self.sender))
        self.spool.abandon()
        _orphans.forget_parent()
        self.spool, self.sender = self._make()
        self._pid = pid

    def flush(self, timeout_s: float) -> FlushResult:
        """Wait until all that was handed in is settled, at most so long."""
        self.sender.wait(time.monotonic() + timeout_s)
        return self.result()

    def result(self) -> FlushResult:
        """What became of the records up to now."""
        tally = self.sender.tally
        dropped = tally.dropped + self.spool.dropped
        return FlushResult(tally.sent, self.sender.waiting, dropped, tally.rejected)

    def close(self, timeout_s: float) -> None:
        """Send what can be sent in time and leave the rest on disk for the next process."""
        self.close_by(time.monotonic() + timeout_s)

    def close_by(self, deadline: float) -> None:
        """As `close`, until a moment of the monotonic clock."""
        if os.getpid() != self._pid:
            return  # nothing was recorded in this child
        if not self.sender.is_running and self.spool.total == 0:
            self.spool.finish()  # what others left is not the business of an exit that has nothing
            return
        self.sender.close(deadline)
        self._tell_what_is_lost()
        if not self.sender.is_running:  # else a request hangs, and the maps are still in its hands
            self.spool.finish()
        self.sender.close_ledger()

    def _tell_what_is_lost(self) -> None:
        lost = self.spool.lose_memory(self.sender.waiting)
        if lost:
            log.warning(
                "kibitz: %d records are lost: they were in memory only (%s) and the collector "
                "did not take them in time",
                lost,
                self.spool.trouble,
            )


_outlet: Outlet | None = None
_is_hooked = False


def init(
    collector: str | None = None,
    *,
    api_key: str | None = None,
    service: str | None = None,
    environment: str | None = None,
    capture: Capture | Mapping[str, Capture] | None = None,
    redact: bool | Sequence[str] | Callable[[str], str] | None = None,
    sample_rate: float | None = None,
    spool_dir: str | os.PathLike[str] | None = None,
    durability: Durability | None = None,
    otel: str | None = None,
    otel_provider: Any = None,
    exit_timeout_s: float | None = None,
    enabled: bool | None = None,
    **more: Any,
) -> None:
    """Switch kibitz on; before this, decorated calls run unrecorded.

    Everything left out comes from its KIBITZ_* variable, else from its default (`kibitz doctor`
    lists all). The collector need not be there: records wait on disk. Called again, the new
    settings replace the old.

    Raises: ConfigError: an argument or variable is wrong.
    """
    arguments = dict(
        collector=collector,
        api_key=api_key,
        service=service,
        environment=environment,
        capture=capture,
        redact=redact,
        sample_rate=sample_rate,
        spool_dir=spool_dir,
        durability=durability,
        otel=otel,
        otel_provider=otel_provider,
        exit_timeout_s=exit_timeout_s,
        enabled=enabled,
        **more,
    )
    settings = load(**arguments)
    if settings.collector.startswith("sqlite:"):
        from kibitz._sidecar import find_or_start

        settings = replace(settings, collector=find_or_start(settings.collector))
    _switch_to(settings)


def _switch_to(settings: Settings) -> None:
    global _outlet
    redactor = build_redactor(settings.redact)
    old = _outlet
    _runtime.configured = settings
    if not settings.enabled:
        shutdown()
        return
    if old is not None and old.settings == settings:
        return
    outlet = Outlet(settings)
    _hook()
    _outlet = outlet
    _runtime.install(
        Runtime(
            settings,
            outlet.put,
            outlet.running.note,
            redactor=redactor,
            is_visible=visibility(settings.otel),
            is_private=is_private,
        )
    )
    if old is not None:
        old.close(old.settings.exit_timeout_s)
    if settings.otel_provider is not None:
        record_also(settings.otel_provider)


def resource_of(settings: Settings, install: str) -> dict[str, Any]:
    """The OTLP resource all records of this process belong to."""
    attributes: dict[str, str | int | None] = {
        "service.name": settings.service,
        "deployment.environment.name": settings.environment,
        "telemetry.sdk.name": "kibitz",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": VERSION,
        "host.name": os.uname().nodename
        if hasattr(os, "uname")
        else os.environ.get("COMPUTERNAME"),
        "process.pid": os.getpid(),
        "kibitz.install": install,
    }
    return {
        "attributes": [
            {
                "key": key,
                "value": {"intValue": str(value)}
                if key == "process.pid"
                else {"stringValue": value},
            }
            for key, value in attributes.items()
            if value
        ]
    }


def flush(timeout_s: float = 5.0) -> FlushResult:
    """Wait until the collector has all records, at most `timeout_s`; tell what became of them."""
    outlet = _outlet
    return outlet.flush(timeout_s) if outlet is not None else FlushResult(0, 0, 0, 0)


def shutdown(timeout_s: float | None = None) -> None:
    """Switch kibitz off: send what can be sent in time; the next process sends the rest."""
    global _outlet
    outlet, _outlet = _outlet, None
    _runtime.install(None)
    if outlet is not None:
        outlet.close(outlet.settings.exit_timeout_s if timeout_s is None else timeout_s)


# --- fork and exit


def _hook() -> None:
    global _is_hooked
    if _is_hooked:
        return
    _is_hooked = True
    atexit.register(_at_exit)
    _ids.on_fork.append(_after_fork)
    _hook_celery()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_transport.after_fork,
            after_in_child=_after_fork_in_child,
        )


def _at_exit() -> None:
    if _outlet is not None:
        timeout_s = _outlet.settings.exit_timeout_s
        deadline = time.monotonic() + timeout_s - min(_OWN_END_S, _OWN_END_SHARE * timeout_s)
        _outlet.close_by(deadline)


def _before_fork() -> None:
    """A child of `multiprocessing` ends by `os._exit` and runs no exit hooks but its own."""
    _transport.before_fork()
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _outlet is not None:
        util.register_after_fork(_outlet, _finalize_in_child)


def _finalize_in_child(_: Outlet) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    if _outlet is not None:
        _outlet.renew()


def _after_fork_in_child() -> None:
    _transport.after_fork()
    _after_fork()
    if _outlet is not None:
        _hook_celery()


def _hook_celery() -> None:
    """A child of Celery's pool ends by `os._exit` too, but says so before."""
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_at_celery_exit, weak=False)


def _at_celery_exit(**_: Any) -> None:
    _at_exit()
