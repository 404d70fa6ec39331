"""The text index: follows commits by seq, follows changes, and finds the same on both databases."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from kibitz_collector.background import Loop
from kibitz_collector.query import parse
from kibitz_collector.records import LogBody, LogRecord
from kibitz_collector.store import Store
from kibitz_collector.store.filters import LOG, compile_filter
from kibitz_collector.store.rows import table
from kibitz_collector.store.search import BATCH, index_all, index_once, index_round, lag
from kibitz_collector.store.tables.search import SearchPending
from kibitz_collector.store.writes.removal import remove_logs
from tests.collector.store.facts import START_NS, log

WORKSPACE = 1


def saying(id_: str, words: str, **fields: Any) -> LogRecord:
    return log(id_, body=LogBody(inputs={"q": words}), **fields)


def started(id_: str, words: str) -> LogRecord:
    return saying(id_, words, is_start=True, end_ns=None, status="incomplete")


def ended(id_: str, words: str) -> LogRecord:
    return log(id_, body=LogBody(output=words))


def found(store: Store, query: str) -> set[str]:
    with store.read() as session:
        statement = select(LOG.c.id).where(compile_filter(parse(query), 0))
        return set(session.connection().execute(statement).scalars())


def check_integrity(store: Store) -> None:
    with store.write() as session:
        if session.connection().dialect.name == "sqlite":
            session.connection().execute(
                text("INSERT INTO log_text(log_text) VALUES ('integrity-check')")
            )


def pending(store: Store) -> int:
    with store.read() as session:
        return len(session.connection().execute(select(table(SearchPending))).all())


def test_logs_are_found_by_words_phrases_prefixes_and_their_absence(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            saying("log_a", "Where is my REFUND? 東京都へ"),
            saying("log_b", "refund my order, it's broken"),
            saying("log_c", "Straße"),
        ],
    )
    assert found(store, "refund") == set()
    assert index_all(store) == 3
    expected = {
        "refund": {"log_a", "log_b"},
        '"my refund"': {"log_a"},
        '"refund my"': {"log_b"},
        "refu*": {"log_a", "log_b"},
        '"my ord"*': {"log_b"},
        "refund -order": {"log_a"},
        "refund order": {"log_b"},
        "order OR strasse": {"log_b", "log_c"},
        "STRASSE": {"log_c"},
        "京都": {"log_a"},
        "東": {"log_a"},
        "へ": {"log_a"},
        "都京": set(),
        "it's": {"log_b"},
        "-refund": {"log_c"},
        "-(refund OR order) kind:prompt": {"log_c"},
    }
    for query, ids in expected.items():
        assert found(store, query) == ids, query


def test_a_log_changed_after_indexing_is_found_by_what_it_says_now(store: Store) -> None:
    store.ingest(WORKSPACE, [started("log_a", "first words")])
    index_all(store)
    store.ingest(WORKSPACE, [ended("log_a", "last words")])
    assert found(store, "first") == {"log_a"}
    assert found(store, "last") == set()
    index_all(store)
    assert found(store, "first last") == {"log_a"}
    assert pending(store) == 0
    check_integrity(store)


def test_a_log_changed_before_its_first_indexing_is_indexed_once(store: Store) -> None:
    store.ingest(WORKSPACE, [started("log_a", "first words")])
    store.ingest(WORKSPACE, [ended("log_a", "last words")])
    index_all(store)
    assert found(store, '"first words" "last words"') == {"log_a"}
    assert pending(store) == 0
    check_integrity(store)


def test_several_changes_between_two_rounds_are_one(store: Store) -> None:
    store.ingest(WORKSPACE, [started("log_a", "one"), saying("log_b", "other")])
    index_all(store)
    store.ingest(WORKSPACE, [log("log_a", body=LogBody(output="two"))])
    store.ingest(WORKSPACE, [log("log_a", body=LogBody(stdout="x", messages=[_user("three")]))])
    index_all(store)
    assert found(store, "one two three") == {"log_a"}
    check_integrity(store)


def _user(words: str) -> dict[str, str]:
    return {"role": "user", "content": words}


def test_a_change_while_texts_are_read_is_not_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change falls between the look outside the transaction and the write inside it."""
    store.ingest(WORKSPACE, [started("log_a", "first")])
    write, changed = store.write, threading.Event()

    def change_first() -> Any:
        if not changed.is_set():
            changed.set()
            store.ingest(WORKSPACE, [ended("log_a", "last")])
        return write()

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", change_first)
        index_once(store)
    index_all(store)
    assert found(store, "first last") == {"log_a"}
    assert pending(store) == 0
    check_integrity(store)


def test_judgments_and_logs_without_text_are_passed_by(store: Store) -> None:
    store.ingest(
        WORKSPACE, [log("log_a"), saying("log_b", "verdict", kind="evaluator", parent_id="log_a")]
    )
    index_all(store)
    assert found(store, "verdict") == set()
    assert index_once(store) == 0


def test_more_than_a_batch_is_indexed_in_rounds(store: Store) -> None:
    count = BATCH + 7
    logs = [saying(f"log_{n}", f"word{n} common") for n in range(count)]
    store.ingest(WORKSPACE, logs)
    store.fresh_texts.after(count, 0)  # as after a restart
    with store.read() as session:
        assert lag(session) == count
    assert index_once(store) == BATCH
    assert index_once(store) == 7
    assert index_once(store) == 0
    assert len(found(store, "common")) == count
    assert found(store, f"word{count - 1}") == {f"log_{count - 1}"}


def test_only_a_backlog_is_gone_on_with_at_once(sqlite_store: Store) -> None:
    store, count = sqlite_store, BATCH + 7
    store.ingest(WORKSPACE, [saying(f"log_{n}", "common") for n in range(count)])
    assert not index_round(store)
    assert len(found(store, "common")) == count
    store.ingest(WORKSPACE, [saying(f"log_{n}", "common") for n in range(count, 2 * count)])
    store.fresh_texts.after(2 * count, 0)  # as after a restart
    assert [index_round(store), index_round(store)] == [True, False]
    assert len(found(store, "common")) == 2 * count
    unclean = saying("log_b", "common \ud800")  # its text is made from what is stored
    store.ingest(WORKSPACE, [saying("log_a", "common"), unclean, saying("log_c", "common")])
    assert [index_round(store), index_round(store)] == [True, False]
    assert len(found(store, "common")) == 2 * count + 3


def test_a_log_deleted_before_its_text_is_written_is_not_in_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ingest(WORKSPACE, [saying("log_a", "word"), saying("log_b", "word")])
    write = store.write

    def delete_first() -> Any:
        monkeypatch.undo()
        with write() as session:
            remove_logs(session, WORKSPACE, ["log_a"])
        return write()

    monkeypatch.setattr(store, "write", delete_first)
    assert index_once(store) == 1
    assert found(store, "word") == {"log_b"}
    check_integrity(store)


def test_texts_from_memory_and_from_the_database_are_the_same(store: Store) -> None:
    words = ["Plain ASCII, under_scored!", "Straße 東京", "x" * 70, "bad \ud800 text", "\0", ""]
    logs = [saying(f"log_{n}", text, trace_id=f"{n:032x}") for n, text in enumerate(words)]
    store.ingest(WORKSPACE, logs)
    index_all(store)
    before = [found(store, query) for query in ("scored", "東京", "x" * 70, "text", "plain ascii")]
    store.ingest(WORKSPACE, [replace(one, body=LogBody(output="later")) for one in logs])
    index_all(store)  # takes out what the old bodies say, read from the database
    check_integrity(store)
    assert before == [{"log_0"}, {"log_1"}, {"log_2"}, {"log_3"}, {"log_0"}]
    assert len(found(store, "later")) == len(words)


def test_long_texts_are_searched_as_in_memory(store: Store) -> None:
    words = " ".join(f"w{n}" for n in range(20_000))
    store.ingest(WORKSPACE, [saying("log_a", "the end " * 400 + words, start_ns=START_NS)])
    index_all(store)
    assert found(store, "w100") == {"log_a"}
    assert found(store, '"end w0"') == set()  # past the positions of one word that are kept
    assert found(store, '"w0 w1"') == {"log_a"}
    assert found(store, "w19999") == set()  # past 32 KB


def test_a_loop_makes_logs_searchable_soon_after_their_commit(store: Store) -> None:
    done = threading.Event()

    def run_once() -> bool:
        count = index_once(store)
        if count:
            done.set()
        return count > 0

    loop = Loop("search", run_once, poll_s=30.0, wake=store.subscribe("logs"))
    loop.start()
    try:
        store.ingest(WORKSPACE, [saying("log_a", "quick")])
        assert done.wait(2.0)
        assert found(store, "quick") == {"log_a"}
    finally:
        loop.request_stop()
        assert loop.join(5.0)
