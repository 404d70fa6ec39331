"""The spool on the caller's side: it never raises, never deadlocks, and keeps its limits."""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kibitz import _directory, _orphans
from kibitz._ledger import Counts, read_ledgers
from kibitz._ring import Ring
from kibitz._runtime import LOG_RECORD, SPAN
from kibitz._segment import Segment
from kibitz._spool import Spool, Target
from kibitz.config import load
from tests.kibitz.local_collector import log_payload, span_payload


class Spools:
    """Makes spools in one folder, with nobody sending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Spool] = []

    def make(self, **settings: Any) -> Spool:
        loaded = load({}, **({"service": "svc", "spool_dir": self.folder} | settings))
        base = _directory.base_directory(loaded.spool_dir, {})
        spool = Spool(loaded, Target(loaded.collector, None, base), {"attributes": []}, "install")
        self.made.append(spool)
        return spool


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    found = Spools(tmp_path / "spool")
    yield found
    for spool in found.made:
        spool.finish()


def kept(spool: Spool) -> list[int]:
    """Sequence numbers of all that waits."""
    return [
        record.sequence
        for source in spool.sources()
        for record in source.read(10**7, 10**10)
        if record.sequence
    ]


def test_the_folder_is_private(spools: Spools) -> None:
    spool = spools.make()
    spool.put(SPAN, span_payload(1))
    (path,) = spool.target.directory.glob("*.seg")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_record_is_on_disk_when_put_returns(spools: Spools) -> None:
    spool = spools.make()
    spool.put(SPAN, span_payload(0xABC))
    (path,) = spool.target.directory.glob("*.seg")
    assert b"0000000000000abc" in path.read_bytes()


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="tells memory by file")
def test_a_burst_nobody_sends_holds_little_memory_and_loses_nothing(spools: Spools) -> None:
    spool = spools.make(segment_bytes=2**20)
    for number in range(4_000):
        spool.put(SPAN, span_payload(number) + b" " * 1_000)
    full, current = list(spool.segments)[:-1], spool.segments[-1]
    held = resident_bytes()
    assert len(full) > 2
    assert all(held[str(segment.path)] <= 64 * 1024 for segment in full)
    assert held[str(current.path)] <= current.size
    assert kept(spool) == list(range(1, 4_001))


def resident_bytes() -> dict[str, int]:
    """How much of each mapped file counts as memory of this process."""
    found: dict[str, int] = {}
    name = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            name = words[-1]
        elif words[0] == "Rss:":
            found[name] = found.get(name, 0) + int(words[1]) * 1024
    return found


def test_folders_with_blanks_and_other_letters_work(tmp_path: Path) -> None:
    spool = Spools(tmp_path / "mit Leerzeichen é 漢字").make()
    spool.put(SPAN, span_payload(1))
    assert spool.trouble == ""
    spool.finish()


def test_segments_follow_each_other_without_loss(spools: Spools) -> None:
    spool = spools.make(segment_bytes=2**17)
    for number in range(1, 3001):
        spool.put(SPAN, span_payload(number, text="y" * 400))
        if number % 50 == 0:
            spool.prepare()
    assert len(spool.segments) > 5
    assert kept(spool) == list(range(1, 3001))


def test_a_span_that_ends_in_a_signal_handler_inside_put_is_kept(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spools.make()
    append = Segment.append
    fired: list[int] = []

    def handle(_: int, __: object) -> None:
        spool.put(SPAN, span_payload(1000 + len(fired)))
        fired.append(1)

    def interrupted(self: Segment, kind: int, sequence: int, payload: bytes) -> bool:
        if len(fired) < 5:
            signal.raise_signal(signal.SIGUSR1)  # while the spool's lock is held
        return append(self, kind, sequence, payload)

    monkeypatch.setattr(Segment, "append", interrupted)
    old = signal.signal(signal.SIGUSR1, handle)
    try:
        for number in range(1, 21):
            spool.put(SPAN, span_payload(number))
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert len(fired) == 5
    assert len(kept(spool)) == 25


def test_a_span_that_ends_in_a_garbage_collection_inside_put_is_kept(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spools.make()
    append = Segment.append
    ended: list[int] = []

    class Ends:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            ended.append(1)
            spool.put(SPAN, span_payload(5000 + len(ended)))

    def interrupted(self: Segment, kind: int, sequence: int, payload: bytes) -> bool:
        gc.collect()
        return append(self, kind, sequence, payload)

    monkeypatch.setattr(Segment, "append", interrupted)
    for number in range(1, 11):
        Ends()
        spool.put(SPAN, span_payload(number))
    assert len(ended) == 10
    assert len(kept(spool)) == 20


def test_an_interrupted_put_neither_loses_its_record_nor_locks_out_the_next(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spools.make()
    append = Segment.append

    def interrupted(self: Segment, kind: int, sequence: int, payload: bytes) -> bool:
        monkeypatch.setattr(Segment, "append", append)
        raise KeyboardInterrupt

    spool.put(SPAN, span_payload(1))
    monkeypatch.setattr(Segment, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spool.put(SPAN, span_payload(2))
    spool.put(SPAN, span_payload(3))
    assert kept(spool) == [1, 2, 3]


def test_what_comes_while_another_thread_writes_is_written_by_it(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spools.make()
    append = Segment.append
    inside, go_on = threading.Event(), threading.Event()

    def slow(self: Segment, kind: int, sequence: int, payload: bytes) -> bool:
        monkeypatch.setattr(Segment, "append", append)
        inside.set()
        go_on.wait(10)
        return append(self, kind, sequence, payload)

    spool.put(SPAN, span_payload(1))
    monkeypatch.setattr(Segment, "append", slow)
    writer = threading.Thread(target=spool.put, args=(SPAN, span_payload(2)))
    writer.start()
    assert inside.wait(10)
    spool.put(SPAN, span_payload(3))  # does not wait
    assert spool.total == 3
    go_on.set()
    writer.join(10)
    assert kept(spool) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["a file is in the way", "another user's folder", "no room"])
def test_records_stay_in_memory_where_the_disk_cannot_be_used(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    spools = Spools(folder)
    if kind == "a file is in the way":
        folder.write_text("")
    elif kind == "another user's folder":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        spools.make().target.directory.mkdir(parents=True)
        os.chown(spools.make().target.directory, 12345, 12345)
    else:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))  # every larger file fails
    spool = spools.make(ring_records=100)
    try:
        for number in range(1, 151):
            spool.put(SPAN, span_payload(number))
    finally:
        if kind == "no room":
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert spool.trouble
    assert spool.in_memory
    assert kept(spool) == list(range(51, 151))
    assert (spool.produced, spool.dropped) == (150, 50)
    assert list(folder.glob("*/*.new")) == []


def test_records_go_to_disk_again_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    folder.write_text("in the way")
    spool = Spools(folder).make()
    spool.put(SPAN, span_payload(1))
    spool.prepare()
    assert spool.trouble
    folder.unlink()
    monkeypatch.setattr(spool, "_retry_at", 0.0)  # half a minute later
    spool.prepare()
    spool.put(SPAN, span_payload(2))
    assert spool.trouble == ""
    assert sum(len(source.read(9, 9999)) for source in spool.segments) == 1
    assert len(kept(spool)) == 1  # the first is still in memory
    spool.finish()


def test_a_deleted_folder_is_made_again(spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    spool = spools.make()
    spool.put(SPAN, span_payload(1))
    shutil.rmtree(spools.folder)
    monkeypatch.setattr(spool, "_rescan_at", 0.0)
    spool.prepare()
    spool.put(SPAN, span_payload(2))
    assert len(list(spool.target.directory.glob("*.seg"))) == 1
    assert kept(spool) == [1, 2]


@pytest.mark.parametrize("kind", ["nfs4", "9p", "fuse.sshfs", "cifs", "zfs", "unheard-of"])
def test_network_and_unknown_file_systems_are_not_mapped(
    spools: Spools, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(_directory, "file_system", lambda _: kind)
    spool = spools.make()
    spool.put(SPAN, span_payload(1))
    assert kind in spool.trouble
    assert kept(spool) == [1]


def test_without_file_locks_records_stay_in_memory(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_directory, "fcntl", None)  # as on Windows
    spool = spools.make()
    spool.put(SPAN, span_payload(1))
    assert spool.trouble
    assert kept(spool) == [1]


def test_the_cap_holds_headers_stay_and_every_loss_is_counted(spools: Spools) -> None:
    cap = 4 * 2**20
    spool = spools.make(spool_max_bytes=cap, segment_bytes=2**18)
    text = "x" * 4000
    for number in range(1, 10_001):  # ten times the cap
        spool.put(SPAN, span_payload(number, text=text))
        if number % 100 == 0:
            spool.prepare()
    assert _directory.usage_bytes(spool.target.directory) <= cap + 2**18
    sequences = []
    slim = 0
    for segment in list(spool.segments):
        for record in segment.read(10**6, 10**9):
            sequences.append(record.sequence)
            slim += len(record.payload) < 1000
            assert b'"spanId":"' in record.payload
            assert b'"name":"call"' in record.payload
    assert spool.produced == 10_000
    assert slim > 500
    assert b"kibitz.truncated" in record.payload
    assert len(sequences) + spool.dropped == 10_000
    assert spool.slimmed >= slim


def test_a_record_over_one_megabyte_is_cut_with_its_size_told(spools: Spools) -> None:
    spool = spools.make()
    spool.put(SPAN, span_payload(1, text="z" * 3_000_000))
    (record,) = spool.segments[0].read(9, 10**9)
    assert len(record.payload) < 2**20
    assert b"3000000" in record.payload


def test_a_record_that_is_no_record_is_counted_and_no_error(spools: Spools) -> None:
    spool = spools.make()
    spool.put(SPAN, b"\xff" * 2_000_000)
    spool.put(LOG_RECORD, None)  # type: ignore[arg-type]  # what must not happen must not raise
    spool.put(LOG_RECORD, log_payload(1))
    assert spool.dropped == 2
    assert spool.produced == 3
    assert kept(spool) == [3]


def test_the_ring_is_bounded_in_bytes_too() -> None:
    ring = Ring(10**6)
    for number in range(100):
        ring.append(SPAN, number + 1, bytes(10**6))
    assert sum(len(record.payload) for record in ring.read(10**6, 10**9)) <= 64 * 2**20
    assert ring.overflowed == 100 - len(ring)


def test_the_hosts_closing_of_all_descriptors_harms_nobody(spools: Spools, tmp_path: Path) -> None:
    spool = spools.make()
    spool.put(SPAN, span_payload(1))
    segment = spool.segments[0]
    os.close(segment._fd)
    theirs = os.open(tmp_path / "theirs", os.O_CREAT | os.O_RDWR)
    while theirs != segment._fd:  # the number is somebody else's now
        theirs = os.dup(theirs)
    spool.put(SPAN, span_payload(2))
    assert kept(spool) == [1, 2]
    spool.finish()
    os.fstat(theirs)
    os.close(theirs)


def test_durability_memory_writes_no_file(spools: Spools) -> None:
    spool = spools.make(durability="memory")
    spool.put(SPAN, span_payload(1))
    assert kept(spool) == [1]
    assert not spools.folder.exists()


def test_durability_machine_brings_pages_to_the_disk(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Segment] = []
    sync = Segment.sync
    monkeypatch.setattr(Segment, "sync", lambda self: (synced.append(self), sync(self)))
    spool = spools.make(durability="machine")
    spool.put(SPAN, span_payload(1))
    spool.prepare()
    assert synced == list(spool.segments)


LEAVES_A_SEGMENT = """
import os, sys
from tests.kibitz.test_spool import Spools, SPAN, span_payload
from pathlib import Path
spool = Spools(Path(sys.argv[1])).make(spool_max_bytes=16 * 2**20)
spool.put(SPAN, span_payload(1))
spool.prepare()
(spool.target.directory / f"{spool.process}-000009.new").write_bytes(bytes(2**20))
os.utime(spool.target.directory / f"{spool.process}-000009.new", (1, 1))
os._exit(0)
"""


def leave_segments(folder: Path, count: int) -> None:
    """Processes that die with one record in a segment of 2 MB each, and a draft."""
    for _ in range(count):
        subprocess.run([sys.executable, "-c", LEAVES_A_SEGMENT, str(folder)], check=True)


def test_what_killed_processes_allocated_does_not_fill_the_spool(spools: Spools) -> None:
    leave_segments(spools.folder, 5)
    spool = spools.make(spool_max_bytes=16 * 2**20)
    spool.put(SPAN, span_payload(2))
    assert not list(spool.target.directory.glob("*.new"))
    spool.prepare()
    assert _directory.usage_bytes(spool.target.directory) < 8 * 2**20  # half of what is allowed
    left = 0
    while (orphan := _orphans.adopt(spool.target.directory)) is not None:
        left += len(orphan.read(9, 10**6))
        orphan.finish()
    assert left == 5
    assert not (spool.target.directory / "quarantine").exists()


def test_at_the_cap_a_caller_takes_back_what_a_killed_process_has_not_filled(
    spools: Spools,
) -> None:
    leave_segments(spools.folder, 2)
    spool = spools.make(spool_max_bytes=4 * 2**20)
    spool.put(SPAN, span_payload(2))
    assert (spool.total, spool.dropped, len(spool.segments)) == (1, 0, 1)


def test_a_segment_is_cut_to_size_only_once(spools: Spools) -> None:
    leave_segments(spools.folder, 1)
    (folder,) = spools.folder.glob("*/")
    assert _orphans.trim(folder) > 2**20
    assert _orphans.trim(folder) == 0
    (path,) = folder.glob("*.seg")
    assert path.stat().st_size < 2000
    orphan = _orphans.adopt(folder)
    assert orphan is not None
    assert len(orphan.read(9, 10**6)) == 1
    orphan.finish()
    assert list(folder.glob("*.seg")) == []


def test_a_loss_is_in_the_ledger_before_put_returns_though_no_segment_could_be_made(
    spools: Spools,
) -> None:
    spool = spools.make(spool_max_bytes=2**20)
    spool.target.directory.mkdir(parents=True)
    (spool.target.directory / "filler").write_bytes(bytes(2**20))
    for number in range(1, 4):
        spool.put(SPAN, span_payload(number))
    (ledger,) = read_ledgers(spool.target.directory)
    assert ledger.counts == Counts(produced=3, dropped=3)
