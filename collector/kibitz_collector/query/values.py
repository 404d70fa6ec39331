"""Values of the filter language: text to numbers, durations and times, and back."""

import math
import re
from datetime import UTC, datetime, timedelta

from kibitz_collector.query.ast import Value

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d)?")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?"
)
_AGO = re.compile(r"-(\d+)(ms|s|m|h|d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_NS = 86_400 * 10**9
MAX_NS = 2**63 - 1
"""Times are stored in 64 bits; nothing lies beyond."""


def read_number(text: str) -> float | None:
    """Read a finite number; None: it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def read_duration_ms(text: str) -> float | None:
    """Read `250`, `250ms`, `2s`, `1.5m`, `1h` as milliseconds; None: it is none of them."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    milliseconds = float(found[1]) * _UNIT_MS[found[2] or "ms"]
    return milliseconds if math.isfinite(milliseconds) else None


def read_time(text: str) -> int | str | None:
    """Read a date or time (UTC unless it says otherwise) as ns, `-1h` as itself; None: neither."""
    if _AGO.fullmatch(text):
        return text if len(text) <= 12 else None
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1) - _offset_s(found[8])
    time_ns = seconds * 10**9 + int((found[7] or "").ljust(9, "0"))
    return time_ns if -MAX_NS <= time_ns <= MAX_NS else None


def is_date(text: str) -> bool:
    """Say whether a time names a whole day."""
    return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None


def time_ns(value: Value, now_ns: int) -> int:
    """Turn the value of a time comparison into ns: absolute as it is, `-1h` from now."""
    if isinstance(value, str):
        found = _AGO.fullmatch(value)
        if found is not None:
            moment = now_ns - int(found[1]) * _UNIT_MS[found[2]] * 10**6
        else:
            read = read_time(value)
            moment = read if isinstance(read, int) else now_ns
    else:
        moment = int(value or 0)
    return max(-MAX_NS, min(MAX_NS, moment))


def write_number(number: float) -> str:
    """Write a number so that it is read as the same."""
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(number)


def write_time(value: float) -> str:
    """Write a time in ns so that it is read as the same."""
    seconds, rest = divmod(int(value), 10**9)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z".replace(".000000000Z", "Z").rjust(20, "0")


def _offset_s(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (hours * 60 + minutes) * (-60 if zone[0] == "-" else 60)
