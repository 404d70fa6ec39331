"""For tests of apps that use kibitz, and our own: what would be sent, kept in memory and read back.

`pytest_plugins = ["kibitz.testing"]` gives the fixture `spans`; `capture()` does it anywhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from kibitz import _runtime
from kibitz._redact import build_redactor
from kibitz._running import Slot
from kibitz._runtime import LOG_RECORD, SPAN, START, Runtime
from kibitz.config import load

Attributes = dict[str, Any]

START_NS = 1_700_000_000_000_000_000
TICK_NS = 1_000_000


class Spans:
    """What the code under test has recorded, oldest first."""

    def __init__(self) -> None:
        self.payloads: list[tuple[int, bytes]] = []

    def put(self, kind: int, payload: bytes) -> None:
        """Keep one record, as the spool would."""
        self.payloads.append((kind, payload))

    def note_start(self, head: bytes, tail: bytes, start_ns: int) -> Slot | None:
        """Keep one start record, whose call is not to be forgotten at its end."""
        self.payloads.append((START, head + tail))
        return None

    def clear(self) -> None:
        """Forget everything."""
        self.payloads.clear()

    def raw(self, kind: int = SPAN) -> list[dict[str, Any]]:
        """The OTLP/JSON spans or log records of a kind, whole."""
        field = "logRecords" if kind == LOG_RECORD else "spans"
        found = [orjson.loads(payload) for each, payload in self.payloads if each == kind]
        return [record for element in found for record in element[field]]

    def as_dicts(self) -> list[dict[str, Any]]:
        """The finished spans.

        Shape: {"name", "trace_id", "span_id", "parent_id": str | None, "start_ns", "end_ns": int,
        "attributes": dict, "events": list, "error": str | None}
        """
        return [_span_dict(record) for record in self.raw(SPAN)]

    def starts(self) -> list[dict[str, Any]]:
        """The start records, shaped as in `as_dicts`."""
        return [_span_dict(record) for record in self.raw(START)]

    def log_records(self) -> list[dict[str, Any]]:
        """The log records: judgments and registrations.

        Shape: {"event": str, "attributes": dict}
        """
        return [
            {"event": record["eventName"], "attributes": _attributes(record["attributes"])}
            for record in self.raw(LOG_RECORD)
        ]

    def named(self, name: str) -> dict[str, Any]:
        """The one finished span of that name; an AssertionError if there is not exactly one."""
        found = [each for each in self.as_dicts() if each["name"] == name]
        if len(found) != 1:
            names = [each["name"] for each in self.as_dicts()]
            raise AssertionError(f"{len(found)} spans are named {name!r}; recorded: {names}")
        return found[0]

    def tree(self) -> dict[str, Any]:
        """Names nested as the spans are; spans of one name under one parent fall together."""
        records = self.as_dicts()
        known = {each["span_id"] for each in records}

        def under(parent: str | None) -> dict[str, Any]:
            return {
                each["name"]: under(each["span_id"])
                for each in records
                if (each["parent_id"] if each["parent_id"] in known else None) == parent
            }

        return under(None)

    def __len__(self) -> int:
        return len(self.raw(SPAN))


@contextmanager
def capture(**settings: Any) -> Iterator[Spans]:
    """Record into memory instead of sending; ids count from 1, the clock ticks 1 ms per look.

    `settings` are `init`'s, such as capture= or redact=.
    """
    before = _runtime.get()
    spans = Spans()
    chosen = load({}, service="test", **settings)
    trace_ids, span_ids = _counter(), _counter()
    ticks = itertools.count(START_NS, TICK_NS)
    _runtime.install(
        Runtime(
            chosen,
            spans.put,
            spans.note_start,
            redactor=build_redactor(chosen.redact),
            new_trace_id=trace_ids,
            new_span_id=span_ids,
            now_ns=lambda: next(ticks),
        )
    )
    try:
        yield spans
    finally:
        _runtime.install(before)


def _counter() -> Callable[[], int]:
    numbers = itertools.count(1)
    return lambda: next(numbers)


def _span_dict(record: dict[str, Any]) -> dict[str, Any]:
    status = record.get("status", {})
    return {
        "name": record["name"],
        "trace_id": record["traceId"],
        "span_id": record["spanId"],
        "parent_id": record.get("parentSpanId") or None,
        "start_ns": int(record["startTimeUnixNano"]),
        "end_ns": int(record["endTimeUnixNano"]),
        "attributes": _attributes(record.get("attributes", ())),
        "events": [
            {"name": event["name"], "attributes": _attributes(event.get("attributes", ()))}
            for event in record.get("events", ())
        ],
        "error": status.get("message", "") if status.get("code") == 2 else None,
    }


def _attributes(found: Any) -> Attributes:
    return {each["key"]: _value(each["value"]) for each in found}


def _value(value: dict[str, Any]) -> Any:
    kind, inner = next(iter(value.items()))
    if kind == "intValue":
        return int(inner)
    if kind == "arrayValue":
        return [_value(each) for each in inner.get("values", ())]
    return inner


def __getattr__(name: str) -> Any:
    """Make the pytest fixture `spans` when pytest asks for it: pytest is not imported before."""
    if name != "spans":
        raise AttributeError(name)
    import pytest

    @pytest.fixture(name="spans")
    def spans_fixture() -> Iterator[Spans]:
        with capture() as spans:
            yield spans

    globals()["spans"] = spans_fixture
    return spans_fixture


def __dir__() -> list[str]:
    return [*globals(), "spans"]
