"""How a span ended: complete, failed, abandoned or still open; and why it failed, in short."""

from kibitz import semconv as sc
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.normalize.values import text
from kibitz_collector.records import Json, LogError, Status

MAX_MESSAGE = 2000
_TELLING = frozenset(("error_type", "error_message", "level"))
_TRACEBACK = "Traceback (most recent call last)"


def read_error(reading: Reading) -> LogError | None:
    """Return why the span failed; None when it did not.

    An exception event alone is an error only while the status is unset: closing a stream's
    generator leaves one on spans that ended well.
    """
    span, found = reading.span, reading.found
    if span.status != "error" and not span.events and reading.may.isdisjoint(_TELLING):
        return None
    exception = _exception(reading)
    error_type = found.get("error_type")
    said = found.get("error_message") if found.get("level", "ERROR") == "ERROR" else None
    has_failed = (
        span.status == "error"
        or error_type is not None
        or found.get("level") == "ERROR"
        or (said is not None and "level" not in found)
        or (exception is not None and span.status == "unset")
    )
    if not has_failed:
        return None
    exception = exception or {}
    message = text(exception.get(sc.EXCEPTION_MESSAGE)) or said or span.status_message or None
    return LogError(
        type=error_type or text(exception.get(sc.EXCEPTION_TYPE)),
        message=_short(message),
        traceback=text(exception.get(sc.EXCEPTION_STACKTRACE)) or _traceback(span.status_message),
    )


def find_status(reading: Reading, error: LogError | None, finish: str | None) -> Status:
    """Return the status a Log of this span has."""
    if reading.found.get("record") == "start" or reading.span.end_ns == 0:
        return "incomplete"
    if error is not None:
        return "error"
    if finish == sc.ABANDONED:
        return "abandoned"
    if reading.found.get("log_status") == "incomplete":
        return "incomplete"
    return "complete"


def is_left_early(reading: Reading, finish: str | None, *, has_output: bool) -> bool:
    """Tell whether a stream was closed before its end.

    OpenTelemetry's instrumentors say "error" with the status unset then; OpenInference gives no
    reason and leaves the status, which is OK otherwise, unset.
    """
    if reading.span.status != "unset" or not reading.found.get("stream"):
        return False
    if finish == "error":
        return "error_type" not in reading.found
    is_silent = reading.span.scope_name.startswith("openinference.")
    return is_silent and finish is None and has_output


def _exception(reading: Reading) -> Json | None:
    for event in reversed(reading.span.events):
        if event.name == sc.EXCEPTION_EVENT:
            return event.attributes
    return None


def _short(message: str | None) -> str | None:
    if message is None:
        return None
    if _TRACEBACK in message:
        lines = [line for line in message.strip().splitlines() if line.strip()]
        # The last line names the exception; LangChain sends the whole traceback as status message.
        message = next((line for line in reversed(lines) if line[:1] != " "), message)
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def _traceback(message: str) -> str | None:
    return message if _TRACEBACK in message else None
