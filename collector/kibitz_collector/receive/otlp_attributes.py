"""Attributes of OTLP protobuf -> JSON values, from messages or from the bytes of each."""

from base64 import b64encode
from collections.abc import Sequence
from struct import unpack_from
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from kibitz_collector.errors import BadPayload
from kibitz_collector.receive.bounds import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_KEY_CHARS,
    MAX_TEXT_CHARS,
    Notes,
    clean_float,
    clean_text,
)
from kibitz_collector.records import Json

_MOST_KNOWN = 8192
_LONGEST_KNOWN = 96  # bytes

# What comes with every span is read once: keys as they are written, attributes of short text.
_keys: dict[bytes, str] = {}
_known: dict[bytes, tuple[str, Any]] = {}


def read_attributes(listed: Any, notes: Notes) -> Json:
    """Read KeyValue messages; of equal keys the last wins."""
    found: Json = {}
    for item in _bounded(listed, notes):
        key, value = _read_pair(item, notes)
        found[key] = value
    return found


def read_encoded(listed: Sequence[bytes], notes: Notes) -> Json:
    """Read KeyValue messages given as bytes; of equal keys the last wins.

    Raises: BadPayload: one is none.
    """
    found: Json = {}
    for raw in listed if len(listed) <= MAX_ATTRIBUTES else _bounded(listed, notes):
        pair = _known.get(raw) or _read_usual(raw)
        if pair is None:
            try:
                pair = _read_pair(KeyValue.FromString(raw), notes)
            except DecodeError as error:
                raise BadPayload(f"the body is not OTLP protobuf: {error}") from None
        found[pair[0]] = pair[1]
    return found


def _read_usual(raw: bytes) -> tuple[str, Any] | None:
    """Read clean text below 16 KB or a common number, as senders write them; None for others.

    Bytes: 0A, length, key, 12, length, then 0A length text | 18 varint | 21 double.
    """
    try:
        at = raw[1] + 3
        key = _keys.get(raw[:at]) or _read_key(raw, at)
        size, left = raw[at], len(raw) - at
        if key is None:
            return None
        if size < 0x80:
            return _read_short(raw, at, key) if size == left - 1 else None
        high, tag, low = raw[at + 1], raw[at + 2], raw[at + 3]
        is_text = tag == 0x0A and high < 0x80 <= low and raw[at + 4] < 0x80
        if not is_text or size + (high - 1) * 0x80 != left - 2:
            return None
        if low + (raw[at + 4] - 1) * 0x80 != left - 5:
            return None
        text = raw[at + 5 :].decode()
    except (IndexError, UnicodeDecodeError):
        return None
    return None if "\x00" in text else (key, text)


def _read_short(raw: bytes, at: int, key: str) -> tuple[str, Any] | None:
    size, tag, first = raw[at], raw[at + 1], raw[at + 2]
    if tag == 0x0A and first == size - 2:
        text = raw[at + 3 :].decode()
        if "\x00" in text:
            return None
        if len(raw) <= _LONGEST_KNOWN:
            _remember(_known, raw, (key, text))
        return key, text
    if tag == 0x18 and size == 2 and first < 0x80:
        return key, first
    if tag == 0x18 and size == 3 and first >= 0x80 > raw[at + 3]:
        return key, first + (raw[at + 3] - 1) * 0x80
    if tag == 0x21 and size == 9:
        (number,) = unpack_from("<d", raw, at + 2)
        return (key, number) if number - number == 0 else None
    return None


def _read_key(raw: bytes, at: int) -> str | None:
    if raw[0] != 0x0A or raw[1] >= 0x80 or raw[at - 1] != 0x12:
        return None
    key = raw[2 : at - 1].decode()
    if not key or "\x00" in key:
        return None
    _remember(_keys, raw[:at], key)
    return key


def _remember(known: dict[bytes, Any], raw: bytes, value: Any) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[raw] = value


def _bounded(listed: Any, notes: Notes) -> Any:
    if len(listed) <= MAX_ATTRIBUTES:
        return listed
    notes.cut("(attributes)", len(listed))
    return listed[:MAX_ATTRIBUTES]


def _read_pair(item: KeyValue, notes: Notes) -> tuple[str, Any]:
    key = item.key
    value = item.value
    text = value.string_value  # "" too where the value is no text
    is_small = text and len(text) <= MAX_TEXT_CHARS and len(key) <= MAX_KEY_CHARS
    if is_small and "\x00" not in text and "\x00" not in key:
        return key, text
    key = clean_text(key, key[:MAX_KEY_CHARS], notes, MAX_KEY_CHARS)
    return key, read_any(value, key, notes, 0)


def read_any(value: Any, key: str, notes: Notes, depth: int) -> Any:
    """Read an AnyValue that stands `depth` levels deep."""
    match value.WhichOneof("value"):
        case "string_value":
            return clean_text(value.string_value, key, notes)
        case "int_value":
            return value.int_value
        case "double_value":
            return clean_float(value.double_value, key, notes)
        case "bool_value":
            return value.bool_value
        case "bytes_value":
            return clean_text(b64encode(value.bytes_value).decode(), key, notes)
        case "array_value":
            if depth >= MAX_DEPTH:
                notes.cut(key, value.ByteSize())
                return "[…]"
            return [read_any(item, key, notes, depth + 1) for item in value.array_value.values]
        case "kvlist_value":
            if depth >= MAX_DEPTH:
                notes.cut(key, value.ByteSize())
                return "{…}"
            return {
                clean_text(item.key, key, notes, MAX_KEY_CHARS): read_any(
                    item.value, key, notes, depth + 1
                )
                for item in value.kvlist_value.values
            }
        case _:
            return None
