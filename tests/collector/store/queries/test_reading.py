"""Sessions, charts, judgments over time, completion, Files, environments, gauges."""

import math

import pytest

from kibitz_collector.errors import BadQuery, Invalid, NotFound
from kibitz_collector.query import parse
from kibitz_collector.records import FileReference, Judgment, LogBody, LogRecord
from kibitz_collector.store import Store
from kibitz_collector.store.queries import (
    completion,
    environments,
    files,
    judgments,
    overview,
    series,
    sessions,
)
from kibitz_collector.store.search import index_all
from tests.collector.store.facts import START_NS, log, model_call

WORKSPACE = 1
SECOND_NS = 10**9


def test_sessions_are_listed_by_last_activity_with_their_sums(store: Store) -> None:
    def turn(id_: str, session: str, at: int, **fields: object) -> LogRecord:
        values = {
            "trace_id": f"{at:032x}",
            "session_id": session,
            "start_ns": START_NS + at * SECOND_NS,
            "end_ns": START_NS + at * SECOND_NS + 1,
            **fields,
        }
        return model_call(id_, **values)

    store.ingest(
        WORKSPACE,
        [
            turn("log_1", "old", 1, user="u1", body=LogBody(inputs={"q": "hello"})),
            turn("log_2", "new", 2, body=LogBody(inputs={"q": "hi"})),
            turn("log_3", "new", 9, status="error", body=LogBody(inputs={"q": "again"})),
        ],
    )
    with store.read() as session:
        page = sessions.list_sessions(session, WORKSPACE, limit=1)
        rest = sessions.list_sessions(session, WORKSPACE, limit=1, cursor=page.next_cursor)
        assert [one.id for one in (*page.items, *rest.items)] == ["new", "old"]
        assert rest.next_cursor is None
        new = sessions.get_session(session, WORKSPACE, "new")
        assert new == page.items[0]
        assert (new.trace_count, new.log_count, new.error_count) == (2, 2, 1)
        assert (new.first_input, new.tokens_total) == ("hi", 240)
        assert new.cost_usd == pytest.approx(0.003)
        assert sessions.get_session(session, WORKSPACE, "old").user == "u1"
        logs = sessions.session_logs(session, WORKSPACE, "new")
        assert [one.id for one in logs] == ["log_2", "log_3"]
        with pytest.raises(NotFound):
            sessions.get_session(session, WORKSPACE, "none")


def nearest_rank(values: list[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def test_a_chart_counts_adds_and_ranks_each_bucket(store: Store) -> None:
    durations = [(7 * n) % 41 for n in range(40)]
    store.ingest(
        WORKSPACE,
        [
            model_call(
                f"log_{n}",
                start_ns=START_NS + (0 if n < 30 else 2) * SECOND_NS,
                end_ns=START_NS + (0 if n < 30 else 2) * SECOND_NS + ms * 10**6,
                status="error" if n % 10 == 0 else "complete",
            )
            for n, ms in enumerate(durations)
        ]
        + [log("log_open", end_ns=None, status="incomplete")],
    )
    with store.read() as session:
        buckets = series.log_series(
            session,
            WORKSPACE,
            parse("name:call*"),
            START_NS,
            START_NS + 4 * SECOND_NS,
            SECOND_NS,
        )
    assert [one.start_ns for one in buckets] == [START_NS + n * SECOND_NS for n in range(4)]
    assert [(one.count, one.errors) for one in buckets] == [(31, 3), (0, 0), (10, 1), (0, 0)]
    assert (buckets[0].p50_ms, buckets[0].p95_ms) == (
        nearest_rank(durations[:30], 50),
        nearest_rank(durations[:30], 95),
    )
    assert buckets[2].p95_ms == nearest_rank(durations[30:], 95)
    assert (buckets[0].tokens, buckets[1].tokens) == (3600, None)
    assert buckets[0].cost_usd == pytest.approx(0.045)
    assert (buckets[1].p50_ms, buckets[1].cost_usd) == (None, None)


def test_a_chart_without_time_or_with_too_many_buckets_is_refused(sqlite_store: Store) -> None:
    with sqlite_store.read() as session:
        for end_ns, bucket_ns in ((0, 1), (10**18, 1), (10, 0)):
            with pytest.raises(Invalid):
                series.log_series(session, WORKSPACE, parse(""), 0, end_ns, bucket_ns)


def test_judgments_over_time_have_a_mean_and_their_errors(store: Store) -> None:
    def verdict(n: int, at: int, number: float | None, is_error: bool = False) -> LogRecord:
        return log(
            f"log_j{n}",
            kind="evaluator",
            parent_id=f"log_{n}",
            trace_id=None,
            start_ns=START_NS + at * SECOND_NS,
            file=FileReference(kind="evaluator", path="polite", content={"code": "x"}),
            judgment=Judgment(
                judged_log_id=f"log_{n}", return_type="boolean", number=number, is_error=is_error
            ),
        )

    store.ingest(
        WORKSPACE,
        [verdict(1, 0, 1.0), verdict(2, 0, 0.0), verdict(3, 0, None, True), verdict(4, 2, None)],
    )
    with store.read() as session:
        evaluator = files.find_file(session, WORKSPACE, "polite")
        assert evaluator is not None
        found = judgments.judgment_series(
            session, WORKSPACE, evaluator.id, START_NS, START_NS + 3 * SECOND_NS, SECOND_NS
        )
    assert found == [(START_NS, 3, 0.5, 1), (START_NS + 2 * SECOND_NS, 1, None, 0)]


def test_completion_offers_what_was_seen(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            model_call("log_1", user="anna", flags=["odd", "late"]),
            model_call("log_2", user="anton", body=LogBody(metadata={"plan": "pro", "n": 5})),
            model_call("log_3", user="bert*", model="gpt-4o-mini"),
        ],
    )
    with store.read() as session:

        def offered(field: str, prefix: str = "") -> list[str]:
            return completion.distinct_values(session, WORKSPACE, field, prefix)

        assert offered("user", "an") == ["anna", "anton"]
        assert offered("model") == ["gpt-4o", "gpt-4o-mini"]
        assert offered("status", "c") == ["complete"]
        assert offered("file", "sup") == ["support/reply"]
        assert offered("metadata") == ["n", "plan"]
        assert offered("metadata.plan") == ["pro"]
        assert offered("flag") == ["late", "odd"]
        assert offered("judgment") == ["correction", "rating"]
        assert offered("cost") == []
        assert "session" in offered("has")
        assert completion.distinct_values(session, WORKSPACE, "user", limit=1) == ["anna"]
        for unknown in ("nope", "user.x"):
            with pytest.raises(BadQuery, match="unknown field"):
                offered(unknown)


def test_files_and_versions_are_read_with_where_they_are_deployed(store: Store) -> None:
    def call(id_: str, path: str, model: str) -> LogRecord:
        file = FileReference(kind="prompt", path=path, content={"model": model})
        return model_call(id_, file=file)

    store.ingest(WORKSPACE, [call("log_1", "b", "one"), call("log_2", "a", "one")])
    store.ingest(WORKSPACE, [call("log_3", "b", "two")])
    with store.read() as session:
        page = files.list_files(session, WORKSPACE, limit=1)
        rest = files.list_files(session, WORKSPACE, cursor=page.next_cursor)
        assert [one.path for one in (*page.items, *rest.items)] == [
            "a",
            "b",
            "correction",
            "rating",
        ]
        assert files.list_files(session, WORKSPACE, kind="tool").items == []
        assert [one.path for one in files.list_files(session, WORKSPACE, path="b*").items] == ["b"]
        file = files.find_file(session, WORKSPACE, "b")
        assert file is not None
        assert file.version_count == 2
        assert files.get_file(session, WORKSPACE, file.id) == file
        versions = files.list_versions(session, WORKSPACE, file.id)
        assert {one.content["model"] for one in versions.items} == {"one", "two"}
        first = files.list_versions(session, WORKSPACE, file.id, limit=1)
        second = files.list_versions(session, WORKSPACE, file.id, cursor=first.next_cursor)
        assert [*first.items, *second.items] == versions.items
        one = files.get_version(session, WORKSPACE, versions.items[0].id)
        assert one == versions.items[0]
        assert files.find_file(session, WORKSPACE, "none") is None
        for read in (files.get_file, files.get_version):
            with pytest.raises(NotFound):
                read(session, 2, file.id)
        deployed = environments.list_deployments(session, WORKSPACE, file.id)
        known = environments.list_environments(session, WORKSPACE)
        assert {one.environment_id for one in deployed} <= {one.id for one in known}
        for environment in known:
            assert environments.get_environment(session, WORKSPACE, environment.name) == environment
        with pytest.raises(NotFound, match="there are"):
            environments.get_environment(session, WORKSPACE, "nowhere")


def test_gauges_say_what_is_stored_and_how_far_the_index_is(store: Store) -> None:
    with store.read() as session:
        overview.check(session)
        assert overview.counters(session)["logs"] == 0
    store.ingest(WORKSPACE, [model_call("log_1"), log("log_2", status="error")])
    with store.read() as session:
        before = overview.counters(session)
    index_all(store)
    with store.read() as session:
        after = overview.counters(session)
    assert (before["logs"], before["logs_failed"], before["search_lag"]) == (2, 1, 2)
    assert before["cost_usd"] == pytest.approx(0.0015)
    assert after["quarantined"] == 0
