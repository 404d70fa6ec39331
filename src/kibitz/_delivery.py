"""Delivery: one request after the other, and what to make of the answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from kibitz import _directory
from kibitz._batch import LOGS, Batch, Part, add_parts, body_of, counted, parts_of
from kibitz._ledger import write_on
from kibitz._pace import Pace
from kibitz._segment import Record
from kibitz._transport import Reply, Transport, Unreachable

log = logging.getLogger("kibitz")

MAX_RECORDS = 500
MAX_BYTES = 4 * 2**20
_SAY_AGAIN_S = 60.0
_STUBBORN_TRIES = 5  # a batch that makes the collector fail this often is taken apart
# The collector is not there, or does not know us: nothing is wrong with the records.
_NOT_OUR_FAULT = {401, 403, 404, 405, 407, 415, 421}


@dataclass(slots=True)
class Tally:
    """What became of this process's records."""

    sent: int = 0
    rejected: int = 0
    dropped: int = 0  # by the sender: over the age limit
    adopted: int = 0  # of other, dead processes

    @property
    def done(self) -> int:
        """Records that need nothing more."""
        return self.sent + self.rejected + self.dropped


class Warnings:
    """What is said to the host's log."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def say(self, subject: str, text: str) -> None:
        """Warn, at most once a minute about the same thing."""
        now = time.monotonic()
        if now >= self._said_at.get(subject, 0.0):
            self._said_at[subject] = now + _SAY_AGAIN_S
            log.warning("kibitz: %s", text)


class Delivery:
    """Brings batches to the collector, and takes apart what it objects to."""

    def __init__(
        self,
        transport: Transport,
        directory: Path,
        warnings: Warnings,
        totals_of: Callable[[Batch], dict[str, str]],
    ) -> None:
        self.tally = Tally()
        self.pace = Pace()
        self.batch: Batch | None = None  # what is on its way
        self.is_posting = False
        self._transport = transport
        self._directory = directory
        self._warnings = warnings
        self._totals_of = totals_of
        self._paths_taken: set[str] = set()
        self._successes = 0

    def advance(self) -> bool:
        """Send the next slice of the batch, which is None then if it was the last.

        False: it is better to wait.
        """
        batch = self.batch
        assert batch is not None
        part = batch.parts[-1] if batch.parts else None
        if part is not None:
            poison = part.poison()
            if poison is not None:
                self._park(batch, part.path, poison, "refused together with its neighbours")
            elif part.slices and not self._send(batch, part):
                return False
            if not part.slices:
                batch.parts.pop()
        if not batch.parts:
            self.batch = None
        return True

    def _send(self, batch: Batch, part: Part) -> bool:
        records = part.slices[-1].records
        body = body_of(part.path, batch.resource, records)
        headers = _accounting(batch, records) | self._totals_of(batch)
        self.is_posting = True
        try:
            reply = self._transport.post(part.path, body, headers)
        except Unreachable:
            self.pace.fail(None)
            return False
        finally:
            self.is_posting = False
        return self._understand(batch, part, records, reply)

    def _understand(self, batch: Batch, part: Part, records: list[Record], reply: Reply) -> bool:
        status = reply.status
        if 200 <= status < 300:
            self._accept(batch, part, records, reply)
        elif status == 413 and len(records) > 1:
            part.halve()
        elif status in _NOT_OUR_FAULT or 300 <= status < 400:
            return self._wait_for_config(batch, part, records, status)
        elif status in (408, 429) or status >= 500:
            return self._wait_for_recovery(batch, part, reply)
        elif (poison := part.refuse()) is not None:
            self._park(batch, part.path, poison, _reason(reply))
        return True

    def _accept(self, batch: Batch, part: Part, records: list[Record], reply: Reply) -> None:
        self.pace.succeed()
        self._successes += 1
        self._paths_taken.add(part.path)
        rejected = min(_rejected(reply.body), counted(records))
        if rejected:
            self._warnings.say(
                "partial", f"the collector rejected {rejected} records: {_reason(reply)}"
            )
        self._count(batch, records, counted(records) - rejected, rejected)
        part.accept()

    def _wait_for_config(
        self, batch: Batch, part: Part, records: list[Record], status: int
    ) -> bool:
        if status in (404, 405) and self._paths_taken - {part.path}:
            # A tracing backend that takes no log records: judgments must not hold up the spans.
            for record in records:
                self._park(batch, part.path, record, f"HTTP {status}")
            part.slices.pop()
            return True
        if status in (404, 405) and part.path == LOGS and len(batch.parts) > 1:
            batch.parts.insert(0, batch.parts.pop())  # the spans tell whether it is the URL
            return True
        advice = (
            "is the api_key right?" if status in (401, 403) else "is the collector's URL right?"
        )
        url = self._transport.collector
        self._warnings.say(
            "config", f"{url}{part.path} answers {status}, records wait on disk: {advice}"
        )
        self.pace.fail(None)
        return False

    def _wait_for_recovery(self, batch: Batch, part: Part, reply: Reply) -> bool:
        self.pace.fail(reply.retry_after_s)
        # Perhaps it is this batch that makes the collector fail: then its neighbours must not wait
        # for it.
        if reply.status == 500 and self.pace.failures % _STUBBORN_TRIES == 0:
            if part.doubt(self._successes):
                self._park(batch, part.path, part.slices.pop().records[0], _reason(reply))
            elif len(part.slices[-1].records) == 1:
                part.put_last()
                self._extend(batch)
        return False

    def _extend(self, batch: Batch) -> None:
        """Let what came since go first: it must not wait, and shows if the collector works."""
        if records := batch.source.read(MAX_RECORDS, MAX_BYTES):
            add_parts(batch.parts, parts_of(records))
            batch.end = records[-1].end

    def _park(self, batch: Batch, path: str, record: Record, reason: str) -> None:
        content = body_of(path, batch.resource, [record])
        parked = orjson.dumps(
            {
                "path": path,
                "reason": reason,
                "process": batch.process,
                "body": orjson.Fragment(content),
            }
        )
        name = f"{batch.process}-{record.sequence}-{record.kind}.json"
        _directory.set_aside(self._directory, "rejected", name, parked)
        self._warnings.say(
            "rejected", f"the collector refuses a record ({reason}); see `kibitz spool show`"
        )
        self._count(batch, [record], 0, counted([record]))

    def _count(self, batch: Batch, records: list[Record], sent: int, rejected: int) -> None:
        if batch.is_own:
            self.tally.sent += sent
            self.tally.rejected += rejected
            return
        self.tally.adopted += sent
        produced = max((record.sequence for record in records), default=0)
        write_on(
            self._directory,
            batch.process,
            produced=produced,
            sent=sent,
            rejected=rejected,
        )


def _accounting(batch: Batch, records: list[Record]) -> dict[str, str]:
    """Headers by which the collector can tell what it has not seen; other backends ignore them."""
    numbers = [record.sequence for record in records if record.sequence]
    if not numbers:
        return {"Kibitz-Process": batch.process}
    text = f"{min(numbers)}-{max(numbers)}; count={len(numbers)}"
    return {"Kibitz-Process": batch.process, "Kibitz-Sequence": text}


def _rejected(body: bytes) -> int:
    """How many records a 2xx reply says it did not take.

    Shape: {"partialSuccess": {"rejectedSpans" | "rejectedLogRecords": "3", "errorMessage": str}}
    """
    if b"artial" not in body:
        return 0
    try:
        found = orjson.loads(body)["partialSuccess"] or {}
        return int(found.get("rejectedSpans") or found.get("rejectedLogRecords") or 0)
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0


def _reason(reply: Reply) -> str:
    return f"HTTP {reply.status} {reply.body[:500].decode('utf-8', 'replace')}".strip()
