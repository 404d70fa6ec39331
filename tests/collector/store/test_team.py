"""What processes on one PostgreSQL database tell each other, and which of them leads."""

import threading
import time

import pytest

from kibitz_collector.store import Store, dialect, open_store
from kibitz_collector.store.bridge import SAY_EVERY_S
from kibitz_collector.store.queries import logs
from tests.collector.store.facts import WORKSPACE, log

pytestmark = pytest.mark.postgres


def test_a_commit_wakes_the_workers_of_other_processes(postgres_url: str) -> None:
    one, other = open_store(postgres_url), open_store(postgres_url)
    heard, own, another = other.subscribe("logs"), one.subscribe("logs"), other.subscribe("jobs")
    deadline = time.monotonic() + 10
    while not heard.wait(0.2):  # the first may come before the other listens
        one.ingest(WORKSPACE, [log(f"log_{time.monotonic_ns()}")])
        assert time.monotonic() < deadline
    assert own.is_set()
    assert not another.is_set()
    one.close()
    other.close()


def test_a_storm_of_commits_is_at_most_ten_wake_ups_a_second(postgres_url: str) -> None:
    one, other = open_store(postgres_url), open_store(postgres_url)
    heard = other.subscribe("logs")
    while not heard.wait(0.2):
        one.announce("logs")
    began, wakes = time.monotonic(), 0
    while time.monotonic() - began < 1.0:
        one.announce("logs")
        if heard.wait(0.001):
            heard.clear()
            wakes += 1
    assert 1 <= wakes <= 1.0 / SAY_EVERY_S + 2
    one.close()
    other.close()


def test_who_listened_to_a_server_that_went_away_is_woken_when_it_is_back(
    postgres_url: str,
) -> None:
    store = open_store(postgres_url)
    heard = store.subscribe("logs")
    other = open_store(postgres_url)
    while not heard.wait(0.2):
        other.announce("logs")
    heard.clear()
    with other.write() as session:
        session.connection().exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    assert heard.wait(10)
    store.close()
    other.close()


def test_one_process_leads_until_it_ends(postgres_url: str) -> None:
    one, other = open_store(postgres_url), open_store(postgres_url)
    assert one.leads("alerts")
    assert one.leads("alerts")
    assert not other.leads("alerts")
    assert other.leads("text-index")
    one.close()
    deadline = time.monotonic() + 5
    while not other.leads("alerts"):
        assert time.monotonic() < deadline
    other.close()


def test_on_sqlite_everybody_leads(sqlite_store: Store) -> None:
    assert sqlite_store.leads("alerts")


def test_who_follows_stops_below_a_number_that_may_still_appear(postgres_url: str) -> None:
    store, slow = open_store(postgres_url), open_store(postgres_url)
    store.ingest(WORKSPACE, [log("log_first")])

    def followed() -> list[str]:
        with store.read() as session:
            newest = logs.newest_seq(session, WORKSPACE)
            found = logs.list_after(session, WORKSPACE, 0, 50)
            assert newest == max(item.seq for item in found)
            return [item.id for item in found]

    with slow.write() as session:
        (drawn,) = dialect.next_seqs(session.connection(), 1)
        store.ingest(WORKSPACE, [log("log_later")])
        assert followed() == ["log_first"]
    assert followed() == ["log_first", "log_later"]
    with store.read() as session:
        settled = dialect.settled_seq(session.connection())
    assert settled is not None
    assert settled > drawn
    store.close()
    slow.close()


def test_arrivals_are_settled_up_to_the_oldest_ingest_that_runs(postgres_url: str) -> None:
    store = open_store(postgres_url)
    entered, leave = threading.Event(), threading.Event()
    began_ns = time.time_ns()

    def ingest_slowly() -> None:
        with store.write() as session:
            dialect.lock_traces(session.connection(), WORKSPACE, {1}, began_ns)
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=ingest_slowly)
    thread.start()
    assert entered.wait(10)
    with store.read() as session:
        connection = session.connection()
        assert dialect.settled_ns(connection, began_ns + 10**12) < began_ns
        assert dialect.settled_ns(connection, began_ns - 10**12) == began_ns - 10**12
    leave.set()
    thread.join()
    with store.read() as session:
        assert dialect.settled_ns(session.connection(), began_ns + 10**12) == began_ns + 10**12
    store.close()
