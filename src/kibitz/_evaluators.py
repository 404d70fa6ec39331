"""`@kibitz.evaluator`: registering with the collector, and running in the app."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import orjson

from kibitz import _runtime
from kibitz import semconv as sc
from kibitz._guard import guarded
from kibitz._judge import judge
from kibitz._record import log_record
from kibitz._runtime import LOG_RECORD, Runtime
from kibitz._source import standalone_source
from kibitz._spans import Span
from kibitz.errors import ConfigError
from kibitz.ids import log_id

RETURN_TYPES = ("boolean", "number", "text", "select", "multi_select")
_MOST_WAITING = 1_000  # Logs waiting for an evaluator of the app; more are left out, not queued


@dataclass(frozen=True, slots=True)
class Evaluator:
    """One decorated evaluator."""

    path: str
    function: Callable[[dict[str, Any]], Any]
    return_type: str
    options: tuple[str, ...] | None
    where: str
    on: str | None
    sample_rate: float
    code: str | None

    def version(self) -> str:
        """What its Version is made of, as JSON text."""
        content: dict[str, Any] = {"evaluator_type": "code", "return_type": self.return_type}
        if self.code is not None:
            content["code"] = self.code
        if self.options is not None:
            content["options"] = list(self.options)
        return orjson.dumps(content).decode()

    def registration(self) -> str:
        """What the collector is told, as JSON text."""
        more = {"where": self.where, "on": self.on, "sample_rate": self.sample_rate}
        return orjson.dumps({**orjson.loads(self.version()), **more}).decode()


def declare(
    function: Callable[..., Any],
    path: str,
    *,
    return_type: str,
    options: Sequence[str] | None,
    where: str,
    on: str | None,
    sample_rate: float,
) -> Evaluator:
    """Check an evaluator and have it registered, now or when `init()` comes.

    Raises: ConfigError: an argument is wrong, or the source cannot stand alone.
    """
    _check(path, return_type, options, where, sample_rate)
    code = standalone_source(function) if where == "collector" else None
    names = tuple(options) if options is not None else None
    made = Evaluator(path, function, return_type, names, where, on, sample_rate, code)
    _runtime.on_install(lambda runtime: _register(runtime, made))
    if where == "app" and on is not None:
        _in_app.append(made)
        _runtime.on_install(_watch)
    return made


def _check(
    path: str, return_type: str, options: Sequence[str] | None, where: str, sample_rate: float
) -> None:
    what = f"evaluator {path!r}: "
    if return_type not in RETURN_TYPES:
        raise ConfigError(
            f"{what}return_type={return_type!r} must be one of {', '.join(RETURN_TYPES)}"
        )
    if (options is not None) != (return_type in ("select", "multi_select")):
        raise ConfigError(f"{what}options= belong to return_type select and multi_select, and only")
    if where not in ("collector", "app"):
        raise ConfigError(f'{what}where={where!r} must be "collector" or "app"')
    if not 0 < sample_rate <= 1:
        raise ConfigError(f"{what}sample_rate={sample_rate!r} must be above 0 and at most 1")


def _register(runtime: Runtime, evaluator: Evaluator) -> None:
    with guarded("registering an evaluator"):
        attributes = [
            (sc.FILE_PATH, evaluator.path),
            (sc.FILE_TYPE, "evaluator"),
            (sc.FILE_CONTENT, evaluator.registration()),
        ]
        payload = log_record(sc.FILE_REGISTER_EVENT, runtime.now_ns(), attributes)
        runtime.emit(LOG_RECORD, payload)


# --- evaluators that run in the app: on a thread of their own, after the span has ended

_in_app: list[Evaluator] = []
_waiting: queue.SimpleQueue[tuple[Evaluator, dict[str, Any]]] = queue.SimpleQueue()
_worker_pid = 0


def _watch(runtime: Runtime) -> None:
    runtime.after_span = _after_span


def _after_span(span: Span) -> None:
    """Queue what is to be judged. `SimpleQueue.put` may be called from a finaliser."""
    path = span.path
    if path is None:
        return
    for evaluator in _in_app:
        is_meant = fnmatchcase(path, evaluator.on or "")
        is_sampled = (span.span_id & 0xFFFF) < evaluator.sample_rate * 0x10000
        if is_meant and is_sampled and _waiting.qsize() < _MOST_WAITING:
            _start_worker()
            _waiting.put((evaluator, as_log(span)))


def as_log(span: Span) -> dict[str, Any]:
    """A finished span as the dict an evaluator takes."""
    attributes = span.attributes or {}
    output = span.output if span.output is not None else attributes.get(sc.OUTPUT_MESSAGES)
    is_text = output is not None and output[:1] == '"'
    return {
        "id": log_id(span.trace_id, span.span_id),
        "trace_id": f"{span.trace_id:032x}",
        "path": span.path,
        "session_id": span.carried.session_id,
        "user": span.carried.user,
        "inputs": orjson.loads(span.inputs) if span.inputs is not None else {},
        "output": orjson.loads(output) if is_text and output is not None else output,
        "messages": orjson.loads(attributes.get(sc.INPUT_MESSAGES, "[]")),
        "error": span.failure.message if span.failure is not None else None,
        "metadata": {**span.carried.metadata, **(span.metadata or {})},
    }


def _start_worker() -> None:
    global _worker_pid
    if _worker_pid == os.getpid():
        return
    _worker_pid = os.getpid()
    threading.Thread(target=_work, name="kibitz-evaluators", daemon=True).start()


def _work() -> None:
    while True:
        judge_waiting(*_waiting.get())


def judge_waiting(evaluator: Evaluator, log: dict[str, Any]) -> None:
    """Run one evaluator over one Log and send its verdict; a failing one says why."""
    try:
        value, explanation = evaluator.function(log), None
    except Exception as error:
        value, explanation = None, f"{type(error).__qualname__}: {error}"
    judge(log["id"], evaluator.path, value, explanation=explanation, where="external")
