"""The calls in progress, in a mapped table: what is known of them if the process is killed.

A finished call is a record in a segment. One that still runs is a slot here: filled when it begins,
emptied when its record is written, both without a system call. A slot holds what is the call's own,
and where in the table stands what it has in common with others.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import time
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import orjson

from kibitz._record import BARE_TAIL
from kibitz._runtime import START
from kibitz._segment import Record, Segment

TABLE_BYTES: Final = 128 * 1024
START_DELAY_S: Final = 2.0  # what ends sooner is not heard of before

# When it began, where its text stands, how long its own part is. The length comes last, and in the
# machine's own form it is stored at once: until then the slot is an empty one, whatever kills us.
_SLOT = struct.Struct("@QII")
_SLOT_BYTES = 1024
_SLOTS = 64
_LENGTH_AT = _SLOT.size - 4
_EMPTY = bytes(4)
_LONGEST = _SLOT_BYTES - _SLOT.size
_TEXT = struct.Struct("@I")
_MOST_TABLES = 64

Buffer = bytes | bytearray | mmap.mmap


class Slot:
    """A slot; also what a call holds to empty it."""

    __slots__ = ("at", "delivered_ns", "table", "told_ns")

    def __init__(self, table: Table, at: int) -> None:
        self.table = table
        self.at = at
        self.told_ns = 0  # start of the call in it that was read to be sent
        self.delivered_ns = 0  # and of the one the collector knows of

    def empty(self) -> None:
        """Forget the call, as its record is written; once for each filling."""
        table, at = self.table, self.at + _LENGTH_AT
        table.map[at : at + 4] = _EMPTY
        table.free.append(self)


class Table:
    """Slots and the texts they share; in a file, or in memory while there is no disk."""

    __slots__ = ("_end", "_keeping", "free", "map", "segment", "slots", "texts")

    def __init__(self, segment: Segment | None) -> None:
        self.segment = segment
        self.map = bytearray(TABLE_BYTES) if segment is None else segment.map
        start = 0 if segment is None else segment.start
        self.slots = [Slot(self, start + n * _SLOT_BYTES) for n in range(_SLOTS)]
        self.free = self.slots[::-1]
        self._end = start + _SLOTS * _SLOT_BYTES
        self._keeping = allocate_lock()
        self.texts: dict[bytes, int] = {}
        self.keep(BARE_TAIL)
        self.keep(b"")

    def keep(self, text: bytes) -> int:
        """Where a text stands from now on; if there is no room for it, where the bare one does."""
        end = self._end + _TEXT.size + len(text)
        limit = len(self.map) if self.segment is None else self.segment.limit
        if end > limit or not self._keeping.acquire(False):
            return self.texts[BARE_TAIL]
        try:
            at = self._end
            _TEXT.pack_into(self.map, at, len(text))
            self.map[at + _TEXT.size : end] = text
            self.texts[text] = at
            self._end = (end + 7) & ~7
        finally:
            self._keeping.release()
        return at

    def let_go(self) -> None:
        """The file is not ours any more: calls that still run write where it does not matter."""
        self.map = bytearray(TABLE_BYTES)


class Running:
    """All calls in progress of this process; to the sender, a source of start records."""

    def __init__(self) -> None:
        self.delay_s = START_DELAY_S
        self._make: Callable[[], Segment | None] | None = None
        self._tables: list[Table] = []
        self._free: list[Slot] = []
        self._told: deque[tuple[int, Slot, int]] = deque()
        self._count = 0

    # --- any thread

    def note(self, head: bytes, tail: bytes, start_ns: int) -> Slot | None:
        """Note that a call begins; `head` + `tail` is its start record. None: there is no room."""
        try:
            slot = self._free.pop()
        except IndexError:
            found = self._more()
            if found is None:
                return None
            slot = found
        table, at, length = slot.table, slot.at + _SLOT.size, len(head)
        if length > _LONGEST:
            table.free.append(slot)
            return None
        mapped = table.map
        text_at = table.texts.get(tail) or table.keep(tail)
        mapped[at : at + length] = head
        _SLOT.pack_into(mapped, slot.at, start_ns, text_at, length)
        return slot

    def _more(self) -> Slot | None:
        for table in self._tables:
            if table.free:
                self._free = table.free
                return table.free.pop()
        if len(self._tables) >= _MOST_TABLES:
            return None
        table = Table(None if self._make is None else self._make())
        slot = table.free.pop()
        self._tables = [*self._tables, table]
        self._free = table.free
        return slot

    def keep_in(self, make: Callable[[], Segment | None]) -> None:
        """Keep the next calls in files that `make` makes; None while there is no disk."""
        self._make = make
        self._tables, self._free = [], []

    # --- the sender's thread

    def read(self, max_records: int, max_bytes: int) -> list[Record]:
        """Start records of the calls that run for some time and were not read yet."""
        before_ns = time.time_ns() - int(self.delay_s * 1e9)
        found: list[Record] = []
        for table in self._tables:
            if len(table.free) == len(table.slots):
                continue
            for slot in table.slots:
                if len(found) >= max_records:
                    return found
                start_ns, payload = read_slot(table.map, slot.at)
                # Filled anew while it was read? Then this is a mixture.
                is_sound = payload and read_slot(table.map, slot.at)[0] == start_ns
                if is_sound and start_ns <= before_ns and start_ns != slot.told_ns:
                    slot.told_ns = start_ns
                    self._count += 1
                    self._told.append((self._count, slot, start_ns))
                    found.append(Record(0, START, payload, self._count - 1, self._count))
        return found

    def acknowledge(self, offset: int) -> None:
        """The collector knows of these calls."""
        while self._told and self._told[0][0] <= offset:
            _, slot, start_ns = self._told.popleft()
            slot.delivered_ns = start_ns

    # --- the end

    def close(self) -> None:
        """Leave a file only where it tells of a call the collector does not know of."""
        tables, self._tables, self._free = self._tables, [], []
        for table in tables:
            known = {slot.at: slot.delivered_ns for slot in table.slots}
            is_needed = any(
                payload and start_ns != known[at]
                for at in known
                for start_ns, payload in [read_slot(table.map, at)]
            )
            table.let_go()
            if table.segment is not None:
                table.segment.close(unlink=not is_needed)

    def abandon(self) -> None:
        """In a forked child: the files are the parent's."""
        for table in self._tables:
            table.let_go()
            if table.segment is not None:
                table.segment.abandon()
        self._tables, self._free = [], []
        self._told.clear()


def read_slot(data: Buffer, at: int) -> tuple[int, bytes]:
    """When the call in a slot began, and its start record; (0, b"") if there is none."""
    try:
        start_ns, text_at, length = _SLOT.unpack_from(data, at)
        if not 0 < length <= _LONGEST:
            return 0, b""
        (text_length,) = _TEXT.unpack_from(data, text_at)
    except struct.error:
        return 0, b""
    own = data[at + _SLOT.size : at + _SLOT.size + length]
    text = data[text_at + _TEXT.size : text_at + _TEXT.size + text_length]
    return start_ns, bytes(own) + bytes(text)


class LeftCalls:
    """Reads the start records of the calls a dead process was in."""

    damaged = 0

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._start = start

    def __iter__(self) -> Iterator[Record]:
        """Yield every sound record once."""
        for at in range(self._start, self._start + _SLOTS * _SLOT_BYTES, _SLOT_BYTES):
            _, payload = read_slot(self._data, at)
            with contextlib.suppress(ValueError):
                orjson.loads(payload)
                yield Record(0, START, payload, at, at + _SLOT_BYTES)
