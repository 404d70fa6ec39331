"""Changing and deleting stored Logs: rows, bodies, sums, traces, metadata, text index, jobs."""

from typing import Any

import pytest
from sqlalchemy import select

from kibitz_collector.errors import NotFound
from kibitz_collector.query import parse
from kibitz_collector.records import FileReference, Judgment, LogBody, LogRecord, Tokens
from kibitz_collector.store import Store
from kibitz_collector.store.filters import LOG, compile_filter
from kibitz_collector.store.search import index_all
from kibitz_collector.store.tables.judgments import Judgment as JudgmentRow
from kibitz_collector.store.tables.logs import Log, LogMetadata, SessionRow, Trace
from kibitz_collector.store.tables.logs import LogBody as LogBodyRow
from kibitz_collector.store.tables.rollups import RollupHour
from kibitz_collector.store.tables.search import SearchPending
from kibitz_collector.store.writes.removal import remove_logs
from kibitz_collector.store.writes.rollups import rebuild_rollups
from kibitz_collector.store.writes.traces import recount_session, recount_trace
from kibitz_collector.store.writes.updates import LogPatch, update_log
from tests.collector.store.facts import START_NS, WORKSPACE, log, model_call, rows, stored


def patch(store: Store, id_: str, **fields: Any) -> None:
    with store.write() as session:
        update_log(session, WORKSPACE, id_, LogPatch(**fields))


def remove(store: Store, *ids: str) -> int:
    with store.write() as session:
        return remove_logs(session, WORKSPACE, ids)


def found(store: Store, query: str) -> set[str]:
    index_all(store)
    with store.read() as session:
        statement = select(LOG.c.id).where(compile_filter(parse(query), 0))
        return set(session.connection().execute(statement).scalars())


def flow(id_: str = "log_flow", **fields: Any) -> LogRecord:
    values: dict[str, Any] = {
        "kind": "flow",
        "file": FileReference(kind="flow", path="support/answer"),
        "session_id": "chat-1",
    }
    return log(id_, **{**values, **fields})


def judged(id_: str, parent: str, user: str, start: int = 0) -> LogRecord:
    return log(
        id_,
        kind="evaluator",
        trace_id=None,
        parent_id=parent,
        start_ns=START_NS + start,
        file=FileReference(kind="evaluator", path="rating"),
        judgment=Judgment(judged_log_id=parent, return_type="boolean", number=1.0, made_by=user),
    )


def check_sums(store: Store) -> None:
    """All kept sums are those that counting again gives."""
    moment = {"last_received_ns"}
    with store.write() as session:
        connection = session.connection()
        for trace in rows(store, Trace):
            counted = recount_trace(connection, WORKSPACE, trace["trace_id"])
            assert counted is not None
            assert {**trace, "last_received_ns": 0} == {**counted, "last_received_ns": 0}
        for one in rows(store, SessionRow):
            counted = recount_session(connection, WORKSPACE, one["id"])
            assert counted is not None
            assert {k: v for k, v in one.items() if k not in moment} == {
                k: v for k, v in counted.items() if k not in moment
            }
        kept = [row for row in rows(store, RollupHour) if row["log_count"]]
        rebuild_rollups(session, WORKSPACE)
    assert kept == rows(store, RollupHour)


def test_what_is_named_is_set_none_clears_and_all_else_stays(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a", user="u1")])
    before = stored(store, "log_a")
    patch(
        store,
        "log_a",
        columns={"status": "error", "finish_reason": "length"},
        body={"output": None, "error": {"message": "late"}},
        api_fields={"provider_latency": 2.5},
    )
    after = stored(store, "log_a")
    assert after == {
        **before,
        "status": "error",
        "finish_reason": "length",
        "body": {
            "inputs": before["body"]["inputs"],
            "messages": before["body"]["messages"],
            "error": {"message": "late"},
            "api_fields": {
                "provider_latency": 2.5,
                "patched": ["error", "finish_reason", "output", "status"],
            },
        },
    }
    check_sums(store)


def test_a_log_that_is_not_there_cannot_be_changed(store: Store) -> None:
    with pytest.raises(NotFound):
        patch(store, "log_none", body={"output": "x"})


def test_clearing_everything_leaves_no_payload(store: Store) -> None:
    store.ingest(WORKSPACE, [log("log_a", body=LogBody(output="secret", metadata={"k": "v"}))])
    patch(store, "log_a", body={"output": None, "metadata": None})
    assert set(stored(store, "log_a")["body"]) == {"api_fields"}
    assert rows(store, LogMetadata) == []


def test_what_was_taken_back_does_not_come_again_with_its_record(store: Store) -> None:
    record = model_call("log_a", user="u1")
    store.ingest(WORKSPACE, [record])
    patch(store, "log_a", columns={"status": "error"}, body={"output": None, "inputs": {}})
    before = stored(store, "log_a")
    store.ingest(WORKSPACE, [record])
    after = stored(store, "log_a")
    assert after == before
    assert (after["status"], after["body"].get("output")) == ("error", None)
    check_sums(store)


def test_an_open_log_takes_what_completes_it_over_what_it_was_told(store: Store) -> None:
    store.ingest(WORKSPACE, [flow(status="incomplete", is_start=True, end_ns=None)])
    patch(store, "log_flow", columns={"status": "incomplete"}, body={"output": "so far"})
    store.ingest(WORKSPACE, [flow(body=LogBody(output="done"))])
    row = stored(store, "log_flow")
    assert (row["status"], row["body"]["output"]) == ("complete", "done")


def test_metadata_keys_follow_a_change(store: Store) -> None:
    store.ingest(WORKSPACE, [log("log_a", body=LogBody(metadata={"a": "1", "b": 2}))])
    patch(store, "log_a", body={"metadata": {"b": 3, "c": True}})
    assert [(row["key"], row["value"]) for row in rows(store, LogMetadata)] == [
        ("b", "3"),
        ("c", "true"),
    ]


@pytest.mark.parametrize("indexed_before", [True, False])
def test_words_are_found_as_they_are_after_a_change(store: Store, indexed_before: bool) -> None:
    store.ingest(WORKSPACE, [log("log_a", body=LogBody(inputs={"q": "refund"}, output="old"))])
    if indexed_before:
        index_all(store)
    patch(store, "log_a", body={"output": "brandnew"})
    patch(store, "log_a", body={"output": "newest"})
    assert found(store, "newest refund") == {"log_a"}
    assert found(store, "old") == found(store, "brandnew") == set()


def test_sums_follow_tokens_and_cost_up_to_the_trace(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            flow(tokens=Tokens(input_uncached=100, output=20)),
            model_call("log_call", "log_flow"),
        ],
    )
    assert stored(store, "log_flow")["is_covered"]
    patch(store, "log_call", columns={"tokens_output": 50, "cost_usd": 0.5})
    assert rows(store, Trace)[0]["tokens_output"] == 50
    check_sums(store)
    cleared = dict.fromkeys(("tokens_input_uncached", "tokens_output", "cost_usd"))
    patch(store, "log_call", columns=cleared)
    # Nobody below brings usage any more: the flow's own counts.
    assert not stored(store, "log_flow")["is_covered"]
    assert rows(store, Trace)[0]["tokens_output"] == 20
    check_sums(store)


def test_completing_an_open_log_completes_its_trace(store: Store) -> None:
    store.ingest(WORKSPACE, [flow(status="incomplete", is_start=True, end_ns=None)])
    assert rows(store, Trace)[0]["completed_ns"] is None
    patch(
        store,
        "log_flow",
        columns={"status": "complete", "end_ns": START_NS + 5 * 10**9},
        body={"output": "done"},
    )
    row = stored(store, "log_flow")
    assert (row["status"], row["duration_ms"], row["is_start"]) == ("complete", 5000.0, False)
    trace = rows(store, Trace)[0]
    assert trace["completed_ns"] is not None
    assert trace["end_ns"] == START_NS + 5 * 10**9
    check_sums(store)


def test_moving_a_log_in_time_moves_its_sums(store: Store) -> None:
    store.ingest(WORKSPACE, [flow(), model_call("log_call", "log_flow")])
    patch(store, "log_call", columns={"start_ns": START_NS - 7200 * 10**9})
    check_sums(store)


def test_a_deleted_log_is_nowhere(store: Store) -> None:
    secret = LogBody(inputs={"q": "topsecret"}, output="hidden", metadata={"plan": "pro"})
    store.ingest(
        WORKSPACE,
        [
            flow(),
            model_call("log_call", "log_flow", body=secret, session_id="chat-1"),
            model_call("log_other", "log_flow"),
            judged("log_j", "log_call", "u1"),
            judged("log_jj", "log_j", "u1"),
        ],
    )
    assert found(store, "topsecret") == {"log_call"}
    assert remove(store, "log_call", "log_none") == 3
    assert {row["id"] for row in rows(store, Log)} == {"log_flow", "log_other"}
    assert rows(store, JudgmentRow) == rows(store, LogMetadata) == []
    assert len(rows(store, LogBodyRow)) == 1
    assert found(store, "topsecret") == set()
    assert rows(store, SearchPending) == []
    assert rows(store, Trace)[0]["log_count"] == 2
    check_sums(store)
    assert remove(store, "log_call") == 0


def test_a_log_deleted_before_it_was_indexed_is_not_found_either(store: Store) -> None:
    store.ingest(WORKSPACE, [log("log_a", body=LogBody(output="fleeting"))])
    patch(store, "log_a", body={"output": "fleeting thing"})
    remove(store, "log_a")
    store.ingest(WORKSPACE, [log("log_b", body=LogBody(output="stays"))])
    assert found(store, "fleeting") == set()
    assert found(store, "stays") == {"log_b"}


def test_deleting_the_only_log_of_a_trace_and_session_deletes_both(store: Store) -> None:
    store.ingest(WORKSPACE, [flow()])
    remove(store, "log_flow")
    assert rows(store, Trace) == rows(store, SessionRow) == rows(store, RollupHour) == []


def test_children_of_a_deleted_log_stay_as_tops_with_their_own_usage(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            flow(),
            log("log_agent", "log_flow", kind="agent", tokens=Tokens(output=7)),
            model_call("log_call", "log_agent"),
        ],
    )
    remove(store, "log_call")
    assert not stored(store, "log_agent")["is_covered"]
    remove(store, "log_flow")
    row = stored(store, "log_agent")
    assert (row["trace_parent_id"], row["is_top"]) == ("log_flow", True)
    check_sums(store)


def test_deleting_a_judgment_lets_the_one_before_stand_again(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            model_call("log_a"),
            judged("log_1", "log_a", "u1"),
            judged("log_2", "log_a", "u1", start=5),
        ],
    )
    remove(store, "log_2")
    (left,) = rows(store, JudgmentRow)
    assert (left["log_id"], left["superseded_by"]) == ("log_1", None)


def test_an_id_the_sender_chose_is_one_log_whatever_comes_under_it(store: Store) -> None:
    outcomes = [
        store.ingest(WORKSPACE, [log("mine", start_ns=START_NS + n, is_named=True)])[0]
        for n in (0, 7)
    ]
    assert [outcome.log_id for outcome in outcomes] == ["mine", "mine"]
    assert [row["id"] for row in rows(store, Log)] == ["mine"]
    check_sums(store)
