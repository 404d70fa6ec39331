import itertools
import random
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kibitz_collector.records import (
    FileReference,
    Judgment,
    LogBody,
    LogRecord,
    Rejected,
    Tokens,
)
from kibitz_collector.store import Store
from kibitz_collector.store.tables.content import Content
from kibitz_collector.store.tables.judgments import Judgment as JudgmentTable
from kibitz_collector.store.tables.logs import Log, LogMetadata, SessionRow, Trace
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable
from kibitz_collector.store.tables.rollups import RollupHour
from kibitz_collector.store.tables.search import SearchPending
from kibitz_collector.store.writes.quarantine import list_quarantined
from kibitz_collector.store.writes.rollups import rebuild_rollups
from kibitz_collector.store.writes.traces import recount_session, recount_trace
from tests.collector.store.facts import (
    START_NS,
    TRACE,
    WORKSPACE,
    ingest_each,
    log,
    model_call,
    rows,
    stored,
)

_workspaces = itertools.count(100)


def test_the_outcomes_come_in_the_order_given_and_seq_rises(store: Store) -> None:
    outcomes = store.ingest(WORKSPACE, [log("log_b"), log("log_a"), log("log_b")])
    assert [(o.log_id, o.is_new) for o in outcomes] == [
        ("log_b", True),
        ("log_a", True),
        ("log_b", False),
    ]
    assert outcomes[0].seq < outcomes[1].seq
    assert outcomes[2].seq == outcomes[0].seq
    assert store.ingest(WORKSPACE, [log("log_c")])[0].seq > outcomes[1].seq


def test_nothing_to_store_is_nothing(store: Store) -> None:
    assert store.ingest(WORKSPACE, []) == []


def test_the_whole_row_and_body_come_back(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            model_call(
                "log_a",
                environment="staging",
                service="shop",
                source="sdk",
                user="u1",
                session_id="chat-42",
                span_id="b7ad6b7169203331",
                status="error",
                error_type="Timeout",
                model_served="gpt-4o-2024",
                cost_reported_usd=0.002,
                time_to_first_token_ms=12.5,
                finish_reason="stop",
                response_id="resp_1",
                flags=["b", "a"],
                keep_probability=0.5,
                mapper_version=3,
                run_id="run_1",
                datapoint_id="dp_1",
            )
        ],
    )
    row = stored(store, "log_a")
    file_id, version_id = row.pop("file_id"), row.pop("version_id")
    assert file_id.startswith("pr_")
    assert version_id.startswith("prv_")
    assert row == {
        "workspace_id": WORKSPACE,
        "id": "log_a",
        "kind": "prompt",
        "name": "call log_a",
        "trace_id": TRACE,
        "span_id": "b7ad6b7169203331",
        "trace_parent_id": None,
        "parent_id": None,
        "session_id": "chat-42",
        "user": "u1",
        "environment": "staging",
        "service": "shop",
        "source": "sdk",
        "start_ns": START_NS,
        "end_ns": START_NS + 10**9,
        "duration_ms": 1000.0,
        "status": "error",
        "error_type": "Timeout",
        "provider": "openai",
        "model": "gpt-4o",
        "model_served": "gpt-4o-2024",
        "tokens_input_uncached": 100,
        "tokens_cache_read": None,
        "tokens_cache_write": None,
        "tokens_output": 20,
        "tokens_reasoning": None,
        "cost_usd": 0.0015,
        "cost_reported_usd": 0.002,
        "time_to_first_token_ms": 12.5,
        "finish_reason": "stop",
        "response_id": "resp_1",
        "flags": "|a|b|",
        "keep_probability": 0.5,
        "mapper_version": 3,
        "run_id": "run_1",
        "datapoint_id": "dp_1",
        "is_genai": True,
        "is_hidden": False,
        "is_start": False,
        "is_covered": False,
        "is_top": True,
        "inherits": 0,
        "weak": None,
        "body": {
            "inputs": {"question": "where is my order?"},
            "messages": [{"role": "user", "content": "where is my order?"}],
            "output": "on its way",
        },
    }
    body = rows(store, LogBodyTable)[0]
    assert (body["preview_input"], body["preview_output"]) == ("where is my order?", "on its way")


def test_the_same_batch_five_times_is_stored_once(store: Store) -> None:
    batch = [model_call(f"log_{n}", "log_0" if n else None, session_id="s") for n in range(10)]
    store.ingest(WORKSPACE, batch)
    before = [rows(store, model) for model in (Log, LogBodyTable, Trace, SessionRow, RollupHour)]
    for _ in range(4):
        assert not any(outcome.is_new for outcome in store.ingest(WORKSPACE, batch))
    after = [rows(store, model) for model in (Log, LogBodyTable, Trace, SessionRow, RollupHour)]
    assert after == before


def test_a_repeated_log_leaves_nothing_to_index_again(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a")])
    store.ingest(WORKSPACE, [model_call("log_a")])
    assert rows(store, SearchPending) == []
    store.ingest(WORKSPACE, [model_call("log_a", body=LogBody(metadata={"more": 1}))])
    assert len(rows(store, SearchPending)) == 1


def test_save_false_stores_no_body_and_no_keys(store: Store) -> None:
    store.ingest(WORKSPACE, [log("log_a", body=LogBody())])
    assert rows(store, LogBodyTable) == []
    assert rows(store, LogMetadata) == []
    assert len(rows(store, Log)) == 1


def test_metadata_keys_can_be_filtered_by(store: Store) -> None:
    metadata = {"plan": "pro", "n": 3, "ok": True, "x": None, "list": [1], "long": "y" * 1000}
    store.ingest(WORKSPACE, [log("log_a", body=LogBody(metadata=metadata))])
    found = {row["key"]: (row["value"], row["number"]) for row in rows(store, LogMetadata)}
    assert found == {
        "plan": ("pro", None),
        "n": ("3", 3.0),
        "ok": ("true", None),
        "x": ("null", None),
        "list": ("[1]", None),
        "long": ("y" * 256, None),
    }


def test_an_id_that_is_taken_gets_another_and_a_flag_each_time_the_same(store: Store) -> None:
    store.ingest(WORKSPACE, [log("log_a", name="one")])
    first = store.ingest(WORKSPACE, [log("log_a", name="two")])[0]
    again = store.ingest(WORKSPACE, [log("log_a", name="two")])[0]
    assert first.is_new
    assert first.log_id != "log_a"
    assert (again.log_id, again.is_new) == (first.log_id, False)
    assert stored(store, first.log_id)["flags"] == "|id_collision|"
    assert stored(store, "log_a")["name"] == "one"


def test_two_workspaces_share_nothing(store: Store) -> None:
    store.ingest(1, [model_call("log_a", session_id="s")])
    outcome = store.ingest(2, [model_call("log_a", session_id="s")])[0]
    assert outcome.is_new
    assert [row["workspace_id"] for row in rows(store, Trace)] == [1, 2]
    assert [row["log_count"] for row in rows(store, SessionRow)] == [1, 1]
    assert len({row["file_id"] for row in rows(store, Log)}) == 2


# --- trees


def test_a_child_before_its_parent_inherits_when_the_parent_comes(store: Store) -> None:
    grandchild = log("log_c", "log_b", trace_id=None)
    child = log("log_b", "log_a", trace_id=None)
    root = log("log_a", session_id="chat", user="u1")
    store.ingest(WORKSPACE, [grandchild])
    store.ingest(WORKSPACE, [child])
    assert stored(store, "log_c")["trace_id"] is None
    store.ingest(WORKSPACE, [root])
    for id_ in ("log_b", "log_c"):
        row = stored(store, id_)
        assert (row["trace_id"], row["session_id"], row["user"]) == (TRACE, "chat", "u1")
    assert rows(store, Trace)[0]["log_count"] == 3
    assert rows(store, SessionRow)[0]["log_count"] == 3


def test_children_follow_a_parent_into_the_trace_that_it_learns_of(store: Store) -> None:
    posted = log("log_a", trace_id=None, status="incomplete", end_ns=None)
    children = [log("log_b", "log_a", trace_id=None), log("log_c", "log_b", trace_id=None)]
    ingest_each(store, [posted, *children])
    assert stored(store, "log_c")["trace_id"] not in (None, TRACE)
    store.ingest(WORKSPACE, [log("log_a")])
    assert {stored(store, id_)["trace_id"] for id_ in ("log_a", "log_b", "log_c")} == {TRACE}
    assert [row["log_count"] for row in rows(store, Trace)] == [3]


def test_a_log_of_its_own_session_keeps_it(store: Store) -> None:
    ingest_each(
        store,
        [
            log("log_c", "log_b"),
            log("log_b", "log_a", session_id="mine"),
            log("log_a", session_id="s"),
        ],
    )
    assert [stored(store, id_)["session_id"] for id_ in ("log_a", "log_b", "log_c")] == [
        "s",
        "mine",
        "mine",
    ]


def test_a_root_without_a_trace_id_gets_one_of_its_own(store: Store) -> None:
    store.ingest(WORKSPACE, [log("log_a", trace_id=None), log("log_b", "log_a", trace_id=None)])
    trace_id = stored(store, "log_a")["trace_id"]
    assert trace_id is not None
    assert stored(store, "log_b")["trace_id"] == trace_id


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_cycles_and_self_parents_are_stored(store: Store, order: tuple[int, ...]) -> None:
    records = [log("log_a", "log_b"), log("log_b", "log_a"), log("log_c", "log_c", session_id="s")]
    ingest_each(store, [records[index] for index in order])
    assert {row["id"] for row in rows(store, Log)} == {"log_a", "log_b", "log_c"}
    assert stored(store, "log_c")["trace_parent_id"] is None


def test_only_leaf_calls_are_added_up(store: Store) -> None:
    usage = Tokens(input_uncached=100, output=20)
    records = [
        log("log_flow", kind="flow"),
        # Some frameworks repeat on the agent what its calls have used.
        log("log_agent", "log_flow", kind="agent", tokens=usage, cost_usd=0.003),
        log("log_tool", "log_agent", kind="tool"),
        model_call("log_call", "log_tool"),
        model_call("log_other", "log_agent"),
        log("log_judge", "log_flow", kind="evaluator", tokens=usage, cost_usd=9.0),
    ]
    for order in (records, list(reversed(records))):
        workspace_id = next(_workspaces)
        for record in order:
            store.ingest(workspace_id, [record])
        trace = next(row for row in rows(store, Trace) if row["workspace_id"] == workspace_id)
        assert trace["cost_nusd"] == 3_000_000
        assert (trace["tokens_input_uncached"], trace["tokens_output"]) == (200, 40)
        assert (trace["log_count"], trace["usage_count"], trace["priced_count"]) == (6, 2, 2)


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_usage_is_found_below_a_log_that_learns_its_trace_late(
    store: Store, order: tuple[int, ...]
) -> None:
    records = [
        log("log_a"),
        log("log_b", "log_a", trace_id=None),
        log("log_c", "log_b", tokens=Tokens(output=4)),
    ]
    ingest_each(store, [records[index] for index in order])
    covered = {row["id"]: row["is_covered"] for row in rows(store, Log)}
    assert covered == {"log_a": True, "log_b": True, "log_c": False}


def test_an_unknown_price_is_not_a_price_of_zero(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a", cost_usd=None)])
    trace = rows(store, Trace)[0]
    assert (trace["usage_count"], trace["priced_count"]) == (1, 0)


def test_a_trace_is_complete_when_its_root_is(store: Store) -> None:
    root = log("log_a", kind="flow", is_start=True, status="incomplete", end_ns=None)
    store.ingest(WORKSPACE, [root, log("log_b", "log_a")])
    trace = rows(store, Trace)[0]
    assert (trace["root_id"], trace["completed_ns"]) == ("log_a", None)
    store.ingest(WORKSPACE, [log("log_a", kind="flow")])
    done = rows(store, Trace)[0]
    assert done["completed_ns"] is not None
    assert done["last_received_ns"] >= trace["last_received_ns"]
    assert done["log_count"] == 2


def test_plain_spans_are_hidden_until_their_trace_holds_a_genai_log(store: Store) -> None:
    span = {"kind": "span", "is_genai": False}
    store.ingest(WORKSPACE, [log("log_a", **span), log("log_b", "log_a", **span)])
    assert all(row["is_hidden"] for row in rows(store, Log))
    store.ingest(WORKSPACE, [model_call("log_c", "log_b")])
    store.ingest(WORKSPACE, [log("log_d", "log_c", **span)])
    assert not any(row["is_hidden"] for row in rows(store, Log))


@st.composite
def forests(draw: st.DrawFn) -> list[LogRecord]:
    """Records of one trace: nested, with start records, sessions and usage here and there."""
    count = draw(st.integers(1, 8))
    records = []
    for index in range(count):
        id_ = f"log_{index}"
        parent = None
        if index:
            # Sometimes a parent nobody ever sends.
            number = draw(st.integers(-1, index - 1))
            parent = f"log_{number}" if number >= 0 else "log_gone"
        has_usage = draw(st.booleans())
        whole = log(
            id_,
            parent,
            kind=draw(st.sampled_from(["prompt", "flow", "tool", "agent"])),
            # Without a trace id only when it can be told from the parent.
            trace_id=TRACE if index == 0 or draw(st.booleans()) else None,
            start_ns=START_NS + draw(st.integers(0, 3)) * 10**9,
            session_id=draw(st.sampled_from([None, None, "s1", "s2"])),
            user=draw(st.sampled_from([None, None, "u1", "u2"])),
            status=draw(st.sampled_from(["complete", "error"])),
            model=draw(st.sampled_from([None, "gpt-4o", "haiku"])),
            tokens=Tokens(input_uncached=3, output=index) if has_usage else None,
            cost_usd=0.1 * index if has_usage and draw(st.booleans()) else None,
            body=LogBody(inputs={"n": index}),
        )
        records.append(whole)
        if draw(st.booleans()):
            records.append(
                log(
                    id_,
                    parent,
                    name="begin",
                    kind=whole.kind,
                    trace_id=whole.trace_id,
                    start_ns=whole.start_ns + draw(st.integers(0, 1)),
                    end_ns=None,
                    status="incomplete",
                    is_start=True,
                    body=LogBody(inputs={"n": index, "early": True}),
                )
            )
    return records


@given(forests(), st.randoms(use_true_random=False))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rows_and_sums_do_not_depend_on_the_order_of_arrival(
    store: Store, records: list[LogRecord], luck: random.Random
) -> None:
    together, apart = next(_workspaces), next(_workspaces)
    store.ingest(together, records)
    shuffled = [*records, *luck.choices(records, k=2)]
    luck.shuffle(shuffled)
    while shuffled:
        size = luck.randint(1, 4)
        store.ingest(apart, shuffled[:size])
        del shuffled[:size]
    first, second = _state(store, apart), _state(store, together)
    for name in first:
        assert len(first[name]) == len(second[name])
        for one, other in zip(first[name], second[name], strict=True):
            assert one == other
    _assert_sums_are_right(store, apart)


def _state(store: Store, workspace_id: int) -> dict[str, Any]:
    moment = {
        "seq", "workspace_id", "received_ns", "final_ns", "first_received_ns", "last_received_ns",
        "completed_ns",
    }  # fmt: skip
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in moment}
            for row in sorted(rows(store, model, workspace_id), key=lambda row: str(row.get("id")))
        ]
        for model in (Log, Trace, SessionRow)
    }


def _assert_sums_are_right(store: Store, workspace_id: int) -> None:
    def mine(model: Any) -> list[dict[str, Any]]:
        return rows(store, model, workspace_id)

    logs = {row["id"]: row for row in mine(Log)}
    below: dict[str, list[str]] = {}
    for row in logs.values():
        below.setdefault(row["trace_parent_id"] or "", []).append(row["id"])

    def has_usage_below(id_: str) -> bool:
        return any(
            logs[child]["tokens_output"] is not None or has_usage_below(child)
            for child in below.get(id_, [])
        )

    # A parent in another trace (or a child whose trace is never known) hands nothing up or down.
    if all(row["trace_id"] == TRACE for row in logs.values()):
        assert {i: row["is_covered"] for i, row in logs.items()} == {
            i: has_usage_below(i) for i in logs
        }
    with store.write() as session:
        connection = session.connection()
        moment = {"last_received_ns"}
        for trace in mine(Trace):
            counted = recount_trace(connection, workspace_id, trace["trace_id"])
            assert counted is not None
            assert {k: v for k, v in trace.items() if k not in moment} == {
                k: v for k, v in counted.items() if k not in moment
            }
        for row in mine(SessionRow):
            counted = recount_session(connection, workspace_id, row["id"])
            assert counted is not None
            assert {k: v for k, v in row.items() if k not in moment} == {
                k: v for k, v in counted.items() if k not in moment
            }
        kept = _rollups(store, workspace_id)
        rebuild_rollups(session, workspace_id)
    assert kept == _rollups(store, workspace_id)


def _rollups(store: Store, workspace_id: int) -> list[dict[str, Any]]:
    return [row for row in rows(store, RollupHour, workspace_id) if row["log_count"]]


# --- values


def test_values_come_back_the_same_from_every_database(store: Store) -> None:
    odd = {
        "nul": "a\0b",
        "surrogate": "a\ud800b",
        "combining": "e\u0301 \u00e9 \U0001f600",
        "nan": float("nan"),
        "inf": float("inf"),
        "big": 2**200,
        "int64": -(2**63),
        "float": 0.1 + 0.2,
        "bytes": b"\xff",
        "object": object(),
        "set": {1},
    }
    store.ingest(
        WORKSPACE,
        [
            log(
                "log_a",
                name="n\0m\ud800",
                user="u\0",
                session_id="\U0001f600",
                environment="e\u0301",
                cost_usd=float("nan"),
                time_to_first_token_ms=float("inf"),
                tokens=Tokens(input_uncached=2**70, output=-1),
                start_ns=2**80,
                end_ns=-5,
                body=LogBody(inputs=odd, metadata={"k\0": "v\ud800", "n": float("nan")}),
            )
        ],
    )
    row = stored(store, "log_a")
    assert row["name"] == "n\ufffdm\ufffd"
    assert row["user"] == "u\ufffd"
    assert row["session_id"] == "\U0001f600"
    assert row["environment"] == "e\u0301"
    assert row["cost_usd"] is None
    assert row["time_to_first_token_ms"] is None
    assert (row["tokens_input_uncached"], row["tokens_output"]) == (None, None)
    assert (row["start_ns"], row["end_ns"], row["duration_ms"]) == (2**63 - 1, 0, 0.0)
    assert row["body"]["inputs"] == {
        "nul": "a\ufffdb",
        "surrogate": "a\ufffdb",
        "combining": "e\u0301 \u00e9 \U0001f600",
        "nan": None,
        "inf": None,
        "big": str(2**200),
        "int64": -(2**63),
        "float": 0.1 + 0.2,
        "bytes": "\ufffd",
        "object": "<object>",
        "set": [1],
    }
    keys = {r["key"]: (r["value"], r["number"]) for r in rows(store, LogMetadata)}
    assert keys == {"k\ufffd": ("v\ufffd", None), "n": ("null", None)}


def test_long_and_repeated_values_are_stored_once_and_come_back(store: Store) -> None:
    system = "You are kind. " * 50
    manual = "Chapter one. " * 500
    tools = [{"type": "function", "function": {"name": "look_up", "description": "d" * 200}}]

    def call(number: int) -> LogRecord:
        return model_call(
            f"log_{number}",
            body=LogBody(
                messages=[
                    {"role": "system", "content": system},
                    {"role": "user", "content": f"question {number}"},
                ],
                tools=tools,
                inputs={"manual": manual, "n": number},
                attributes={"raw": manual},
                output=f"answer {number}",
            ),
        )

    store.ingest(WORKSPACE, [call(number) for number in range(5)])
    store.ingest(WORKSPACE, [call(number) for number in range(5, 10)])
    assert len(rows(store, Content)) == 3
    for number in range(10):
        assert stored(store, f"log_{number}")["body"] == {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": f"question {number}"},
            ],
            "tools": tools,
            "inputs": {"manual": manual, "n": number},
            "attributes": {"raw": manual},
            "output": f"answer {number}",
        }
    assert all(len(row["document"]) < 500 for row in rows(store, LogBodyTable)[2:])


# --- many at once, and things going wrong


def test_many_threads_lose_and_double_nothing(store: Store) -> None:
    def send(number: int) -> None:
        for part in range(5):
            # Everybody sends the shared root again, and a trace of their own.
            batch = [log("log_root", kind="flow", session_id="all")]
            batch += [model_call(f"log_{number}_{part}_{index}", "log_root") for index in range(10)]
            store.ingest(WORKSPACE, batch)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(store, Log)) == 401
    trace, session = rows(store, Trace)[0], rows(store, SessionRow)[0]
    assert (trace["log_count"], trace["usage_count"]) == (401, 400)
    assert (session["log_count"], session["cost_nusd"]) == (401, 400 * 1_500_000)
    assert sum(row["log_count"] for row in rows(store, RollupHour)) == 401


def test_a_poisoned_record_does_not_kill_its_neighbours(store: Store) -> None:
    batch = [log(f"log_{number}") for number in range(7)]
    batch[3].mapper_version = 2**70  # no database takes this
    outcomes = store.ingest(WORKSPACE, batch)
    assert [outcome.error is None for outcome in outcomes] == [True] * 3 + [False] + [True] * 3
    assert len(rows(store, Log)) == 6
    with store.read() as session:
        kept = list_quarantined(session, WORKSPACE)
    assert [(record.signal, b"log_3" in record.payload) for record in kept] == [("record", True)]


def test_the_same_refused_record_is_quarantined_once_and_counted(store: Store) -> None:
    rejected = Rejected(reason="no\0 trace id", payload=b"\x00\xff{}", signal="span")
    store.quarantine(WORKSPACE, [rejected, rejected])
    store.quarantine(WORKSPACE, [rejected])
    store.quarantine(WORKSPACE, [])
    with store.read() as session:
        kept = list_quarantined(session, WORKSPACE)
        assert list_quarantined(session, 2) == []
    assert [(r.reason, r.payload, r.count) for r in kept] == [
        ("no\ufffd trace id", b"\x00\xff{}", 3)
    ]


# --- judgments


def judgment(id_: str, number: float | None, **fields: Any) -> LogRecord:
    return log(
        id_,
        kind="evaluator",
        trace_id=None,
        parent_id="log_a",
        file=FileReference(kind="evaluator", path="support/is_polite"),
        start_ns=fields.pop("start_ns", START_NS),
        judgment=Judgment(judged_log_id="log_a", return_type="boolean", number=number, **fields),
    )


def test_a_judgment_is_a_log_and_a_narrow_row(store: Store) -> None:
    store.ingest(WORKSPACE, [model_call("log_a"), judgment("log_j", 1.0, where="arrival")])
    row = rows(store, JudgmentTable)[0]
    assert (row["log_id"], row["judged_log_id"], row["number"]) == ("log_j", "log_a", 1.0)
    assert row["evaluator_id"] == stored(store, "log_j")["file_id"]
    assert row["evaluator_version_id"].startswith("evv_")
    assert stored(store, "log_j")["trace_id"] is None
    assert len(rows(store, Trace)) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_latest_judgment_of_one_evaluator_stands(store: Store, order: tuple[int, int]) -> None:
    both = [
        judgment("log_j1", 1.0, where="feedback", made_by="u1"),
        judgment("log_j2", 0.0, where="feedback", made_by="u1", start_ns=START_NS + 1),
    ]
    ingest_each(store, [both[index] for index in order])
    store.ingest(WORKSPACE, [judgment("log_j3", 0.0, where="feedback", made_by="u2")])
    assert {row["log_id"]: row["superseded_by"] for row in rows(store, JudgmentTable)} == {
        "log_j1": "log_j2",
        "log_j2": None,
        "log_j3": None,
    }


def test_a_repeated_judgment_is_stored_once(store: Store) -> None:
    heard = store.subscribe("judgments")
    ingest_each(store, [judgment("log_j", 1.0)] * 3)
    assert len(rows(store, JudgmentTable)) == 1
    assert heard.is_set()
