"""What a record may hold at most; keeps the first part of what is larger, and notes what it was."""

import re
from typing import Any

import orjson

from kibitz import semconv as sc

MAX_ATTRIBUTES = 2048
MAX_EVENTS = 1024
MAX_LINKS = 128
MAX_KEY_CHARS = 1024
MAX_TEXT_CHARS = 4 * 2**20
MAX_NAME_CHARS = 1024
MAX_DEPTH = 32
MAX_NOTES = 64
_INT64 = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


class Notes:
    """What had to be cut or replaced in one record, by attribute name."""

    __slots__ = ("replaced", "truncated")

    def __init__(self) -> None:
        self.truncated: dict[str, int] = {}  # -> original size in bytes (or count, in parentheses)
        self.replaced: dict[str, str] = {}  # -> what it was

    def add_to(self, attributes: dict[str, Any]) -> None:
        """Write the notes into the attributes, beside what the sender noted itself."""
        if self.truncated:
            known = _object(attributes.get(sc.TRUNCATED))
            attributes[sc.TRUNCATED] = _dumps({**known, **self.truncated})
        if self.replaced:
            known = _object(attributes.get(sc.REPLACED))
            attributes[sc.REPLACED] = _dumps({**known, **self.replaced})

    def cut(self, key: str, size: int) -> None:
        """Note the original size of something that was cut."""
        if len(self.truncated) < MAX_NOTES:
            self.truncated[key[:MAX_KEY_CHARS]] = size

    def replace(self, key: str, what: str) -> None:
        """Note what was replaced."""
        if len(self.replaced) < MAX_NOTES:
            self.replaced[key[:MAX_KEY_CHARS]] = what


def clean_text(value: str, key: str, notes: Notes, cap: int = MAX_TEXT_CHARS) -> str:
    """Return text every database and every encoder can hold, at most `cap` characters."""
    if len(value) > cap:
        notes.cut(key, len(value.encode("utf-8", "surrogatepass")))
        value = value[:cap]
    bad = value.count("\x00")
    if bad:
        value = value.replace("\x00", "\ufffd")
    if not value.isascii():
        value, surrogates = _SURROGATE.subn("\ufffd", value)
        bad += surrogates
    if bad:
        notes.replace(key, f"{bad} characters")
    return value


def clean_int(value: int, key: str, notes: Notes) -> int | str:
    """Return the number, or its digits where a 64-bit integer cannot hold it."""
    if -_INT64 <= value < _INT64:
        return value
    notes.replace(key, "integer beyond 64 bits")
    return str(value)


def clean_float(value: float, key: str, notes: Notes) -> float | None:
    """Return the number; None for what JSON and SQL have no word for."""
    if value - value == 0:
        return value
    notes.replace(key, "NaN" if value != value else "Infinity" if value > 0 else "-Infinity")
    return None


def _object(value: Any) -> dict[str, Any]:
    try:
        parsed = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _dumps(value: dict[str, Any]) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
