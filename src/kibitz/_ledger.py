"""The ledger: what became of one process's records, in a small file beside its segments.

`flush()` tells a process about itself. The ledger tells `kibitz doctor` about all of them, those
that were killed included; whoever delivers a dead process's records writes it on.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import orjson

from kibitz._directory import ALIVE, describe_process, is_running
from kibitz._segment import SEGMENT, abandon_map, allocate, is_open

try:
    import fcntl
except ImportError:  # Windows: nothing is mapped there, no ledger either
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".ledger"
_FILE_BYTES = 1024
# JSON of who it is of, then the numbers. In the machine's own form each is stored at once, so that
# no kill can tear it.
_NUMBERS = struct.Struct("@6Q")
_NUMBERS_AT = _FILE_BYTES - _NUMBERS.size


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of records; what is in none of the last three still waits, or is lost."""

    produced: int = 0
    slimmed: int = 0  # of these, kept without their bodies as the spool was full
    sent: int = 0
    rejected: int = 0
    dropped: int = 0

    @property
    def is_unblemished(self) -> bool:
        """Whether every record arrived whole."""
        return self.sent >= self.produced and not (self.slimmed or self.rejected or self.dropped)

    @property
    def missed(self) -> int:
        """How many the collector has not taken; of a process that is done, these are lost."""
        return max(0, self.produced - self.sent - self.rejected)

    def header(self) -> str:
        """Write the totals as a request tells them to the collector."""
        waiting = max(0, self.missed - self.dropped)
        return (
            f"produced={self.produced}; sent={self.sent}; waiting={waiting}; "
            f"dropped={self.dropped}; rejected={self.rejected}"
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """One process's ledger as others read it."""

    process: str
    pid: int
    service: str
    identity: dict[str, str]
    counts: Counts
    told: int = 0  # how many lost records the collector was told of

    @property
    def is_alive(self) -> bool:
        """Whether the process certainly still runs."""
        return is_running(self.process, self.pid, self.identity)

    def to_bytes(self) -> bytes:
        """Write the ledger as it stands in its file."""
        who = {
            "process": self.process,
            "pid": self.pid,
            "service": self.service,
            "identity": self.identity,
        }
        return orjson.dumps(who).ljust(_NUMBERS_AT) + self.numbers()

    def numbers(self) -> bytes:
        """Write the part that changes."""
        return _NUMBERS.pack(*astuple(self.counts), self.told)

    @classmethod
    def from_bytes(cls, text: bytes) -> Ledger | None:
        """Read a ledger; None if it is none."""
        try:
            *counts, told = _NUMBERS.unpack_from(text, _NUMBERS_AT)
            ledger = cls(**orjson.loads(text[:_NUMBERS_AT]), counts=Counts(*counts), told=told)
        except (ValueError, TypeError, struct.error):
            return None
        is_sound = isinstance(ledger.pid, int) and isinstance(ledger.identity, dict)
        return ledger if is_sound and isinstance(ledger.process, str) else None


class OwnLedger:
    """The ledger this process keeps; mapped, so that a full disk or lost descriptor is no matter.

    Raises: OSError: no room, no permission, no folder.
    """

    def __init__(self, directory: Path, process: str, service: str) -> None:
        self.path = directory / f"{process}{_SUFFIX}"
        self._ledger = Ledger(process, os.getpid(), service[:100], describe_process(), Counts())
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self.path, flags, 0o600)
        try:
            allocate(self._fd, _FILE_BYTES)
            self._map = mmap.mmap(self._fd, _FILE_BYTES)
        except BaseException:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self._fd)
            raise
        self._map[:] = self._ledger.to_bytes()

    def write(self, counts: Counts) -> None:
        """Note the numbers, without a system call."""
        if counts != self._ledger.counts:
            self._ledger = replace(self._ledger, counts=counts)
            self._map[_NUMBERS_AT:] = self._ledger.numbers()

    def close(self, *, unlink: bool) -> None:
        """Let go of the file; with `unlink` it is gone."""
        if unlink:
            with contextlib.suppress(OSError):
                self.path.unlink()
        if not is_open(self._fd, _FILE_BYTES):
            self.abandon()
            return
        self._map.close()
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def abandon(self) -> None:
        """Never touch map or descriptor again, not even to free them."""
        abandon_map(self._map)


class Bookkeeper:
    """Keeps the ledger of this process wherever it can be kept just now."""

    def __init__(self, directory: Path, process: str, service: str) -> None:
        self._directory = directory
        self._process = process
        self._service = service
        self._ledger: OwnLedger | None = None

    def open(self) -> None:
        """Have a file; a new one, if someone has deleted the old one."""
        if self._ledger is not None and not os.path.exists(self._ledger.path):
            self._ledger.close(unlink=False)
            self._ledger = None
        if self._ledger is None:
            with contextlib.suppress(OSError, ValueError):
                self._ledger = OwnLedger(self._directory, self._process, self._service)

    @property
    def is_open(self) -> bool:
        """Whether there is a file to write to."""
        return self._ledger is not None

    def write(self, counts: Counts) -> None:
        """Note the numbers if there is a file."""
        ledger = self._ledger
        if ledger is not None:
            ledger.write(counts)

    def close(self, counts: Counts) -> None:
        """Leave the file to be read if it tells of anything but success."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close(unlink=counts.is_unblemished)


def read_ledgers(directory: Path) -> Iterator[Ledger]:
    """Read the ledgers of all processes of a folder."""
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        ledger = None
        with contextlib.suppress(OSError):
            ledger = Ledger.from_bytes(path.read_bytes())
        if ledger is not None:
            yield ledger


def read_ledger(directory: Path, process: str) -> Ledger | None:
    """Read one process's ledger."""
    with contextlib.suppress(OSError):
        return Ledger.from_bytes((directory / f"{process}{_SUFFIX}").read_bytes())
    return None


def untold(directory: Path) -> list[Ledger]:
    """Ledgers of processes that are done, with losses the collector has not been told of."""
    waiting = _waiting(directory)
    return [
        ledger
        for ledger in read_ledgers(directory)
        if ledger.counts.missed > ledger.told
        and ledger.process not in waiting
        and not ledger.is_alive
    ]


def _waiting(directory: Path) -> set[str]:
    """Processes of which there are still files."""
    with contextlib.suppress(OSError):
        names = os.listdir(directory)
        return {name.partition("-")[0] for name in names if name.endswith((SEGMENT, ".new"))}
    return set()


def mark_told(directory: Path, ledger: Ledger) -> None:
    """Note that the collector knows of a dead process's losses."""
    with contextlib.suppress(OSError):
        path = directory / f"{ledger.process}{_SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "r+b", buffering=0):
            os.pwrite(fd, replace(ledger, told=ledger.counts.missed).to_bytes(), 0)


def write_on(directory: Path, process: str, *, produced: int, sent: int, rejected: int) -> None:
    """Note what became of a dead process's records; `produced` is the least it can have made."""
    with contextlib.suppress(OSError):
        fd = os.open(directory / f"{process}{_SUFFIX}", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "r+b", buffering=0) as file:
            fcntl.lockf(fd, fcntl.LOCK_EX)  # two may have adopted a segment of it each
            ledger = Ledger.from_bytes(file.read(_FILE_BYTES))
            if ledger is None:
                return
            counts = replace(
                ledger.counts,
                produced=max(ledger.counts.produced, produced),
                sent=ledger.counts.sent + sent,
                rejected=ledger.counts.rejected + rejected,
            )
            os.pwrite(fd, replace(ledger, counts=counts).to_bytes(), 0)


def sweep(directory: Path, max_age_s: float) -> None:
    """Remove ledgers of dead processes that tell of no loss, or of one long ago."""
    with contextlib.suppress(OSError):
        waiting = _waiting(directory)
        for name in os.listdir(directory):
            process = name.removesuffix(_SUFFIX)
            if process == name or process in waiting or process in ALIVE:
                continue
            path = directory / name
            with contextlib.suppress(OSError):
                ledger = Ledger.from_bytes(path.read_bytes())
                is_unblemished = ledger is not None and ledger.counts.is_unblemished
                if ledger is not None and ledger.is_alive:
                    continue
                if is_unblemished or time.time() - path.stat().st_mtime > max_age_s:
                    path.unlink()
