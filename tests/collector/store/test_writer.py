import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from kibitz_collector.errors import Busy
from kibitz_collector.records import LogBody
from kibitz_collector.store import Store, open_store
from kibitz_collector.store.tables.logs import Log
from kibitz_collector.turns import TURN, pieces
from tests.collector.store.facts import WORKSPACE, log, model_call, rows

# Stores until it is killed, and says after each commit how far it is.
SENDER = """
import sys
from kibitz_collector.records import LogBody, LogRecord
from kibitz_collector.store import open_store
store = open_store(sys.argv[1])
number = 0
while True:
    batch = [
        LogRecord(id=f"log_{number + i}", kind="flow", name="x", start_ns=1, end_ns=2,
                  trace_id=f"{number:032x}", body=LogBody(output="y" * 500))
        for i in range(20)
    ]
    store.ingest(1, batch)
    number += 20
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(database_url: str) -> None:
    open_store(database_url).close()
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, database_url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged >= 400:
            break
    process.kill()
    acknowledged = max([acknowledged, *(int(line) for line in process.stdout)])
    process.wait()
    process.stdout.close()
    store = open_store(database_url)
    ids = [row["id"] for row in rows(store, Log)]
    assert len(ids) == len(set(ids))
    assert {f"log_{number}" for number in range(acknowledged)} <= set(ids)
    assert len(ids) % 20 == 0  # a batch is there whole or not at all
    store.close()


def test_too_many_waiting_bytes_are_refused_and_taken_later(database_url: str) -> None:
    store = open_store(database_url, max_pending_bytes=20_000)
    large = [log("log_large", body=LogBody(output="x" * 50_000))]
    with store.write() as session:
        # Hold what the writer needs: on PostgreSQL that is not the one transaction, but the rows.
        session.connection().execute(
            text("UPDATE counter SET value = value")
            if store.url.drivername == "sqlite"
            else text("LOCK TABLE log")
        )
        sender = threading.Thread(target=store.ingest, args=(WORKSPACE, large))
        sender.start()
        while store.pending_bytes == 0:
            pass
        with pytest.raises(Busy, match="wait to be stored") as caught:
            _ingest_from_another_thread(store, "log_a")
    assert caught.value.retry_after_s is not None
    sender.join()
    assert store.ingest(WORKSPACE, [log("log_a")])[0].is_new
    assert store.pending_bytes == 0
    store.close()


def test_after_closing_the_door_is_shut_and_nothing_waits(database_url: str) -> None:
    store = open_store(database_url)
    store.ingest(WORKSPACE, [log("log_a")])
    store.close()
    store.close()
    with pytest.raises(Busy, match="stopping"):
        store.ingest(WORKSPACE, [log("log_b")])


def test_a_database_that_cannot_be_written_is_busy_not_quarantine(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    store.ingest(WORKSPACE, [log("log_a")])
    with store.write() as session:
        session.connection().exec_driver_sql("PRAGMA max_page_count=1")
    big = [
        log(f"log_{number}", body=LogBody(output=_noise(number, 60_000))) for number in range(50)
    ]
    with pytest.raises(Busy, match="full"):
        store.ingest(WORKSPACE, big)
    with store.write() as session:
        session.connection().exec_driver_sql("PRAGMA max_page_count=1000000")
    assert all(outcome.error is None for outcome in store.ingest(WORKSPACE, big))
    store.close()


def test_one_commit_serves_many_callers(sqlite_store: Store) -> None:
    commits = []
    real = sqlite_store._writer._commit_once
    sqlite_store._writer._commit_once = lambda group: commits.append(len(group)) or real(group)  # type: ignore[func-returns-value,method-assign]
    with sqlite_store.write():
        threads = [
            threading.Thread(target=sqlite_store.ingest, args=(WORKSPACE, [model_call(f"log_{n}")]))
            for n in range(20)
        ]
        for thread in threads:
            thread.start()
        while sqlite_store.pending_bytes < 20 * 1000:
            pass
    for thread in threads:
        thread.join()
    assert sum(commits) == 20
    assert len(commits) <= 3


def test_a_deadlock_is_tried_again(sqlite_store: Store) -> None:
    real = sqlite_store._writer._commit_once
    failures = [OperationalError("x", {}, Exception("deadlock detected"))] * 2

    def commit(group: object) -> object:
        if failures:
            raise failures.pop()
        return real(group)  # type: ignore[arg-type]

    sqlite_store._writer._commit_once = commit  # type: ignore[method-assign,assignment]
    assert sqlite_store.ingest(WORKSPACE, [log("log_a")])[0].is_new


def _ingest_from_another_thread(store: Store, id_: str) -> None:
    errors: list[BaseException] = []

    def send() -> None:
        try:
            store.ingest(WORKSPACE, [log(id_, body=LogBody(output="x" * 20_000))])
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _noise(seed: int, length: int) -> str:
    import random

    return random.Random(seed).randbytes(length // 2).hex()


def test_two_stores_on_one_database_write_side_by_side(database_url: str, tmp_path: Path) -> None:
    stores = [open_store(database_url) for _ in range(2)]

    def send(store: Store, name: str) -> None:
        for part in range(10):
            store.ingest(
                WORKSPACE,
                [
                    log("log_root", kind="flow", session_id="s"),
                    *(model_call(f"log_{name}_{part}_{n}", "log_root") for n in range(5)),
                ],
            )

    threads = [
        threading.Thread(target=send, args=(store, str(n))) for n, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = rows(stores[0], Log)
    assert len(found) == 101
    assert all(row["session_id"] == "s" for row in found)
    for store in stores:
        store.close()


def test_no_turn_is_held_while_the_writer_waits(tmp_path: Path) -> None:
    path = tmp_path / "kibitz.db"
    store = open_store(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # as a second process would
    thread = threading.Thread(target=store.ingest, args=(WORKSPACE, [log("log_1")]))
    thread.start()
    deadline = time.monotonic() + 30
    while not store.pending_bytes:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for _ in range(20):
        assert TURN.acquire(timeout=3)  # SQLite waits 5 s for the lock
        TURN.release()
        time.sleep(0.01)
    assert thread.is_alive()
    other.execute("COMMIT")
    other.close()
    thread.join()
    assert [row["id"] for row in rows(store, Log)] == ["log_1"]
    store.close()


@pytest.mark.parametrize("count", [0, 1, 250, 251, 999])
def test_a_large_request_lets_others_have_their_turn(count: int) -> None:
    cut = list(pieces(range(count)))
    assert [number for piece in cut for number in piece] == list(range(count))
    assert all(len(piece) <= 250 for piece in cut)
