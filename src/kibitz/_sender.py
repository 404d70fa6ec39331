"""The sender: one daemon thread per process that brings spooled records to the collector."""

from __future__ import annotations

import logging
import threading
import time

# Bound now, with the spool's locks: if gevent patches the world later, a greenlet must not wait for
# a thread's lock, which would stop all of them.
from _thread import start_new_thread
from dataclasses import dataclass

import orjson

from kibitz import _directory, _orphans
from kibitz._batch import (
    LOGS,
    TRACES,
    Batch,
    Part,
    Source,
    add_parts,
    body_of,
    counted,
    parts_of,
)
from kibitz._ledger import mark_told, read_ledger, sweep, untold, write_on
from kibitz._orphans import Orphan
from kibitz._pace import Pace
from kibitz._segment import Record
from kibitz._spool import Settled, Spool
from kibitz._transport import Reply, Transport, Unreachable
from kibitz.config import Settings

log = logging.getLogger("kibitz")

THREAD_NAME = "kibitz-sender"
POLL_S = 0.1
MAX_RECORDS = 500
MAX_BYTES = 4 * 2**20
ADOPT_S = 5.0
_SAY_AGAIN_S = 60.0
_SWEEP_S = 600.0
_TOTALS = "Kibitz-Totals"
_NOTHING = b'{"resourceSpans":[]}'
_STOP_S = 0.1  # what the thread gets to end, beyond the time given for sending
_STUBBORN_TRIES = 5  # a batch that makes the collector fail this often is taken apart
# The collector is not there, or does not know us: nothing is wrong with the records.
_NOT_OUR_FAULT = {401, 403, 404, 405, 407, 415, 421}


@dataclass(slots=True, eq=False)
class _Reader:
    """How far one source is read, sent and acknowledged."""

    source: Source
    process: str
    resource: bytes
    is_own: bool = True
    done_to: int = -1
    acknowledged: int = -1


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


class Sender:
    """Sends what a spool holds, and what dead processes left beside it."""

    def __init__(self, spool: Spool, settings: Settings, agent: str) -> None:
        self.tally = Tally()
        self.is_running = False
        self.failure: BaseException | None = None  # a bug of ours; tests look at it
        self._spool = spool
        self._settings = settings
        target = spool.target
        self._transport = Transport(
            target.collector, target.api_key, timeout_s=settings.request_timeout_s, agent=agent
        )
        self._readers: dict[Source, _Reader] = {}
        self._batch: tuple[_Reader, Batch] | None = None
        self._orphan: tuple[Orphan, _Reader] | None = None
        self._pace = Pace()
        self._adopt_at = self._sweep_at = 0.0
        self._said_at: dict[str, float] = {}
        self._paths_taken: set[str] = set()
        self._is_stopping = False
        self._is_closing = False
        self._is_posting = False
        self._successes = 0
        self._gave_up = False
        self._has_looked = False  # everywhere, since `close` was called

    # --- any thread

    def start(self) -> None:
        """Start the thread; not by `threading`: a signal may interrupt who holds its locks."""
        if self.is_running or self._is_stopping:
            return
        self.is_running = True
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # the interpreter is going down, or no more threads are allowed
            self.is_running = False

    @property
    def waiting(self) -> int:
        """Own records that are neither delivered nor given up."""
        return max(0, self._spool.total - self._spool.dropped - self.tally.done)

    def wait(self, deadline: float) -> None:
        """Wait until all that was handed in before now is settled, or the time is over."""
        self._pace.hurry(deadline)
        self.start()
        until = self._spool.total
        while time.monotonic() < deadline and self.waiting:
            if self.tally.done + self._spool.dropped >= until:
                return
            self._spool.wake_sender()
            time.sleep(0.002)

    def close(self, deadline: float) -> None:
        """Send what there is, starts of open spans included, and stop.

        Returns early if the collector does not answer: the spool keeps everything for the next
        process.
        """
        self._is_closing, self._has_looked, self._adopt_at = True, False, 0.0
        self._spool.running.delay_s = 0.0
        self._spool.retry_disk()
        self._pace.hurry(deadline)
        while time.monotonic() < deadline and not self._is_at_end():
            if self.is_running:
                self._spool.wake_sender()
                time.sleep(0.002)
            else:
                self._transport.timeout_s = min(
                    self._settings.request_timeout_s, max(0.01, deadline - time.monotonic())
                )
                self.run_once()
                if not self._pace.is_due():
                    time.sleep(0.01)
        self._is_stopping = True
        self._spool.wake_sender()
        if not self._is_posting:  # else the request hangs, and there is nothing to wait for
            deadline = max(deadline, time.monotonic() + _STOP_S)
        while self.is_running and time.monotonic() < deadline:
            time.sleep(0.002)
        if not self.is_running:
            self.release()

    def _is_at_end(self) -> bool:
        is_idle = self._has_looked and self._batch is None and self.waiting == 0
        return is_idle or (self._gave_up and not self._spool.in_memory)

    @property
    def has_adopted_all(self) -> bool:
        """Whether nothing of dead processes is left to send."""
        return self._has_looked and self._orphan is None and self._batch is None

    # --- the thread

    def _run(self) -> None:
        threading.current_thread().name = THREAD_NAME
        try:
            while not self._is_stopping:
                self._spool.wake.acquire(True, POLL_S)
                try:
                    self.run_once()
                except Exception as error:
                    self.failure = error
                    log.debug("kibitz: sender failed and goes on", exc_info=True)
                    self._pace.fail(None)
        finally:
            self.release()
            self.is_running = False

    def release(self) -> None:
        """Give back what was taken over, and the connection."""
        if self._orphan is not None:
            self._orphan[0].release()
            self._orphan = None
        self._transport.close()

    def run_once(self) -> None:
        """Look after the spool, then send until nothing waits or the collector objects."""
        self._spool.prepare()
        for source in self._spool.strays():
            self._rescue(source)
        if self._spool.trouble and self._settings.durability != "memory":
            self._say("disk", f"records are kept in memory only: {self._spool.trouble}")
        self._give_up_old()
        while self._pace.is_due() and not (self._is_stopping and self._gave_up):
            if self._batch is None and not self._next_batch():
                break
            if not self._advance():
                self._gave_up = self._is_closing
                break
        self._spool.remove_delivered()
        self._forget_removed()
        self._keep_ledger()

    def _next_batch(self) -> bool:
        for reader in self._own_readers():
            if self._read(reader):
                return True
        if self._adopt():
            return True
        self._has_looked = True
        return False

    def _own_readers(self) -> list[_Reader]:
        found = []
        for source in self._spool.sources():
            reader = self._readers.get(source)
            if reader is None:
                reader = _Reader(source, self._spool.process, self._spool.resource)
                self._readers[source] = reader
            found.append(reader)
        return found

    def _read(self, reader: _Reader) -> bool:
        """Take the next records of a source into a batch; False if it has none."""
        records = reader.source.read(MAX_RECORDS, MAX_BYTES)
        if records:
            self._begin(reader, records, records[-1].end)
        return bool(records)

    def _begin(self, reader: _Reader, records: list[Record], end: int) -> None:
        batch = Batch(reader.source, reader.process, reader.resource, reader.is_own, end)
        batch.parts = parts_of(records)
        self._batch = reader, batch

    # --- one request after the other

    def _advance(self) -> bool:
        """Send the next slice of the batch; False if it is better to wait."""
        assert self._batch is not None
        reader, batch = self._batch
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
            self._batch = None
            reader.done_to = max(reader.done_to, batch.end)
            self._settle(reader)
        return True

    def _send(self, batch: Batch, part: Part) -> bool:
        records = part.slices[-1].records
        body = body_of(part.path, batch.resource, records)
        self._is_posting = True
        try:
            headers = _accounting(batch, records) | self._totals_of(batch)
            reply = self._transport.post(part.path, body, headers)
        except Unreachable:
            self._pace.fail(None)
            return False
        finally:
            self._is_posting = False
        return self._understand(batch, part, records, reply)

    def _totals_of(self, batch: Batch) -> dict[str, str]:
        """What became of all records of the process, as far as is known."""
        if batch.is_own:
            self._keep_ledger()
            return {_TOTALS: self._spool.counts().header()}
        ledger = read_ledger(self._spool.target.directory, batch.process)
        return {} if ledger is None else {_TOTALS: ledger.counts.header()}

    def _tell_losses(self) -> None:
        """Tell the collector of dead processes whose losses no request of theirs told."""
        directory = self._spool.target.directory
        for ledger in untold(directory):
            headers = {"Kibitz-Process": ledger.process, _TOTALS: ledger.counts.header()}
            try:
                reply = self._transport.post(TRACES, _NOTHING, headers)
            except Unreachable:
                return
            if not 200 <= reply.status < 300:
                return
            mark_told(directory, ledger)

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
        self._pace.succeed()
        self._successes += 1
        self._paths_taken.add(part.path)
        rejected = min(_rejected(reply.body), counted(records))
        if rejected:
            self._say("partial", f"the collector rejected {rejected} records: {_reason(reply)}")
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
        url = self._spool.target.collector
        self._say("config", f"{url}{part.path} answers {status}, records wait on disk: {advice}")
        self._pace.fail(None)
        return False

    def _wait_for_recovery(self, batch: Batch, part: Part, reply: Reply) -> bool:
        self._pace.fail(reply.retry_after_s)
        # Perhaps it is this batch that makes the collector fail: then its neighbours must not wait
        # for it.
        if reply.status == 500 and self._pace.failures % _STUBBORN_TRIES == 0:
            if part.doubt(self._successes):
                self._park(batch, part.path, part.slices.pop().records[0], _reason(reply))
            elif len(part.slices[-1].records) == 1:
                part.put_last()
                self._extend(batch)
        return False

    def _extend(self, batch: Batch) -> None:
        """Let what came since go first: it must not wait, and shows if the collector works."""
        if self._batch is None:
            return
        reader = self._batch[0]
        if records := reader.source.read(MAX_RECORDS, MAX_BYTES):
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
        _directory.set_aside(self._spool.target.directory, "rejected", name, parked)
        self._say("rejected", f"the collector refuses a record ({reason}); see `kibitz spool show`")
        self._count(batch, [record], 0, counted([record]))

    def _count(self, batch: Batch, records: list[Record], sent: int, rejected: int) -> None:
        if batch.is_own:
            self.tally.sent += sent
            self.tally.rejected += rejected
            return
        self.tally.adopted += sent
        produced = max((record.sequence for record in records), default=0)
        write_on(
            self._spool.target.directory,
            batch.process,
            produced=produced,
            sent=sent,
            rejected=rejected,
        )

    # --- acknowledging

    def _settle(self, reader: _Reader) -> None:
        """Note in the file how far all is done."""
        if reader.done_to > reader.acknowledged:
            reader.acknowledged = reader.done_to
            self._keep_ledger()  # first: a record may be counted twice, never seem lost
            reader.source.acknowledge(reader.done_to)

    def _forget_removed(self) -> None:
        known: set[Source] = set(self._spool.sources())
        for source in [source for source in self._readers if source not in known]:
            del self._readers[source]

    def _rescue(self, source: Source) -> None:
        """Bring what waits in memory or in a deleted file to the disk, where it outlives us."""
        unsent: list[Record] = []
        if self._batch is not None and self._batch[0].source is source:
            batch, self._batch = self._batch[1], None
            unsent += [r for part in batch.parts for piece in part.slices for r in piece.records]
        unsent += source.read(2**62, 2**62)
        self._spool.keep_again(unsent)
        if unsent:
            source.acknowledge(max(record.end for record in unsent))

    # --- telling others

    def _keep_ledger(self) -> None:
        self._spool.keep_ledger(self._settled())

    def close_ledger(self) -> None:
        """Leave the ledger to be read, if it has something to tell."""
        if self.is_running:  # stuck in a request: it may write still
            self._keep_ledger()
        else:
            self._spool.close_ledger(self._settled())

    def _settled(self) -> Settled:
        return Settled(self.tally.sent, self.tally.rejected, self.tally.dropped)

    # --- what others left

    def _adopt(self) -> bool:
        """Go on with a dead process's segment; False if there is none."""
        while True:
            if self._orphan is None and not self._find_orphan():
                return False
            if self._orphan is None:
                continue
            orphan, reader = self._orphan
            if self._read(reader):
                return True
            orphan.finish()
            self._orphan = None

    def _find_orphan(self) -> bool:
        now = time.monotonic()
        if now < self._adopt_at or self._settings.durability == "memory" or self._spool.trouble:
            return False
        orphan = _orphans.adopt(self._spool.target.directory)
        if orphan is None:
            self._adopt_at = now + ADOPT_S
            if now >= self._sweep_at:
                self._sweep_at = now + _SWEEP_S
                self._tell_losses()
                sweep(self._spool.target.directory, self._settings.spool_max_age_s)
            return False
        self._sweep_at = 0.0
        if self._is_old(orphan.written_ns):
            orphan.finish()
            self._say("age", f"{orphan.path.name} waited too long and was given up")
            return True
        resource = orjson.dumps(orphan.header.resource)
        self._orphan = orphan, _Reader(orphan, orphan.process, resource, is_own=False)
        return True

    def _give_up_old(self) -> None:
        segment = self._spool.oldest_full()
        if segment is None or not self._is_old(segment.created_ns):
            return
        reader = self._readers.pop(segment, None)
        if self._batch is not None and self._batch[0] is reader:
            self._batch = None
        lost = self._spool.give_up(segment, reader.done_to if reader else 0)
        self.tally.dropped += lost
        self._say("age", f"{lost} records waited too long and were given up")

    def _is_old(self, created_ns: float) -> bool:
        return time.time_ns() - created_ns > self._settings.spool_max_age_s * 1e9

    def _say(self, subject: str, text: str) -> None:
        """Warn, at most once a minute about the same thing."""
        now = time.monotonic()
        if now >= self._said_at.get(subject, 0.0):
            self._said_at[subject] = now + _SAY_AGAIN_S
            log.warning("kibitz: %s", text)


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
