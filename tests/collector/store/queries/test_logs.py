"""Listings, one Log, traces: what is shown, in which order, in how many statements."""

from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session

from kibitz_collector.errors import BadQuery, NotFound
from kibitz_collector.query import parse
from kibitz_collector.records import (
    FileReference,
    Judgment,
    LogBody,
    LogError,
    LogRecord,
    Tokens,
)
from kibitz_collector.store import Store
from kibitz_collector.store.queries import logs
from kibitz_collector.store.queries.cursors import write_cursor
from kibitz_collector.store.search import index_all
from tests.collector.store.facts import START_NS, TRACE, log, model_call

WORKSPACE = 1


def judged(
    id_: str,
    of: str,
    number: float | None,
    at: int = 0,
    *,
    path: str = "support/is_polite",
    error: LogError | None = None,
) -> LogRecord:
    return log(
        id_,
        kind="evaluator",
        parent_id=of,
        trace_id=None,
        start_ns=START_NS + at,
        file=FileReference(kind="evaluator", path=path, content={"code": "x"}),
        status="error" if error else "complete",
        error_type=error.type if error else None,
        body=LogBody(output="because it said please" if number == 0 else number, error=error),
        judgment=Judgment(
            judged_log_id=of, return_type="boolean", number=number, is_error=error is not None
        ),
    )


def all_pages(session: Session, **options: Any) -> list[str]:
    ids: list[str] = []
    cursor = None
    while True:
        page = logs.list_logs(session, WORKSPACE, cursor=cursor, **options)
        ids += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids


def test_pages_join_to_the_whole_list_newest_start_first(store: Store) -> None:
    starts = [3, 1, 2, 2, 2, 5, 4]
    store.ingest(
        WORKSPACE, [log(f"log_{n}", start_ns=START_NS + start) for n, start in enumerate(starts)]
    )
    expected = ["log_5", "log_6", "log_0", "log_4", "log_3", "log_2", "log_1"]
    with store.read() as session:
        for limit in (1, 2, 3, 7, 50):
            assert all_pages(session, limit=limit) == expected
        assert logs.list_logs(session, 2).items == []


def test_pages_keep_their_place_while_logs_arrive(store: Store) -> None:
    store.ingest(WORKSPACE, [log(f"log_{n}", start_ns=START_NS + n) for n in range(4)])
    with store.read() as session:
        first = logs.list_logs(session, WORKSPACE, limit=2)
    store.ingest(WORKSPACE, [log("log_new", start_ns=START_NS + 99)])
    with store.read() as session:
        second = logs.list_logs(session, WORKSPACE, limit=2, cursor=first.next_cursor)
    assert [one.id for one in second.items] == ["log_1", "log_0"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "é", write_cursor("a", 1), write_cursor(1), write_cursor(2**63, 1)]
)
def test_a_foreign_cursor_is_refused(sqlite_store: Store, cursor: str) -> None:
    with sqlite_store.read() as session, pytest.raises(BadQuery, match="cursor"):
        logs.list_logs(session, WORKSPACE, cursor=cursor)


def test_a_listing_filters_and_leaves_out_what_was_not_asked_for(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            log("log_root", kind="flow"),
            model_call("log_call", "log_root"),
            judged("log_j", "log_call", 1.0),
            log("log_plain", trace_id="9" * 32, kind="span", is_genai=False),
        ],
    )
    index_all(store)
    with store.read() as session:

        def ids(text: str = "", **options: Any) -> set[str]:
            page = logs.list_logs(session, WORKSPACE, where=parse(text), **options)
            assert logs.count_logs(session, WORKSPACE, parse(text), **options) == len(page.items)
            return {one.id for one in page.items}

        assert ids() == {"log_root", "log_call"}
        assert ids(include_hidden=True) == {"log_root", "log_call", "log_j", "log_plain"}
        assert ids(roots_only=True) == {"log_root"}
        assert ids("kind:evaluator") == {"log_j"}
        assert ids("file:support/*") == {"log_call", "log_j"}
        assert ids("order way model:gpt*") == {"log_call"}
        assert ids("judgment.support/is_polite:true") == {"log_call"}
        assert ids("-has:judgment") == {"log_root"}


def test_a_summary_has_names_previews_and_judgments(store: Store) -> None:
    boom = LogError(type="ValueError", message="no text")
    store.ingest(
        WORKSPACE,
        [
            model_call("log_a", user="u1", session_id="s", flags=["odd"]),
            judged("log_j1", "log_a", 0.0, 1),
            judged("log_j2", "log_a", 1.0, 2, path="support/is_short"),
            judged("log_j3", "log_a", None, 3, path="broken", error=boom),
        ],
    )
    with store.read() as session:
        (summary,) = logs.list_logs(session, WORKSPACE).items
        detail = logs.get_log(session, WORKSPACE, "log_a")
    assert summary.file_path == "support/reply"
    assert (summary.preview_input, summary.preview_output) == ("where is my order?", "on its way")
    assert summary.tokens == Tokens(input_uncached=100, output=20)
    assert (summary.user, summary.session_id, summary.flags) == ("u1", "s", ["odd"])
    assert summary.duration_ms == 1000.0
    assert [(j.value, j.explanation, j.error, j.is_error) for j in summary.judgments] == [
        (False, "because it said please", None, False),
        (True, None, None, False),
        (None, None, "no text", True),
    ]
    paths = [judgment.evaluator_path for judgment in summary.judgments]
    assert paths == ["support/is_polite", "support/is_short", "broken"]
    assert detail.summary == summary
    assert detail.body.messages == [{"role": "user", "content": "where is my order?"}]


def test_a_listing_takes_the_same_few_statements_for_any_number_of_rows(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call(f"log_{n}") for n in range(40)])
    store.ingest(WORKSPACE, [judged(f"log_j{n}", f"log_{n}", 1.0) for n in range(40)])
    statements: list[str] = []
    with store.read() as session:
        engine = session.connection().engine

        def count(*arguments: Any) -> None:
            statements.append(arguments[2])

        event.listen(engine, "before_cursor_execute", count)
        page = logs.list_logs(session, WORKSPACE)
        event.remove(engine, "before_cursor_execute", count)
    assert sum(len(one.judgments) for one in page.items) == 40
    assert len(statements) == 2


def test_list_after_follows_the_order_of_arrival(store: Store) -> None:
    store.ingest(WORKSPACE, [log("log_a", start_ns=START_NS + 9)])
    with store.read() as session:
        seq = logs.newest_seq(session, WORKSPACE)
    store.ingest(WORKSPACE, [log("log_b"), log("log_c", "log_b"), log("log_d", user="u")])
    with store.read() as session:

        def ids(**options: Any) -> list[str]:
            return [one.id for one in logs.list_after(session, WORKSPACE, seq, 50, **options)]

        assert ids() == ["log_b", "log_c", "log_d"]
        assert ids(roots_only=True) == ["log_b", "log_d"]
        assert ids(where=parse("user:u")) == ["log_d"]
        assert logs.list_after(session, WORKSPACE, 2**70, 50) == []


def test_a_trace_is_read_whole_with_its_sums(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            log("log_root", kind="flow", status="error", tokens=Tokens(output=40), cost_usd=0.003),
            model_call("log_1", "log_root", start_ns=START_NS + 2),
            model_call("log_2", "log_root", start_ns=START_NS + 1),
            log("log_other", trace_id="1" * 32),
        ],
    )
    with store.read() as session:
        trace = logs.get_trace(session, WORKSPACE, TRACE)
        details = logs.get_trace_details(session, WORKSPACE, TRACE)
        totals = logs.trace_totals(session, WORKSPACE, TRACE)
    assert [one.id for one in trace] == ["log_root", "log_2", "log_1"]
    assert [one.summary for one in details] == trace
    assert details[1].body.output == "on its way"
    assert (totals.log_count, totals.error_count) == (4 - 1, 1)
    assert totals.cost_usd == pytest.approx(0.003)
    assert (totals.tokens.input_uncached, totals.tokens.output) == (200, 40)


def test_what_is_not_there_or_anothers_is_not_found(store: Store) -> None:
    store.ingest(2, [log("log_a")])
    with store.read() as session:
        with pytest.raises(NotFound, match="log_a"):
            logs.get_log(session, WORKSPACE, "log_a")
        with pytest.raises(NotFound):
            logs.trace_totals(session, WORKSPACE, TRACE)
        assert logs.get_trace(session, WORKSPACE, TRACE) == []


def test_words_and_metadata_lead_a_listing_through_rare_and_common(store: Store) -> None:
    """Enough Logs that candidates are drawn several times before a page is full."""

    def made(n: int) -> LogRecord:
        body = LogBody(
            inputs={"q": "common" + (" rare" if n % 400 == 0 else "")},
            metadata={"plan": "pro" if n % 3 else "free", "n": n % 2},
        )
        # Later arrivals start earlier: the order of arrival must show.
        return log(f"log_{n}", start_ns=START_NS - n, user=f"u{n % 150}", body=body)

    count = 900
    store.ingest(WORKSPACE, [made(n) for n in range(count)])
    store.ingest(2, [made(0)])
    index_all(store)
    newest = range(count - 1, -1, -1)
    expected = {
        "common": list(newest),
        "rare": [800, 400, 0],
        "rare common -nothing": [800, 400, 0],
        "common user:u7": [n for n in newest if n % 150 == 7],
        "common nothing": [],
        "metadata.plan:free": [n for n in newest if n % 3 == 0],
        "metadata.plan:free user:u3": [n for n in newest if n % 150 == 3],
        "metadata.n:1 metadata.plan:pro": [n for n in newest if n % 2 and n % 3],
        "metadata.n:1.0 rare": [],
    }
    with store.read() as session:
        for text, numbers in expected.items():
            ids = [f"log_{n}" for n in numbers]
            where = parse(text)
            assert all_pages(session, where=where, limit=97) == ids, text
            assert logs.count_logs(session, WORKSPACE, where) == len(ids), text
            after = logs.list_after(session, WORKSPACE, 0, 500, where=where)
            assert [one.id for one in after] == ids[::-1][:500], text
