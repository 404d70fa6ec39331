"""A trace is found in the list of traces whatever has arrived of it, in every order."""

import itertools
from typing import Any

import pytest

from kibitz_collector.records import LogRecord
from kibitz_collector.store import Store
from kibitz_collector.store.queries import logs
from kibitz_collector.store.tables.logs import Log
from tests.collector.store.facts import START_NS, TRACE, WORKSPACE, ingest_each, log, rows

_OTHER = "1" * 32


def listed(store: Store) -> list[str]:
    with store.read() as session:
        page = logs.list_logs(session, WORKSPACE, roots_only=True)
        assert logs.count_logs(session, WORKSPACE, roots_only=True) == len(page.items)
        return [item.id for item in page.items]


def tops(store: Store) -> set[str]:
    return {row["id"] for row in rows(store, Log) if row["is_top"]}


def at(second: int, id_: str, parent: str | None = None, **more: Any) -> LogRecord:
    return log(id_, parent, start_ns=START_NS + second * 10**9, **more)


def test_a_trace_whose_root_never_arrives_is_one_row_in_the_list(store: Store) -> None:
    ingest_each(store, [at(2, "log_b", "log_gone"), at(1, "log_a", "log_gone"), at(3, "log_c")])
    store.ingest(WORKSPACE, [at(0, "log_x", "log_lost", trace_id=_OTHER)])
    assert listed(store) == ["log_c", "log_a", "log_x"]


def test_a_root_that_arrives_late_takes_the_place_of_its_children(store: Store) -> None:
    ingest_each(store, [at(2, "log_b", "log_root"), at(1, "log_a", "log_root")])
    assert listed(store) == ["log_a"]
    store.ingest(WORKSPACE, [at(0, "log_root", kind="flow")])
    assert listed(store) == ["log_root"]
    assert tops(store) == {"log_root"}


def test_a_missing_span_in_the_middle_adds_no_row(store: Store) -> None:
    ingest_each(store, [at(0, "log_root", kind="flow"), at(1, "log_deep", "log_middle")])
    assert tops(store) == {"log_root", "log_deep"}
    assert listed(store) == ["log_root"]


def test_a_parent_in_another_trace_is_no_parent(store: Store) -> None:
    ingest_each(store, [at(0, "log_a"), at(1, "log_b", "log_a", trace_id=_OTHER)])
    assert set(listed(store)) == {"log_a", "log_b"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_tops_are_the_same_in_every_order(sqlite_store: Store, order: tuple[int, ...]) -> None:
    records = [
        at(3, "log_a", "log_b"),
        at(2, "log_b", "log_c"),
        at(1, "log_c", "log_a"),  # a cycle; its earliest is its top
        at(4, "log_d", "log_a", trace_id=None),
    ]
    ingest_each(sqlite_store, [records[index] for index in order])
    assert tops(sqlite_store) == {"log_c"}
    ingest_each(sqlite_store, [records[index] for index in order])
    assert tops(sqlite_store) == {"log_c"}
    assert listed(sqlite_store) == ["log_c"]


@pytest.mark.parametrize("split", [1, 2, 3])
def test_tops_are_the_same_however_the_trace_is_split(sqlite_store: Store, split: int) -> None:
    records = [
        at(0, "log_root", kind="flow"),
        at(1, "log_a", "log_root"),
        at(2, "log_b", "log_a"),
        at(3, "log_c", "log_missing"),
    ]
    sqlite_store.ingest(WORKSPACE, records[split:])
    sqlite_store.ingest(WORKSPACE, records[:split])
    assert tops(sqlite_store) == {"log_root", "log_c"}
    assert rows(sqlite_store, Log)[0]["trace_id"] == TRACE
