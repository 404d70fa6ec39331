"""The main reads go by an index and stop early: no scan of all Logs, no sort."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session

from kibitz_collector.query import And, Comparison, parse
from kibitz_collector.store import Store
from kibitz_collector.store.queries import logs, sessions
from tests.collector.store.facts import TRACE

WORKSPACE = 1


def plan(store: Store, read: Callable[[Session], object]) -> list[str]:
    """Return SQLite's plan of the first statement a query makes."""
    statements: list[tuple[str, Any]] = []
    with store.read() as session:
        engine = session.connection().engine

        def keep(*arguments: Any) -> None:
            statements.append((arguments[2], arguments[3]))

        event.listen(engine, "before_cursor_execute", keep)
        read(session)
        event.remove(engine, "before_cursor_execute", keep)
        sql, parameters = statements[0]
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return [row.detail for row in rows]


@pytest.mark.parametrize(
    ("text", "options", "index"),
    [
        ("", {}, "ix_log_start"),
        ("", {"roots_only": True}, "ix_log_top"),
        ("status:error", {}, "ix_log_"),
        ("latency>2s", {}, "ix_log_start"),
        ("model:gpt-4o", {}, "ix_log_model"),
        ("user:u1", {}, "ix_log_user"),
        ("session:s1", {}, "ix_log_session"),
        ("trace:abc", {}, "ix_log_trace"),
        ("started>-1h", {}, "ix_log_start"),
        ("-user:u1", {}, "ix_log_start"),
        ("judgment.a:true", {}, "ix_log_start"),
    ],
)
def test_a_listing_goes_by_an_index_in_its_order(
    sqlite_store: Store, text: str, options: dict[str, Any], index: str
) -> None:
    def read(session: Session) -> None:
        logs.list_logs(session, WORKSPACE, where=parse(text), **options)

    details = plan(sqlite_store, read)
    assert any(f"SEARCH log USING INDEX {index}" in line for line in details), details
    assert not any("TEMP B-TREE FOR ORDER BY" in line for line in details), details


def test_a_second_page_begins_where_the_first_ended(sqlite_store: Store) -> None:
    cursor = logs.write_cursor(5, 5)

    def read(session: Session) -> None:
        logs.list_logs(session, WORKSPACE, cursor=cursor)

    details = plan(sqlite_store, read)
    assert any("ix_log_start (workspace_id=? AND start_ns<?)" in x for x in details), details


def test_words_and_metadata_are_looked_up_not_scanned_for(sqlite_store: Store) -> None:
    def words(session: Session) -> None:
        logs.list_logs(session, WORKSPACE, where=parse("refund"))

    def metadata(session: Session) -> None:
        logs.list_logs(session, WORKSPACE, where=parse("metadata.plan:pro"))

    def file(session: Session) -> None:
        logs.list_logs(session, WORKSPACE, where=parse("file:a/b"))

    def nested(session: Session) -> None:
        recent = And((parse("refund user:u"), Comparison("started", ">=", 5)))
        logs.list_logs(session, WORKSPACE, where=recent)

    assert plan(sqlite_store, nested) == plan(sqlite_store, words)
    (detail,) = plan(sqlite_store, words)  # one step: the index gives the order too
    assert "log_text VIRTUAL TABLE INDEX" in detail
    (detail,) = plan(sqlite_store, metadata)
    assert "COVERING INDEX ix_log_metadata_value" in detail
    details = plan(sqlite_store, file)
    assert any("ix_log_file (workspace_id=? AND file_id=?)" in line for line in details), details
    assert not any("TEMP B-TREE" in line for line in details), details


def test_traces_sessions_and_followers_go_by_an_index(sqlite_store: Store) -> None:
    def trace(session: Session) -> None:
        logs.get_trace(session, WORKSPACE, TRACE)

    def one(session: Session) -> None:
        with pytest.raises(Exception, match="no Log"):
            logs.get_log(session, WORKSPACE, "log_x")

    def listed(session: Session) -> None:
        sessions.list_sessions(session, WORKSPACE)

    def followed(session: Session) -> None:
        logs.list_after(session, WORKSPACE, 5, 50)

    for read, expected in (
        (trace, "ix_log_trace"),
        (one, "uq_log_id"),
        (listed, "ix_session_last"),
        (followed, "INTEGER PRIMARY KEY (rowid>?)"),
    ):
        details = plan(sqlite_store, read)
        assert any(expected in line for line in details), (expected, details)
        assert not any(line.startswith("SCAN log") for line in details), details
