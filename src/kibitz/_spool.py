"""The spool of one process: takes records on any thread, keeps them for the sender."""

from __future__ import annotations

import errno
import itertools
import os
import time
from _thread import allocate_lock  # bound now, as the sender's thread is
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kibitz import _directory, _orphans
from kibitz._ledger import Bookkeeper, Counts
from kibitz._ring import Ring, RingSource
from kibitz._running import TABLE_BYTES, Running
from kibitz._segment import SEGMENT, TABLE, Header, Record, Segment
from kibitz._slim import LONGEST_RECORD_BYTES, headers_only, shrink
from kibitz.config import Settings

WAKE_BYTES = 2**20  # the sender looks every 100 ms, and at once when this much is new
RETRY_DISK_S = 30.0
RESCAN_S = 5.0
_MOST_PENDING = 20_000
_FIRST_SEGMENTS_BYTES = (2 * 2**20, 8 * 2**20)  # a hundred idle workers must not hold 1.6 GB
_SMALLEST_SEGMENT_BYTES = 2**17
_NO_ROOM = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
_FULL_SHARE = 0.9  # of the cap; above it only headers are kept
_AT_ONCE = 100  # records written again while others find the lock taken


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of records on their way out, as the sender tells."""

    sent: int = 0
    rejected: int = 0
    dropped: int = 0  # over the age limit


@dataclass(frozen=True, slots=True)
class Target:
    """Where the records of a spool go: all that decides its folder."""

    collector: str
    api_key: str | None
    base: Path

    @property
    def directory(self) -> Path:
        """The folder of this collector and key."""
        return _directory.directory_of(self.base, self.collector, self.api_key)


class Spool:
    """Everything between `put` on a caller's thread and the sender.

    Nothing here waits for a lock its own thread may hold: a span can end inside a garbage
    collection or a signal handler that interrupts `put` itself. A record goes into a deque first,
    and whoever finds the lock free writes the deque out.
    """

    def __init__(
        self,
        settings: Settings,
        target: Target,
        resource: dict[str, Any],
        install: str,
        running: Running | None = None,
    ) -> None:
        self.process = os.urandom(8).hex()
        self.target = target
        self.resource = orjson.dumps(resource)
        self.wake = allocate_lock()  # a binary semaphore; `Event.set` could deadlock in a signal
        self.wake.acquire()
        self.segments: deque[Segment] = (
            deque()
        )  # oldest first; the writer appends, the sender removes
        self.trouble = ""  # why records stay in memory, "" while they are on disk
        self.produced = 0
        self.slimmed = 0
        self.failed = 0  # could not be written at all
        self._settings = settings
        self._directory = target.directory
        self._resource = resource
        self._install = install
        self._pending: deque[tuple[int, bytes]] = deque()
        self._refused: deque[None] = deque()
        self._lock = allocate_lock()
        self._segment: Segment | None = None
        self._next: Segment | None = None
        self._ring = Ring(settings.ring_records)
        self._ring_source = RingSource(self._ring, self._lock)
        self._ledger = Bookkeeper(target.directory, self.process, settings.service)
        self._settled = Settled()
        self._numbers = itertools.count()
        self._opened = 0
        self._make_room_at = 0.0
        self._wake_at = WAKE_BYTES  # offset in the segment
        self._used_bytes = 0
        self._longest = min(LONGEST_RECORD_BYTES, settings.segment_bytes // 2)
        self._is_slim = False
        self._is_prepared = False
        self._retry_at = 0.0
        self._rescan_at = 0.0
        self.running = running or Running()
        self.running.keep_in(self._make_table)
        _directory.ALIVE.add(self.process)

    # --- any thread

    def put(self, kind: int, payload: bytes) -> None:
        """Keep one record."""
        pending = self._pending
        if len(pending) >= _MOST_PENDING:  # the lock's holder is stuck in a slow disk
            self._refused.append(None)
            return
        pending.append((kind, payload))
        lock = self._lock
        while pending and not lock.locked():
            # Another thread may be quicker: then this waits for it to write. It cannot be this
            # thread.
            with lock:
                self._write_pending()

    def _write_pending(self) -> None:
        pending = self._pending
        while pending:
            kind, payload = pending[0]  # taken out when it is safe: an interrupt may come between
            sequence = self.produced + 1
            is_slim = self._is_slim
            try:
                is_kept = self._write(kind, sequence, payload)
            except Exception:
                is_kept = False
            self.produced = sequence
            if is_slim or not is_kept:
                self._note_loss(is_kept)
            pending.popleft()

    def _write(self, kind: int, sequence: int, payload: bytes) -> bool:
        if self._is_slim or len(payload) > self._longest:
            is_slim = self._is_slim
            smaller = headers_only(payload) if is_slim else shrink(payload, self._longest)
            if smaller is None:
                return False
            payload = smaller
        segment = self._segment
        if segment is not None and segment.append(kind, sequence, payload):
            if segment.written >= self._wake_at:
                self._wake_at = segment.written + WAKE_BYTES
                self.wake_sender()
            return True
        return self._write_on(kind, sequence, payload)

    def _note_loss(self, is_kept: bool) -> None:
        """Count what is cut or lost at once, where a kill cannot undo it."""
        if is_kept:
            self.slimmed += 1
        else:
            self.failed += 1
        if not self._ledger.is_open and self._is_prepared:
            self._ledger.open()
        self._ledger.write(self.counts())

    def _write_on(self, kind: int, sequence: int, payload: bytes) -> bool:
        """Continue in the next segment, else in memory; False at the cap: not even headers fit."""
        if self._segment is not None:
            self._segment.shed()  # 0.1 ms: the sender may be far behind, in a burst
        segment, self._next = self._next, None
        if segment is None and not self.trouble:
            segment = self._open()
        if segment is not None and segment.append(kind, sequence, payload):
            self.segments.append(segment)
            self._segment, self._wake_at = segment, segment.written + WAKE_BYTES
            return True
        if segment is None and not self.trouble:
            return False
        self._segment = None
        self._ring.append(kind, sequence, payload)
        return True

    def wake_sender(self) -> None:
        """Let the sender look now."""
        if self.wake.locked():
            try:
                self.wake.release()
            except RuntimeError:
                return  # another thread was first

    # --- opening files: the sender ahead of time, the writer when it was quicker than the sender

    def _open(self) -> Segment | None:
        """Make a segment, smaller ones where the room is small; None at the cap, or in trouble."""
        largest = self._settings.segment_bytes
        if self._opened < len(_FIRST_SEGMENTS_BYTES):
            largest = min(largest, _FIRST_SEGMENTS_BYTES[self._opened])
        size = largest
        while True:
            is_last = size // 4 < _SMALLEST_SEGMENT_BYTES
            try:
                if self._has_room(size):
                    return self._create(size)
                if is_last and not self._make_room():
                    return None
            except OSError as error:
                if is_last or error.errno not in _NO_ROOM:
                    self._go_to_memory(error.strerror or str(error))
                    return None
            except ValueError as error:
                self._go_to_memory(str(error))
                return None
            size = largest if is_last else size // 4

    def _make_room(self) -> bool:
        """At the cap: take back what a killed process has allocated and not filled.

        The sender does it in time, unless processes are killed before theirs has looked.
        """
        now = time.monotonic()
        if now < self._make_room_at:
            return False
        freed = _orphans.trim(self._directory)
        if not freed:
            self._make_room_at = now + RESCAN_S
        self._used_bytes -= freed
        return freed > 0

    def _has_room(self, size: int) -> bool:
        if not self._is_prepared:
            if self._settings.durability == "memory":
                raise ValueError('durability="memory" was asked for')
            if reason := _directory.prepare(self._directory):
                raise ValueError(reason)
            _orphans.remove_drafts(self._directory)
            self._used_bytes = _directory.usage_bytes(self._directory)
            self._is_prepared = True
        cap = self._settings.spool_max_bytes
        self._is_slim = self._used_bytes + size > cap * _FULL_SHARE
        return self._used_bytes + size <= cap

    def _create(self, size: int) -> Segment:
        segment = self._create_file(f"{self.process}-{next(self._numbers):06d}", size)
        self._opened += 1
        return segment

    def _create_file(self, name: str, size: int, suffix: str = SEGMENT) -> Segment:
        header = Header(
            process=self.process,
            install=self._install,
            pid=os.getpid(),
            created_ns=time.time_ns(),
            resource=self._resource,
            identity=_directory.describe_process(),
        )
        self._used_bytes += size  # now: the sender and a writer may both be here
        try:
            return _directory.create_segment(self._directory, name, size, header, suffix)
        except BaseException:  # the host's Ctrl-C included
            self._used_bytes -= size
            raise

    def _make_table(self) -> Segment | None:
        """Make a file for calls in progress; None where no segment could be made either."""
        try:
            if not self.trouble and self._has_room(TABLE_BYTES):
                name = f"{self.process}-{next(self._numbers):06d}"
                return self._create_file(name, TABLE_BYTES, TABLE)
        except (OSError, ValueError):
            pass  # the next record meets the same, and tells
        return None

    def _go_to_memory(self, reason: str) -> None:
        self.trouble = reason
        self._is_prepared = False
        self._retry_at = time.monotonic() + RETRY_DISK_S

    # --- the sender's thread

    def prepare(self) -> None:
        """Write what is pending, make the next segment ready, look after disk and cap."""
        self.write_pending()
        now = time.monotonic()
        if self.trouble:
            if now >= self._retry_at and self._settings.durability != "memory":
                self._retry_at = now + RETRY_DISK_S
                self._return_to_disk()
        elif self._is_prepared:
            if now >= self._rescan_at:
                self._rescan_at = now + RESCAN_S
                self._look_at_usage()
            self._leave_deleted()
            self._make_ready()
        if self._settings.durability == "machine":
            for segment in list(self.segments):
                segment.sync()

    def _make_ready(self) -> None:
        segment = self._segment
        if segment is not None and segment.is_past(0.5) and self._next is None:
            self._next = self._open()

    def keep_up(self) -> None:
        """Between two requests: give back what is delivered, be ahead of the writers."""
        if self._is_prepared and not self.trouble:
            self._make_ready()
        self.remove_delivered()

    def write_pending(self) -> None:
        """Write what a busy lock has left behind."""
        if self._pending and not self._lock.locked():
            with self._lock:
                self._write_pending()

    def _look_at_usage(self) -> None:
        _orphans.remove_drafts(self._directory)
        self._used_bytes = _directory.usage_bytes(self._directory)
        while self._used_bytes > self._settings.spool_max_bytes / 2:
            freed = _orphans.trim(self._directory)
            if not freed:
                break
            self._used_bytes -= freed
        self._end_slimming()

    def retry_disk(self) -> None:
        """Do not wait any longer before the disk is tried again."""
        self._retry_at = 0.0

    def _return_to_disk(self) -> None:
        segment = self._open()
        if segment is not None:
            self._next = segment
            self.trouble = ""
            self.running.keep_in(self._make_table)

    def _leave_deleted(self) -> None:
        """Someone deleted the folder under us: begin again, in a new one."""
        segment = self._segment or self._next
        if segment is None or os.path.exists(segment.path):
            return
        with self._lock:
            self._segment = None
            spare, self._next = self._next, None
        if spare is not None:
            spare.close(unlink=True)
        self._is_prepared = False
        self._next = self._open()
        self.running.keep_in(self._make_table)

    def strays(self) -> list[Segment | RingSource]:
        """Where records wait that would be lost with this process, though there is a disk again."""
        if self.trouble or not self.is_on_disk:
            return []
        current = self._segment
        found: list[Segment | RingSource] = [
            segment
            for segment in list(self.segments)
            if segment is not current and not os.path.exists(segment.path)
        ]
        return [*found, self._ring_source] if self._ring else found

    def keep_again(self, records: list[Record]) -> None:
        """Write the records of a stray source where they outlive this process."""
        for start in range(0, len(records), _AT_ONCE):
            with self._lock:
                for record in records[start : start + _AT_ONCE]:
                    self.failed += not self._write(record.kind, record.sequence, record.payload)

    def _end_slimming(self) -> None:
        full_bytes = self._settings.spool_max_bytes * _FULL_SHARE
        if self._is_slim and self._used_bytes + self._settings.segment_bytes <= full_bytes:
            self._is_slim = False

    def sources(self) -> list[Segment | RingSource | Running]:
        """Where records may wait, oldest first."""
        return [*self.segments, self._ring_source, self.running]

    def remove_delivered(self) -> None:
        """Free the segments nobody writes to any more and whose records all arrived."""
        while self.segments:
            segment = self.segments[0]
            if segment is self._segment or not segment.is_delivered():
                return
            self.segments.popleft()
            self._used_bytes -= segment.size
            segment.close(unlink=True)
            self._end_slimming()

    def oldest_full(self) -> Segment | None:
        """The oldest segment, unless it is still written to."""
        segment = self.segments[0] if self.segments else None
        return None if segment is self._segment else segment

    def give_up(self, segment: Segment, done_to: int) -> int:
        """Drop the oldest segment (its age is over the limit); how many unsent records it held."""
        self.segments.remove(segment)
        segment.read_to = max(segment.acked, done_to)
        lost = len(segment.read(2**62, 2**62))
        segment.close(unlink=True)
        return lost

    # --- numbers

    def keep_ledger(self, settled: Settled) -> None:
        """Bring the ledger up to date; on the sender's thread."""
        if self._is_prepared and self.produced:
            self._ledger.open()
        if self._lock.acquire(True, 0.2):
            try:
                self._settled = settled
                self._ledger.write(self.counts())
            finally:
                self._lock.release()

    def close_ledger(self, settled: Settled) -> None:
        """Leave the ledger to be read, if it has something to tell."""
        self._settled = settled
        self._ledger.write(self.counts())
        self._ledger.close(self.counts())

    def counts(self) -> Counts:
        """What became of this process's records."""
        done = self._settled
        return Counts(
            self.produced + len(self._refused),
            self.slimmed,
            done.sent,
            done.rejected,
            self.dropped + done.dropped,
        )

    @property
    def dropped(self) -> int:
        """Records that could not be kept."""
        return self.failed + self._ring.overflowed + len(self._refused)

    @property
    def total(self) -> int:
        """Records that were ever handed in."""
        return self.produced + len(self._refused) + len(self._pending)

    @property
    def in_memory(self) -> int:
        """Records that would be lost with this process."""
        return len(self._ring)

    @property
    def is_on_disk(self) -> bool:
        """Whether new records go to a file."""
        return self._segment is not None or self._next is not None

    # --- the end

    def lose_memory(self, waiting: int) -> int:
        """Give up what of the `waiting` is in memory only, as the process ends; how many."""
        if not self._lock.acquire(True, 0.2):
            return 0
        try:
            lost = min(len(self._ring), waiting)
            self._ring.clear()
            self.failed += lost
        finally:
            self._lock.release()
        return lost

    def finish(self) -> None:
        """Leave the files as they should be found: delivered ones gone, others free to adopt."""
        if not self._lock.acquire(True, 0.2):
            return
        try:
            self._segment = None
            spare, self._next = self._next, None
            segments, self.segments = self.segments, deque()
        finally:
            self._lock.release()
        if spare is not None:
            spare.close(unlink=True)
        for segment in segments:
            segment.close(unlink=segment.is_delivered())
        self.running.close()
        _directory.ALIVE.discard(self.process)

    def abandon(self) -> None:
        """In a forked child: forget the parent's maps and descriptors without touching them."""
        for segment in [*self.segments, *([self._next] if self._next else [])]:
            segment.abandon()
        self.running.abandon()
