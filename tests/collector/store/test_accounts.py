import pytest

from kibitz_collector.errors import NotFound
from kibitz_collector.records import Rejected
from kibitz_collector.store import Store
from kibitz_collector.store.writes.producers import ProducerReport, list_producers, note_report
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


def test_reports_add_up_per_process_whatever_their_order(store: Store) -> None:
    reports = [
        ProducerReport(
            install="i",
            process="p",
            host="web-1",
            last_sequence=9,
            stored_high_water=9,
            stored_count=4,
        ),
        ProducerReport(
            install="i", process="p", last_sequence=5, stored_high_water=5, stored_count=5
        ),
        ProducerReport(install="i", process="q", dropped=2, rejected=1),
    ]
    with store.write() as session:
        for report in reports:
            note_report(session, 1, report)
    with store.read() as session:
        found = {report.process: report for report in list_producers(session, 1)}
    assert found["p"] == ProducerReport(
        install="i", process="p", host="web-1", last_sequence=9, stored_high_water=9, stored_count=9
    )
    assert (found["q"].dropped, found["q"].rejected) == (2, 1)
