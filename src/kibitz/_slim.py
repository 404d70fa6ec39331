"""Pure cutting of records that are too large for the spool, or come when it is nearly full."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from kibitz.semconv import TRUNCATED

LONGEST_RECORD_BYTES = 2**20
_LONG_CHARS = 32 * 1024
_HEADER_CHARS = 256

Cut = Callable[[str], str | None]


def shrink(payload: bytes, limit: int = LONGEST_RECORD_BYTES) -> bytes | None:
    """Cut the long strings of a record until it fits; None if it cannot be made to fit."""
    for cut in (_shorten, _remove):
        small = _cut(payload, cut)
        if small is None or len(small) <= limit:
            return small
    return None


def headers_only(payload: bytes) -> bytes | None:
    """Keep ids, names, times, models, tokens; take out the contents. None if it is unreadable."""
    return _cut(payload, _remove)


def _shorten(text: str) -> str | None:
    if len(text) <= _LONG_CHARS:
        return text
    return f"{text[:_LONG_CHARS]}…[cut, {len(text)} characters]"


def _remove(text: str) -> str | None:
    return text if len(text) <= _HEADER_CHARS else None


def _cut(payload: bytes, cut: Cut) -> bytes | None:
    try:
        scope: dict[str, Any] = orjson.loads(payload)
        for record in [*scope.get("spans", ()), *scope.get("logRecords", ())]:
            _cut_record(record, cut)
        return orjson.dumps(scope)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None


def _cut_record(record: dict[str, Any], cut: Cut) -> None:
    sizes: dict[str, int] = {}
    record["attributes"] = _cut_attributes(record.get("attributes", ()), cut, sizes)
    for event in record.get("events", ()):
        event["attributes"] = _cut_attributes(event.get("attributes", ()), cut, sizes)
    status = record.get("status")
    if isinstance(status, dict) and isinstance(status.get("message"), str):
        status["message"] = cut(status["message"]) or status["message"][:_HEADER_CHARS]
    if isinstance(record.get("name"), str):
        record["name"] = record["name"][:_LONG_CHARS]
    if sizes:
        text = json.dumps(sizes)
        record["attributes"].append({"key": TRUNCATED, "value": {"stringValue": text}})


def _cut_attributes(attributes: Any, cut: Cut, sizes: dict[str, int]) -> list[dict[str, Any]]:
    kept = []
    for attribute in attributes:
        value = attribute["value"]
        text = value.get("stringValue")
        if text is None:  # lists and maps: measured and cut by their JSON
            text = orjson.dumps(value).decode()
            short = text if cut(text) == text else None
        else:
            short = cut(text)
        if short == text:
            kept.append(attribute)
            continue
        sizes[attribute["key"]] = len(text.encode())
        if short is not None:
            kept.append({"key": attribute["key"], "value": {"stringValue": short}})
    return kept
