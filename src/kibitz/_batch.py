"""Records on their way: joined into request bodies, split where the collector objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from kibitz._runtime import LOG_RECORD, START
from kibitz._segment import Record

TRACES, LOGS = "/v1/traces", "/v1/logs"
_OPEN = {
    TRACES: b'{"resourceSpans":[{"resource":%b,"scopeSpans":[',
    LOGS: b'{"resourceLogs":[{"resource":%b,"scopeLogs":[',
}
_CLOSE = b"]}]}"
_STRIKES = 2


class Source(Protocol):
    """A segment, an adopted one, the ring, or the calls in progress."""

    def read(self, max_records: int, max_bytes: int) -> list[Record]:
        """Take the next records."""

    def acknowledge(self, offset: int) -> None:
        """Everything before `offset` needs no more sending."""


def body_of(path: str, resource: bytes, records: list[Record]) -> bytes:
    """Join records into one OTLP/JSON body, without looking into them."""
    payloads = [record.payload for record in records]
    payloads[0] = _OPEN[path] % resource + payloads[0]
    payloads[-1] += _CLOSE
    return b",".join(payloads)  # one large piece of memory, not one for each step


@dataclass(slots=True)
class Slice:
    """Records for one request."""

    records: list[Record]
    is_suspect: bool = False  # one of them is refused for certain
    is_rest: bool = False  # the other half of a refused slice, whose first half is on its way
    strikes: int = 0  # how often it failed while others got through
    doubted_at: int = -1  # when it failed last, in successes of others


@dataclass(slots=True)
class Part:
    """What is left of a batch for one path; the last slice is next.

    The first half of a refused slice is sent first. If that goes through, the refused record is in
    the rest, which is then split without being sent whole; if not, the rest is put to the other
    unknown ones. So one bad record among 500 costs eleven requests.
    """

    path: str
    slices: list[Slice]

    def poison(self) -> Record | None:
        """Split what is suspect; the record that must be the refused one, once it is known."""
        while self.slices and self.slices[-1].is_suspect:
            if len(self.slices[-1].records) == 1:
                return self.slices.pop().records[0]
            self._split()
        return None

    def accept(self) -> None:
        """The last slice arrived."""
        self.slices.pop()
        if self.slices and self.slices[-1].is_rest:
            self.slices[-1].is_rest = False
            self.slices[-1].is_suspect = True

    def refuse(self) -> Record | None:
        """The collector will never take the last slice as it is; the record, if it is only one."""
        rest = self.slices[-2] if len(self.slices) > 1 else None
        if rest is not None and rest.is_rest:
            rest.is_rest = False
            self._merge_rest()
        if len(self.slices[-1].records) == 1:
            return self.slices.pop().records[0]
        self._split()
        return None

    def halve(self) -> None:
        """The last slice was too large; both halves may still be fine."""
        self._split()
        self.slices[-2].is_rest = False

    def doubt(self, successes: int) -> bool:
        """The last slice made the collector fail time after time; True if that is its own fault.

        An outage is not. But if others got through between its failures, more than once, it is the
        slice. `successes` counts what the collector has taken so far.
        """
        doubted = self.slices[-1]
        doubted.strikes += 0 <= doubted.doubted_at < successes
        doubted.doubted_at = successes
        if len(doubted.records) == 1:
            return doubted.strikes >= _STRIKES
        self.halve()
        for half in self.slices[-2:]:
            half.strikes, half.doubted_at = doubted.strikes, successes
        return False

    def put_last(self) -> None:
        """Try the others before the last slice."""
        self.slices.insert(0, self.slices.pop())

    def _split(self) -> None:
        records = self.slices.pop().records
        middle = len(records) // 2
        self.slices.append(Slice(records[middle:], is_rest=True))
        self.slices.append(Slice(records[:middle]))

    def _merge_rest(self) -> None:
        if len(self.slices) > 2 and not (self.slices[-3].is_rest or self.slices[-3].is_suspect):
            rest = self.slices.pop(-2)
            self.slices[-2].records.extend(rest.records)


@dataclass(slots=True)
class Batch:
    """Records read from one source together."""

    source: Source
    process: str
    resource: bytes
    is_own: bool
    end: int
    parts: list[Part] = field(default_factory=list)


def parts_of(records: list[Record]) -> list[Part]:
    """Sort records by where they go; the last part is sent first.

    Log records go before spans: an evaluator they register judges what arrives after it.
    """
    logs = [record for record in records if record.kind == LOG_RECORD]
    spans = [record for record in records if record.kind != LOG_RECORD]
    found = ((TRACES, spans), (LOGS, logs))
    return [Part(path, [Slice(records)]) for path, records in found if records]


def add_parts(parts: list[Part], more: list[Part]) -> None:
    """Put records in front of what is on its way."""
    for part in more:
        same = next((known for known in parts if known.path == part.path), None)
        if same is None:
            parts.append(part)
        else:
            same.slices += part.slices


def counted(records: list[Record]) -> int:
    """How many of them are whole records; a start record is only a preview of one."""
    return sum(record.kind != START for record in records)
