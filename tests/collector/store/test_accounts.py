import pytest
from hypothesis import given
from hypothesis import strategies as st

from kibitz_collector.errors import NotFound
from kibitz_collector.records import Rejected
from kibitz_collector.store import Store
from kibitz_collector.store.queries.producers import (
    SETTLED_NS,
    Gap,
    ProducerView,
    list_producers,
    losses,
)
from kibitz_collector.store.writes.producers import (
    MAX_PIECES,
    Piece,
    ProducerReport,
    join_pieces,
    note_reports,
)
from kibitz_collector.store.writes.quarantine import list_quarantined, mark_replayed


def test_a_replayed_record_leaves_the_list_and_comes_back_when_refused_again(store: Store) -> None:
    rejected = Rejected(reason="no name", payload=b"{}")
    store.quarantine(1, [rejected])
    with store.write() as session:
        mark_replayed(session, 1, list_quarantined(session, 1)[0].id)
    with store.read() as session:
        assert list_quarantined(session, 1) == []
        assert len(list_quarantined(session, 1, include_replayed=True)) == 1
    store.quarantine(1, [rejected])
    with store.read() as session:
        assert [record.count for record in list_quarantined(session, 1)] == [2]


def test_replaying_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound), store.write() as session:
        mark_replayed(session, 1, 77)


def piece(first: int, last: int, count: int | None = None) -> ProducerReport:
    whole = last - first + 1 if count is None else count
    return ProducerReport(process="p", first=first, last=last, count=whole)


def noted(store: Store, *reports: ProducerReport) -> ProducerView:
    for report in reports:
        with store.write() as session:
            note_reports(session, 1, [report])
    with store.read() as session:
        return list_producers(session, 1)[0]


def test_what_has_not_arrived_of_a_process_is_a_gap(store: Store) -> None:
    found = noted(store, piece(1, 100), piece(151, 200), piece(101, 120))
    assert (found.produced, found.stored, found.missing) == (200, 170, 30)
    assert found.gaps == [Gap(first=121, last=150, missing=30)]


def test_a_request_that_comes_again_is_not_counted_again(store: Store) -> None:
    spans, logs = piece(1, 100, 99), piece(50, 50)
    found = noted(store, spans, logs, spans, logs, piece(1, 60, 59), piece(61, 100))
    assert (found.stored, found.missing, found.gaps) == (100, 0, [])


def test_refused_records_have_arrived_but_are_not_stored(store: Store) -> None:
    report = ProducerReport(
        process="p", first=1, last=10, count=10, rejected=2, host="web-1", service="shop"
    )
    found = noted(store, report, piece(11, 11))
    assert (found.stored, found.rejected, found.missing) == (9, 2, 0)
    assert (found.host, found.service) == ("web-1", "shop")


def test_pieces_stay_few_and_the_count_stays_right() -> None:
    pieces = join_pieces([(n * 10 + 1, n * 10 + 5, 5) for n in range(500)])
    assert len(pieces) == MAX_PIECES
    assert sum(count for _, _, count in pieces) == 2500


@given(st.permutations(range(12)), st.integers(1, 3))
def test_pieces_are_the_same_in_every_order(order: list[int], size: int) -> None:
    whole: list[Piece] = [(n * size + 1, (n + 1) * size, size) for n in range(12)]
    pieces: list[Piece] = []
    for index in order:
        pieces = join_pieces([*pieces, whole[index]])
    assert pieces == [(1, 12 * size, 12 * size)]


def test_only_silent_processes_have_losses(store: Store) -> None:
    found = noted(store, piece(5, 10))
    late_ns = found.updated_ns + SETTLED_NS + 1
    with store.read() as session:
        assert not losses(session, 1, found.updated_ns, 0)
        assert losses(session, 1, late_ns, 0).missing == 4
        assert not losses(session, 1, late_ns, late_ns)
        assert not losses(session, 2, late_ns, 0)
