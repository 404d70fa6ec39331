"""The spool's file format: a mapped segment that outlives its process, and its reader.

A segment is   prefix | header JSON | records … zeros … | header JSON again | trailer.
A record is    magic, length, CRC-32, kind, sequence | payload | zeros up to 8 bytes.

The payload is copied first and its header last, so a process killed in between leaves zeros where
the next record would start. The file is allocated, never sparse (a hole on a full disk would be a
SIGBUS in the host), and never truncated while it is mapped.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

FORMAT_VERSION = 1
SEGMENT, TABLE = ".seg", ".calls"  # what file names end with

_FILE_MAGIC = b"\x89KIBITZ\n"
_PREFIX = struct.Struct("<8sIII")  # magic, version, length of the header JSON, its CRC-32
_ACK = struct.Struct("<QI")  # offset up to which all is delivered, its CRC-32
_ACK_AT = 24
_JSON_AT = 40
# Not valid UTF-8, so no payload can contain it and a reader can find its way again.
_RECORD_MAGIC = 0xFD4BFE4B
_MAGIC_BYTES = struct.pack("<I", _RECORD_MAGIC)
_RECORD = struct.Struct("<IIIIQ")  # magic, length, CRC-32, kind, sequence
_RECORD_BYTES = _RECORD.size
_COVERED = struct.Struct("<IIQ")  # of a record's header by its CRC-32: length, kind, sequence
# zlib lets go of the GIL above 5 KB; with busy host threads it would take milliseconds to get it
# back.
_CRC_PIECE = 4096

# Maps that were inherited by fork or whose descriptor the host has closed: unmapping them could
# close a descriptor that is somebody else's by now, so they are kept until the process ends.
_ABANDONED: list[object] = []


class Record(NamedTuple):
    """One spooled record, and the offsets where it starts and where the next one does."""

    sequence: int
    kind: int
    payload: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """Who wrote a segment, and the OTLP resource its records belong to."""

    process: str
    install: str
    pid: int
    created_ns: int
    resource: dict[str, Any]
    identity: dict[str, str]  # tells the process from a later one with the same pid
    version: int = FORMAT_VERSION

    def to_json(self) -> bytes:
        """Write the header as it stands in the file."""
        return orjson.dumps({name: getattr(self, name) for name in self.__slots__})

    def trailer(self) -> bytes:
        """Write the header as it stands at the file's end."""
        text = self.to_json()
        return text + _PREFIX.pack(_FILE_MAGIC, self.version, len(text), zlib.crc32(text))

    @classmethod
    def from_json(cls, text: bytes) -> Header | None:
        """Read a header; None if a field is missing or of another type."""
        try:
            found = orjson.loads(text)
            header = cls(**{name: found[name] for name in cls.__slots__})
        except (ValueError, TypeError, KeyError):
            return None
        is_whole = (
            isinstance(header.pid, int)
            and isinstance(header.resource, dict)
            and isinstance(header.identity, dict)
        )
        return header if is_whole and isinstance(header.process, str) else None


def checksum(kind: int, sequence: int, payload: bytes) -> int:
    """CRC-32 over length, kind, sequence and payload.

    These fields themselves as the seed would not do: a seed is added to the first four bytes, so
    two flipped bits could cancel each other.
    """
    length = len(payload)
    crc = zlib.crc32(_COVERED.pack(length, kind, sequence))
    if length <= _CRC_PIECE:
        return zlib.crc32(payload, crc)
    view = memoryview(payload)
    for start in range(0, length, _CRC_PIECE):
        crc = zlib.crc32(view[start : start + _CRC_PIECE], crc)
    return crc


def _aligned(offset: int) -> int:
    return (offset + 7) & ~7


class Segment:
    """A segment this process writes: `append` under the spool's lock, the rest by the sender."""

    __slots__ = (
        "_fd",
        "acked",
        "created_ns",
        "limit",
        "map",
        "path",
        "read_to",
        "size",
        "start",
        "written",
    )

    def __init__(self, path: Path, fd: int, size: int, header: Header) -> None:
        text = header.to_json()
        self.path = path
        self.size = size
        self.created_ns = header.created_ns
        self._fd = fd
        self.map = mmap.mmap(fd, size)
        self.limit = (size - _PREFIX.size - len(text)) & ~7
        self.start = self.written = self.acked = self.read_to = _aligned(_JSON_AT + len(text))
        prefix = _PREFIX.pack(_FILE_MAGIC, FORMAT_VERSION, len(text), zlib.crc32(text))
        self.map[size - _PREFIX.size - len(text) :] = text + prefix
        self.map[_JSON_AT : _JSON_AT + len(text)] = text
        self.map[: _PREFIX.size] = prefix

    def append(self, kind: int, sequence: int, payload: bytes) -> bool:
        """Copy one record in, without any system call; False if it does not fit."""
        start = self.written
        body = start + _RECORD_BYTES
        length = len(payload)
        end = body + length
        if end + _RECORD_BYTES > self.limit:
            return False
        if length <= _CRC_PIECE:  # `checksum`, without the call
            crc = zlib.crc32(payload, zlib.crc32(_COVERED.pack(length, kind, sequence)))
        else:
            crc = checksum(kind, sequence, payload)
        self.map[body:end] = payload
        _RECORD.pack_into(self.map, start, _RECORD_MAGIC, length, crc, kind, sequence)
        self.written = (end + 7) & ~7
        return True

    def read(self, max_records: int, max_bytes: int) -> list[Record]:
        """Take the next records, and remember how far was read."""
        records: list[Record] = []
        position, end, taken = self.read_to, self.written, 0
        while position < end and len(records) < max_records:
            _, length, _, kind, sequence = _RECORD.unpack_from(self.map, position)
            if records and taken + length > max_bytes:
                break
            body = position + _RECORD_BYTES
            following = _aligned(body + length)
            payload = self.map[body : body + length]
            records.append(Record(sequence, kind, payload, position, following))
            position = following
            taken += length
        self.read_to = position
        return records

    def acknowledge(self, offset: int) -> None:
        """Note in the file that everything before `offset` needs no more sending."""
        self.acked = offset
        packed, at = note(offset)
        self.map[at : at + len(packed)] = packed

    def is_delivered(self) -> bool:
        """Whether nothing in here waits any more."""
        return self.acked >= self.written

    def is_past(self, share: float) -> bool:
        """Whether more than this share of the room is used."""
        return self.written - self.start > share * (self.limit - self.start)

    def shed(self) -> None:
        """Let a full segment's pages not count as this process's memory; the file keeps them."""
        with contextlib.suppress(OSError, ValueError):
            self.map.madvise(mmap.MADV_DONTNEED)

    def sync(self) -> None:
        """Bring the pages to the disk itself (durability "machine")."""
        self.map.flush()

    def close(self, *, unlink: bool) -> None:
        """Let go of the file, which also gives up the lock; with `unlink` it is gone."""
        if unlink and _is_same_file(self._fd, self.path):
            with contextlib.suppress(OSError):
                self.path.unlink()
        if not is_open(self._fd, self.size):
            self.abandon()
            return
        self.map.close()
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def abandon(self) -> None:
        """Never touch map or descriptor again, not even to free them."""
        abandon_map(self.map)


def note(offset: int) -> tuple[bytes, int]:
    """Bytes that say "all before `offset` is delivered", and where they belong in the file."""
    return _ACK.pack(offset, zlib.crc32(offset.to_bytes(8, "little"))), _ACK_AT


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        mine, there = os.fstat(fd), path.stat()
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def abandon_map(mapped: mmap.mmap) -> None:
    """Keep a map that is not ours to free until the process ends."""
    _ABANDONED.append(mapped)


def is_open(fd: int, size: int) -> bool:
    """Whether a descriptor is still that of a file of this size, and not closed by the host."""
    try:
        return os.fstat(fd).st_size == size
    except OSError:
        return False


def allocate(fd: int, size: int) -> None:
    """Give a new file all its blocks now.

    Raises: OSError: the disk has no room.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(fd, 0, size)
    # Blocks that are only allocated cost the caller's thread 3.5 to 5 µs at the first touch of each
    # page (ext4); written ones 0.1 µs, and this 0.6 µs a page, without the GIL.
    zeros = bytes(min(size, 2**20))
    for start in range(0, size, len(zeros)):
        os.pwrite(fd, zeros[: size - start], start)


@dataclass(frozen=True, slots=True)
class Opened:
    """What the reader of a foreign segment knows before it reads the records."""

    header: Header
    start: int
    is_damaged: bool  # one of the two headers does not hold


class NewerFormat(Exception):
    """The segment was written by a newer kibitz; it is left alone."""


def open_header(data: bytes) -> Opened | None:
    """Read who wrote a segment, from either copy of the header; None if neither holds.

    Raises: NewerFormat: written by a newer kibitz.
    """
    first, length = _header_at(data, 0, _JSON_AT)
    last, last_length = _header_at(data, len(data) - _PREFIX.size, None)
    header = first or last
    if header is None:
        return None
    if header.version > FORMAT_VERSION:
        raise NewerFormat(
            f"spool format {header.version}; this kibitz reads up to {FORMAT_VERSION}"
        )
    start = _aligned(_JSON_AT + (length if first else last_length))
    return Opened(header, _acknowledged(data, start), first is None or last is None)


def _header_at(data: bytes, prefix_at: int, json_at: int | None) -> tuple[Header | None, int]:
    if prefix_at < 0 or len(data) < prefix_at + _PREFIX.size:
        return None, 0
    magic, version, length, crc = _PREFIX.unpack_from(data, prefix_at)
    begin = prefix_at - length if json_at is None else json_at
    text = data[begin : begin + length] if begin >= 0 else b""
    if magic != _FILE_MAGIC or len(text) != length or zlib.crc32(text) != crc:
        return None, 0
    header = Header.from_json(text)
    return (header, length) if header is not None and header.version == version else (None, 0)


def _acknowledged(data: bytes, start: int) -> int:
    if len(data) < _ACK_AT + _ACK.size:
        return start
    offset, crc = _ACK.unpack_from(data, _ACK_AT)
    is_sound = zlib.crc32(offset.to_bytes(8, "little")) == crc and start <= offset <= len(data)
    # A lost note only means sending again, and the collector knows each span by its ids.
    return int(offset) if is_sound else start


class Scan:
    """Reads the sound records of a foreign segment, skipping what is torn or flipped."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._position = start
        self.damaged = 0  # places where sound records follow something unreadable

    def __iter__(self) -> Iterator[Record]:
        """Yield every sound record once, in file order."""
        data, position = self._data, self._position
        while True:
            record = _record_at(data, position)
            if record is not None:
                yield record
                position = record.end
                continue
            found = self._next_sound(position)
            if found is None:
                return
            self.damaged += 1
            position = found

    def _next_sound(self, position: int) -> int | None:
        data = self._data
        while (position := data.find(_MAGIC_BYTES, position + 1)) >= 0:
            if _record_at(data, position) is not None:
                return position
        return None


def _record_at(data: bytes, position: int) -> Record | None:
    if position + _RECORD_BYTES > len(data):
        return None
    magic, length, crc, kind, sequence = _RECORD.unpack_from(data, position)
    body = position + _RECORD_BYTES
    if magic != _RECORD_MAGIC or body + length > len(data):
        return None
    payload = data[body : body + length]
    if not 0 < kind < 8 or checksum(kind, sequence, payload) != crc:
        return None
    return Record(sequence, kind, payload, position, _aligned(body + length))
