"""What dead processes left in the spool: taken over, cut to size, delivered, removed."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from kibitz._directory import ALIVE, is_alive, make_room
from kibitz._running import LeftCalls
from kibitz._segment import SEGMENT, TABLE, NewerFormat, Record, Scan, note, open_header

try:
    import fcntl
except ImportError:  # Windows: nothing is mapped there, so nothing is left
    fcntl = None  # type: ignore[assignment]

_YOUNG_DRAFT_S = 2.0  # its maker may not have locked it yet
_CUT = f"-cut{SEGMENT}"  # how the name of a segment ends that takes no more room than its records

# Files this process has adopted: to open one again and close it would give up the lock on it. Two
# threads may try at once.
_TAKEN: dict[str, object] = {}


def forget_parent() -> None:
    """In a forked child: neither the parent's spool nor what it adopted is ours."""
    ALIVE.clear()
    _TAKEN.clear()


class Orphan:
    """A dead process's segment, under an exclusive lock until it is delivered or given back."""

    def __init__(self, path: Path, fd: int, data: bytes) -> None:
        """Raises: NewerFormat: it is to be left alone. ValueError: neither header holds."""
        opened = open_header(data)
        if opened is None:
            raise ValueError(f"{path.name}: no header holds")
        self.path = path
        self.header = opened.header
        self.process = opened.header.process
        self.written_ns = max(opened.header.created_ns, os.fstat(fd).st_mtime_ns)
        self._fd, self._taken = fd, str(path)
        self._data, self._start = data, opened.start
        self._is_table = path.suffix == TABLE
        self._scan = LeftCalls(data, opened.start) if self._is_table else Scan(data, opened.start)
        self._records = iter(self._scan)
        self._waiting: Record | None = next(self._records, None)
        self._is_damaged = opened.is_damaged

    @property
    def is_read(self) -> bool:
        """Whether every sound record was taken."""
        return self._waiting is None

    def read(self, max_records: int, max_bytes: int) -> list[Record]:
        """Take the next sound records."""
        records: list[Record] = []
        taken = 0
        while (record := self._waiting) is not None and len(records) < max_records:
            if records and taken + len(record.payload) > max_bytes:
                break
            records.append(record)
            taken += len(record.payload)
            self._waiting = next(self._records, None)
        return records

    def acknowledge(self, offset: int) -> None:
        """Note in the file what needs no more sending, for whoever takes over if we die too."""
        if not self._is_table:
            with contextlib.suppress(OSError):
                os.pwrite(self._fd, *note(offset))

    def trim(self) -> int:
        """Cut off what was allocated and never written; how many bytes. Without records it goes."""
        size = os.fstat(self._fd).st_size
        if self.is_read:
            self.finish()
            return size
        if self._is_table:
            return 0
        scan = Scan(self._data, self._start)
        end = max(record.end for record in scan)
        left = size
        if not (self._is_damaged or scan.damaged):
            trailer = self.header.trailer()
            os.pwrite(self._fd, trailer, end)
            left = end + len(trailer)
            os.ftruncate(self._fd, left)
        self.path.rename(self.path.with_name(self.path.stem + _CUT))
        return size - left

    def finish(self) -> None:
        """Remove the file, as all is delivered; with unreadable parts, keep it in `quarantine/`."""
        if self._is_damaged or self._scan.damaged:
            quarantine(self.path)
        else:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.release()

    def release(self) -> None:
        """Give up the lock; only the first call counts."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            _TAKEN.pop(self._taken, None)
            with contextlib.suppress(OSError):
                os.close(fd)


def quarantine(path: Path) -> None:
    """Move a file out of the way, where `kibitz spool show` lists it."""
    folder = path.parent / "quarantine"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        make_room(folder, 20)
        path.rename(folder / path.name)


def adopt(directory: Path) -> Orphan | None:
    """Take over one segment whose owner is dead; None if there is none, or others have them."""
    # Segments first: most calls in a table have ended since, and are in them.
    for path in sorted(_segments(directory), key=lambda path: (path.suffix == TABLE, path)):
        orphan = adopt_file(path)
        if orphan is not None:
            return orphan
    return None


def _segments(directory: Path) -> list[Path]:
    found: list[Path] = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            process = entry.name.partition("-")[0]
            if process in ALIVE or not entry.is_file(follow_symlinks=False):
                continue
            if entry.name.endswith((SEGMENT, TABLE)):
                found.append(Path(entry.path))
    return found


def remove_drafts(directory: Path) -> None:
    """Remove segments whose maker died before they were usable; they hold nothing."""
    with contextlib.suppress(OSError):
        for path in directory.glob("*.new"):
            if path.name.partition("-")[0] not in ALIVE:
                _remove_draft(path)


def _remove_draft(path: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime < _YOUNG_DRAFT_S:
            return
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(fd)


def trim(directory: Path) -> int:
    """Free what a dead process has allocated and never filled; how many bytes.

    Of one segment at a time: reading it takes milliseconds.
    """
    for path in _segments(directory):
        if path.name.endswith(_CUT):
            continue
        orphan = adopt_file(path)
        if orphan is None:
            continue
        freed = 0
        with contextlib.suppress(OSError):
            freed = orphan.trim()
        orphan.release()
        if freed:
            return freed
    return 0


def adopt_file(path: Path) -> Orphan | None:
    """Take over one segment; None if its owner lives, another has it, or no header holds."""
    mine = object()
    if _TAKEN.setdefault(str(path), mine) is not mine:
        return None
    orphan = None
    try:
        orphan = _open(path)
    finally:
        if orphan is None:
            _TAKEN.pop(str(path), None)
    return orphan


def _open(path: Path) -> Orphan | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        orphan = _take(path, fd)
    except (OSError, NewerFormat):
        orphan = None
    except ValueError:
        quarantine(path)
        orphan = None
    if orphan is None:
        os.close(fd)
    return orphan


def _take(path: Path, fd: int) -> Orphan | None:
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    found = os.fstat(fd)
    if not os.path.samestat(found, path.stat()):  # the one before us has just finished it
        return None
    with open(fd, "rb", closefd=False) as file:
        data = file.read()
    orphan = Orphan(path, fd, data)
    return None if is_alive(orphan.header) else orphan
