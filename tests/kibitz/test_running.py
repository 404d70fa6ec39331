"""Calls in progress are known from outside, as far as there is room, until they end."""

import time
from pathlib import Path

import orjson
import pytest

from kibitz import _directory
from kibitz._record import BARE_TAIL, span_head, span_template, start_tail, text_attribute
from kibitz._running import TABLE_BYTES, LeftCalls, Running, Slot
from kibitz._segment import TABLE, Header, Segment, open_header

TAIL = start_tail(text_attribute("kibitz.file.path", "a/b"))


@pytest.fixture
def running(tmp_path: Path) -> Running:
    found = Running()
    found.keep_in(lambda: table(tmp_path, len(list(tmp_path.iterdir()))))
    return found


def table(folder: Path, number: int) -> Segment:
    header = Header("beef" * 4, "i", 1, 1, {"attributes": []}, {})
    return _directory.create_segment(folder, f"beef-{number}", TABLE_BYTES, header, TABLE)


def begin(running: Running, number: int, *, name: bytes = b'"n"', tail: bytes = TAIL) -> Slot:
    slot = running.note(span_head(span_template(name, 1), 1, number, 0, number), tail, number)
    assert slot is not None
    return slot


def left(folder: Path) -> list[int]:
    """The calls another process finds in the files, by their span ids."""
    found = []
    for path in sorted(folder.glob("*.calls")):
        data = path.read_bytes()
        opened = open_header(data)
        assert opened is not None
        for record in LeftCalls(data, opened.start):
            (span,) = orjson.loads(record.payload)["spans"]
            assert span["endTimeUnixNano"] == "0"
            found.append(int(span["spanId"], 16))
    return found


def test_a_call_is_in_the_file_from_its_begin_to_its_end(running: Running, tmp_path: Path) -> None:
    first, second = begin(running, 1), begin(running, 2)
    assert left(tmp_path) == [1, 2]
    first.empty()
    assert left(tmp_path) == [2]
    second.empty()
    assert left(tmp_path) == []
    begin(running, 3)
    assert left(tmp_path) == [3]


def test_the_record_says_what_the_function_always_says(running: Running) -> None:
    begin(running, 7)
    (record,) = running.read(9, 9)
    (span,) = orjson.loads(record.payload)["spans"]
    assert [item["key"] for item in span["attributes"]] == ["kibitz.file.path", "kibitz.record"]
    assert (span["name"], span["spanId"], span["startTimeUnixNano"]) == ("n", f"{7:016x}", "7")


def test_more_calls_than_slots_get_more_files_up_to_a_limit(
    running: Running, tmp_path: Path
) -> None:
    slots = [begin(running, number) for number in range(1, 4097)]
    assert sorted(left(tmp_path)) == list(range(1, 4097))
    assert running.note(b"x", b"", 1) is None
    slots[100].empty()
    begin(running, 5000)
    assert 5000 in left(tmp_path)


def test_what_does_not_fit_into_a_slot_is_not_noted(running: Running, tmp_path: Path) -> None:
    assert running.note(b"x" * 2000, b"", 1) is None
    for slot in [begin(running, number) for number in range(1, 65)]:
        slot.empty()
    assert len(list(tmp_path.iterdir())) == 1


def test_without_room_for_its_text_a_call_is_known_by_name_and_time(
    running: Running, tmp_path: Path
) -> None:
    begin(running, 1, tail=start_tail(text_attribute("big", "x" * TABLE_BYTES)))
    (record,) = running.read(9, 9)
    assert record.payload.endswith(BARE_TAIL)
    assert left(tmp_path) == [1]


def test_only_what_runs_for_some_time_is_told_and_once(running: Running) -> None:
    now_ns = time.time_ns()
    begin(running, 1)
    begin(running, now_ns)
    assert [b"%016x" % 1 in record.payload for record in running.read(9, 9)] == [True]
    assert running.read(9, 9) == []
    running.delay_s = 0.0
    assert len(running.read(9, 9)) == 1


def test_a_slot_used_again_is_told_again(running: Running) -> None:
    begin(running, 1).empty()
    begin(running, 2)
    assert len(running.read(9, 9)) == 1


def test_a_file_stays_only_if_it_tells_something_new(running: Running, tmp_path: Path) -> None:
    begin(running, 1)
    begin(running, 2)
    first, _ = running.read(9, 9)
    running.acknowledge(first.end)
    running.close()
    assert left(tmp_path) == [1, 2]


def test_what_the_collector_knows_is_not_left_behind(running: Running, tmp_path: Path) -> None:
    slot = begin(running, 1)
    running.acknowledge(running.read(9, 9)[-1].end)
    running.close()
    assert list(tmp_path.iterdir()) == []
    slot.empty()  # it ends after that: nothing happens


def test_a_forked_child_writes_nothing_into_its_parents_file(
    running: Running, tmp_path: Path
) -> None:
    slot = begin(running, 1)
    running.abandon()  # what the child does
    slot.empty()
    assert left(tmp_path) == [1]
    begin(running, 2)
    assert left(tmp_path) == [1, 2]
    assert len(list(tmp_path.iterdir())) == 2


def test_noise_in_a_slot_is_passed_over(running: Running, tmp_path: Path) -> None:
    begin(running, 1)
    begin(running, 2)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    at = data.index(b'"spanId":"%016x' % 1)
    data[at : at + 20] = bytes(range(20))
    path.write_bytes(data)
    assert left(tmp_path) == [2]
