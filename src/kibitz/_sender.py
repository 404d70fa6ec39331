"""The sender: one daemon thread per process that brings spooled records to the collector."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

# Bound now, with the spool's locks: if gevent patches the world later, a greenlet must not wait for
# a thread's lock, which would stop all of them.
from _thread import start_new_thread
from dataclasses import dataclass

import orjson

from kibitz import _orphans
from kibitz._batch import TRACES, Batch, Source, parts_of
from kibitz._delivery import MAX_BYTES, MAX_RECORDS, Delivery, Warnings
from kibitz._ledger import mark_told, read_ledger, sweep, untold
from kibitz._orphans import Orphan
from kibitz._segment import Record
from kibitz._spool import Settled, Spool
from kibitz._transport import Transport, Unreachable
from kibitz.config import Settings

log = logging.getLogger("kibitz")

THREAD_NAME = "kibitz-sender"
POLL_S = 0.1
ADOPT_S = 5.0
_SWEEP_S = 600.0
_TOTALS = "Kibitz-Totals"
_NOTHING = b'{"resourceSpans":[]}'
_STOP_S = 0.1  # what the thread gets to end, beyond the time given for sending


@dataclass(slots=True, eq=False)
class _Reader:
    """How far one source is read, sent and acknowledged."""

    source: Source
    process: str
    resource: bytes
    is_own: bool = True
    done_to: int = -1
    acknowledged: int = -1


class Sender:
    """Sends what a spool holds, and what dead processes left beside it."""

    def __init__(self, spool: Spool, settings: Settings, agent: str) -> None:
        self.is_running = False
        self.failure: BaseException | None = None  # a bug of ours; tests look at it
        self._spool = spool
        self._settings = settings
        target = spool.target
        self._transport = Transport(
            target.collector, target.api_key, timeout_s=settings.request_timeout_s, agent=agent
        )
        self._warnings = Warnings()
        self._delivery = Delivery(
            self._transport, target.directory, self._warnings, self._totals_of
        )
        self.tally = self._delivery.tally
        self._pace = self._delivery.pace
        self._readers: dict[Source, _Reader] = {}
        self._reader: _Reader | None = None  # of the batch that is on its way
        self._orphan: tuple[Orphan, _Reader] | None = None
        self._adopt_at = self._sweep_at = 0.0
        self._is_stopping = False
        self._is_closing = False
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
        if (
            not self._delivery.is_posting
        ):  # else the request hangs, and there is nothing to wait for
            deadline = max(deadline, time.monotonic() + _STOP_S)
        while self.is_running and time.monotonic() < deadline:
            time.sleep(0.002)
        if not self.is_running:
            self.release()

    def _is_at_end(self) -> bool:
        is_idle = self._has_looked and self._delivery.batch is None and self.waiting == 0
        return is_idle or (self._gave_up and not self._spool.in_memory)

    @property
    def has_adopted_all(self) -> bool:
        """Whether nothing of dead processes is left to send."""
        return self._has_looked and self._orphan is None and self._delivery.batch is None

    # --- the thread

    def _run(self) -> None:
        with contextlib.suppress(MemoryError):  # it is started again with the next record
            try:
                threading.current_thread().name = THREAD_NAME
                while not self._is_stopping:
                    self._spool.wake.acquire(True, POLL_S)
                    try:
                        self.run_once()
                    except Exception as error:
                        self.failure = error
                        log.debug("kibitz: sender failed and goes on", exc_info=True)
                        self._pace.fail(None)
            finally:
                try:
                    self.release()
                finally:
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
            self._warnings.say("disk", f"records are kept in memory only: {self._spool.trouble}")
        self._give_up_old()
        while self._pace.is_due() and not (self._is_stopping and self._gave_up):
            if self._delivery.batch is None and not self._next_batch():
                break
            if not self._advance():
                self._gave_up = self._is_closing
                break
            self._spool.keep_up()
        self._spool.keep_up()
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
        self._reader, self._delivery.batch = reader, batch

    def _advance(self) -> bool:
        """Send one request; False if it is better to wait."""
        reader, batch = self._reader, self._delivery.batch
        does_go_on = self._delivery.advance()
        if self._delivery.batch is None and reader is not None and batch is not None:
            reader.done_to = max(reader.done_to, batch.end)
            self._settle(reader)
        return does_go_on

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
        batch = self._delivery.batch
        if batch is not None and batch.source is source:
            self._delivery.batch = None
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
            self._warnings.say("age", f"{orphan.path.name} waited too long and was given up")
            return True
        resource = orjson.dumps(orphan.header.resource)
        self._orphan = orphan, _Reader(orphan, orphan.process, resource, is_own=False)
        return True

    def _give_up_old(self) -> None:
        segment = self._spool.oldest_full()
        if segment is None or not self._is_old(segment.created_ns):
            return
        reader = self._readers.pop(segment, None)
        batch = self._delivery.batch
        if batch is not None and batch.source is segment:
            self._delivery.batch = None
        lost = self._spool.give_up(segment, reader.done_to if reader else 0)
        self.tally.dropped += lost
        self._warnings.say("age", f"{lost} records waited too long and were given up")

    def _is_old(self, created_ns: float) -> bool:
        return time.time_ns() - created_ns > self._settings.spool_max_age_s * 1e9
