"""Records in memory, while the disk cannot be used."""

from __future__ import annotations

from _thread import LockType
from collections import deque

from kibitz._segment import Record

_MOST_BYTES = 64 * 2**20


class Ring:
    """Records in memory while the disk cannot be used; the oldest give way."""

    def __init__(self, max_records: int) -> None:
        self._records: deque[Record] = deque()
        self._max_records = max_records
        self._bytes = 0
        self._next = 0
        self._read = 0
        self.overflowed = 0

    def append(self, kind: int, sequence: int, payload: bytes) -> None:
        """Take a record, under the spool's lock."""
        records = self._records
        records.append(Record(sequence, kind, payload, self._next, self._next + 1))
        self._next += 1
        self._bytes += len(payload)
        while len(records) > self._max_records or self._bytes > _MOST_BYTES:
            oldest = records.popleft()
            self._bytes -= len(oldest.payload)
            # What the sender holds already is still delivered by it.
            self.overflowed += oldest.start >= self._read

    def read(self, max_records: int, max_bytes: int) -> list[Record]:
        """Take the next records, under the spool's lock."""
        found: list[Record] = []
        taken = 0
        for record in self._records:
            if record.start < self._read:
                continue
            if len(found) >= max_records or (found and taken + len(record.payload) > max_bytes):
                break
            found.append(record)
            taken += len(record.payload)
        if found:
            self._read = found[-1].end
        return found

    def acknowledge(self, offset: int) -> None:
        """Forget what is delivered, under the spool's lock."""
        while self._records and self._records[0].start < offset:
            self._bytes -= len(self._records.popleft().payload)

    def __len__(self) -> int:
        return len(self._records)

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._bytes = 0


class RingSource:
    """The ring as the sender sees it: each step under the spool's lock."""

    def __init__(self, ring: Ring, lock: LockType) -> None:
        self._ring = ring
        self._lock = lock

    def read(self, max_records: int, max_bytes: int) -> list[Record]:
        """Take the next records."""
        with self._lock:
            return self._ring.read(max_records, max_bytes)

    def acknowledge(self, offset: int) -> None:
        """Forget what is delivered."""
        with self._lock:
            self._ring.acknowledge(offset)
