"""The spool's file format under every kind of damage."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kibitz import _directory, _orphans
from kibitz._segment import Header, NewerFormat, Record, Scan, Segment, note, open_header

SIZE = 2**17
RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]}
HEADER = Header("feed" * 4, "install", 4242, 7, RESOURCE, {"boot": "b"})
PAYLOADS = [f'{{"n":{n},"text":"{"x" * (n * 37 % 900)}"}}'.encode() for n in range(60)]


class Written(NamedTuple):
    """The bytes of a segment, and its records with their places."""

    data: bytes
    records: list[Record]

    def __repr__(self) -> str:
        return "a sound segment"  # hypothesis prints it


def make(folder: Path, payloads: list[bytes] = PAYLOADS, header: Header = HEADER) -> Segment:
    segment = _directory.create_segment(folder, f"{header.process}-000000", SIZE, header)
    for number, payload in enumerate(payloads):
        assert segment.append(1, number + 1, payload)
    return segment


def written(folder: Path, header: Header = HEADER) -> Written:
    segment = make(folder, header=header)
    records = segment.read(10**6, 10**9)
    segment.close(unlink=False)
    data = segment.path.read_bytes()
    segment.path.unlink()
    return Written(data, records)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written(tmp_path_factory.mktemp("spool"))


def scan(data: bytes) -> tuple[list[Record], int]:
    opened = open_header(data)
    assert opened is not None
    reader = Scan(data, opened.start)
    return list(reader), reader.damaged


def test_what_was_appended_is_read_back_in_order(sound: Written) -> None:
    data, records = sound
    opened = open_header(data)
    assert opened is not None
    assert opened.header == HEADER
    assert not opened.is_damaged
    assert [record.payload for record in records] == PAYLOADS
    assert scan(data) == (records, 0)


def test_a_segment_is_never_sparse(tmp_path: Path) -> None:
    segment = make(tmp_path, [])
    assert os.stat(segment.path).st_blocks * 512 >= SIZE
    segment.close(unlink=True)


def test_a_segment_takes_records_until_it_is_full_and_stays_readable(tmp_path: Path) -> None:
    segment = make(tmp_path, [])
    count = 0
    while segment.append(1, count + 1, b"y" * 1000):
        count += 1
    data = segment.path.read_bytes()
    segment.close(unlink=True)
    opened = open_header(data)
    assert opened is not None
    assert not opened.is_damaged
    assert len(scan(data)[0]) == count > 100


def test_large_records_are_checked_like_small_ones(tmp_path: Path) -> None:
    big = os.urandom(30_000).hex().encode()
    segment = make(tmp_path, [big])
    data = bytearray(segment.path.read_bytes())
    segment.close(unlink=True)
    assert scan(bytes(data))[0][0].payload == big
    data[data.index(big) + 50_000] ^= 1
    assert scan(bytes(data))[0] == []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=8))
def test_flipped_bits_lose_only_the_records_they_hit(sound: Written, flips: list[int]) -> None:
    data, records = sound
    first, last = records[0].start, records[-1].end
    places = [first + flip // 8 % (last - first) for flip in flips]
    damaged = bytearray(data)
    for place, flip in zip(places, flips, strict=True):
        damaged[place] ^= 1 << flip % 8
    hit = [r for r in records if any(r.start <= place < r.end for place in places)]
    found, _ = scan(bytes(damaged))
    assert set(found) <= set(records)
    assert [r for r in records if r not in hit] == [r for r in found if r not in hit]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 6000))
def test_a_zeroed_stretch_loses_only_the_records_in_it(
    sound: Written, place: int, length: int
) -> None:
    data, records = sound
    first, last = records[0].start, records[-1].end
    start = first + place % (last - first)
    end = min(start + length, last)
    damaged = data[:start] + bytes(end - start) + data[end:]
    found, _ = scan(damaged)
    assert set(found) <= set(records)
    outside = [r for r in records if r.end <= start or r.start >= end]
    assert [r for r in found if r in outside] == outside


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SIZE))
def test_a_truncated_file_keeps_every_record_before_the_cut(sound: Written, length: int) -> None:
    data, records = sound
    short = data[:length]
    opened = open_header(short)
    if opened is None:
        assert length < records[0].start
        return
    assert opened.is_damaged == (length < SIZE)
    whole = [r for r in records if r.start + 24 + len(r.payload) <= length]
    assert list(Scan(short, opened.start)) == whole


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=4000))
def test_random_bytes_are_no_segment_and_no_error(data: bytes) -> None:
    assert open_header(data) is None
    assert list(Scan(data, 0)) == []


def test_the_last_record_of_a_killed_process_may_be_torn(
    sound: Written,
) -> None:
    data, records = sound
    last = records[-1]
    # The payload is copied before the header that makes it count.
    torn = data[: last.start] + bytes(24) + data[last.start + 24 :]
    assert scan(torn) == (records[:-1], 0)


def test_one_broken_header_is_made_good_by_the_other(sound: Written) -> None:
    data, records = sound
    for broken in (b"\0" * 300 + data[300:], data[:-300] + b"\0" * 300):
        opened = open_header(broken)
        assert opened is not None
        assert opened.header == HEADER
        assert opened.is_damaged
        if broken[:8] != bytes(8):
            assert list(Scan(broken, opened.start)) == records
    assert open_header(b"\0" * 300 + data[300:-300] + b"\0" * 300) is None


def test_a_segment_of_a_newer_kibitz_is_left_alone(tmp_path: Path) -> None:
    segment = make(tmp_path)
    segment.close(unlink=False)
    data = segment.path.read_bytes()
    import struct
    import zlib

    text = HEADER.to_json().replace(b'"version":1', b'"version":9')
    prefix = struct.pack("<8sIII", data[:8], 9, len(text), zlib.crc32(text))
    newer = prefix + data[20:40] + text + data[40 + len(text) : -len(text) - 20] + text + prefix
    with pytest.raises(NewerFormat, match="9"):
        open_header(newer)
    segment.path.write_bytes(newer)
    assert _orphans.adopt(tmp_path) is None
    assert segment.path.read_bytes() == newer


def test_what_is_acknowledged_is_not_read_again_and_a_damaged_note_means_all_again(
    sound: Written,
) -> None:
    data, records = sound
    packed, at = note(records[30].start)
    noted = data[:at] + packed + data[at + len(packed) :]
    assert scan(noted)[0] == records[30:]
    broken = bytearray(noted)
    broken[at] ^= 4
    assert scan(bytes(broken))[0] == records


def test_a_dead_process_is_taken_over_by_one_only(tmp_path: Path) -> None:
    make(tmp_path).close(unlink=False)
    orphan = _orphans.adopt(tmp_path)
    assert orphan is not None
    assert len(orphan.read(10**6, 10**9)) == len(PAYLOADS)
    child = os.fork()
    if child == 0:  # another process finds it locked
        os._exit(0 if _orphans.adopt(tmp_path) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    orphan.finish()
    assert list(tmp_path.glob("*.seg")) == []


def test_damaged_files_end_in_quarantine(tmp_path: Path) -> None:
    garbage = tmp_path / "aaaa-000000.seg"
    garbage.write_bytes(os.urandom(5000))
    segment = make(tmp_path)
    segment.close(unlink=False)
    data = bytearray(segment.path.read_bytes())
    data[data.index(PAYLOADS[9])] ^= 1
    segment.path.write_bytes(bytes(data))
    orphan = _orphans.adopt(tmp_path)
    assert orphan is not None
    assert len(orphan.read(10**6, 10**9)) == len(PAYLOADS) - 1
    orphan.finish()
    quarantined = {path.name for path in (tmp_path / "quarantine").iterdir()}
    assert quarantined == {garbage.name, segment.path.name}
    assert _orphans.adopt(tmp_path) is None


def test_a_living_process_keeps_its_segment_even_without_the_lock(tmp_path: Path) -> None:
    header = Header("beef" * 4, "i", os.getppid(), 1, RESOURCE, _directory.describe_process())
    started = _directory._started(os.getppid())
    header.identity["started"] = started
    make(tmp_path, header=header).close(unlink=False)
    assert _orphans.adopt(tmp_path) is None
    header.identity["started"] = "1"  # the pid was used again since
    path = next(tmp_path.glob("*.seg"))
    path.unlink()
    make(tmp_path, header=header).close(unlink=False)
    orphan = _orphans.adopt(tmp_path)
    assert orphan is not None
    orphan.release()
