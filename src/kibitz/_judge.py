"""`kibitz.judge`: a verdict on a Log by people or code of the app, sent as an OTLP log record."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kibitz import _runtime
from kibitz import semconv as sc
from kibitz._current import CurrentLog, current
from kibitz._guard import guarded, report
from kibitz._record import log_record
from kibitz._runtime import LOG_RECORD
from kibitz._serialize import MAX_TEXT_BYTES, snapshot

Value = bool | float | str | Sequence[str] | None


def judge(
    log_id: str | CurrentLog | None,
    name: str,
    value: Value,
    *,
    user: str | None = None,
    explanation: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    where: str = "feedback",
) -> None:
    """Judge a Log: feedback of a user, a correction, a score of your own.

    `log_id` is `kibitz.current().id`, kept with what was shown to the user; None: the current Log.
    `value` is a flag, a number, a text, a list of texts, or None. Never raises; without `init()` it
    does nothing.
    """
    runtime = _runtime.get()
    if runtime is None:
        return
    with guarded("judging a Log"):
        found = current() if log_id is None else log_id
        judged = found.id if isinstance(found, CurrentLog) else found
        if not judged or not isinstance(judged, str) or not _is_value(value):
            report(
                "judging a Log", TypeError(f"judge({name!r}): no Log, or no value a verdict has")
            )
            return
        attributes = [
            (sc.EVALUATION_NAME, name),
            (sc.JUDGED_LOG_ID, judged),
            (sc.JUDGMENT_VALUE, snapshot(value).text),
            (sc.EVALUATION_SCORE, _score(value)),
            (sc.EVALUATION_LABEL, _short(_label(value))),
            (sc.EVALUATION_EXPLANATION, _short(explanation)),
            (sc.JUDGMENT_WHERE, where),
            (sc.JUDGMENT_ID, os.urandom(12).hex()),
            (sc.USER_ID, user),
            (sc.METADATA, snapshot(dict(metadata)).text if metadata else None),
        ]
        payload = log_record(sc.EVALUATION_EVENT, runtime.now_ns(), attributes)
        runtime.emit(LOG_RECORD, payload)


def _is_value(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(each, str) for each in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _score(value: Any) -> float | None:
    return float(value) if isinstance(value, (bool, int, float)) else None


def _short(text: Any) -> Any:
    if isinstance(text, str) and len(text) > MAX_TEXT_BYTES:
        return f"{text[:MAX_TEXT_BYTES]}…[cut, {len(text)} characters]"
    return text


def _label(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(value)
    return value if isinstance(value, str) else None
