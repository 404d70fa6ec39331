"""Metrics over what arrived, the same on both databases."""

import time

import pytest

from kibitz_collector.query.metrics import parse_metric
from kibitz_collector.records import FileReference, Tokens
from kibitz_collector.store import Store
from kibitz_collector.store.queries import metrics
from kibitz_collector.store.queries.metrics import GroupValue
from tests.collector.alert.traffic import WORKSPACE, S, call, verdict


def compute(store: Store, text: str, *, end_ns: int | None = None) -> list[GroupValue]:
    metric = parse_metric(text)
    end_ns = end_ns or time.time_ns()
    with store.read() as session:
        return metrics.aggregate(session, WORKSPACE, metric, end_ns - metric.window_s * S, end_ns)


def one(store: Store, text: str) -> tuple[float | None, int]:
    (found,) = compute(store, text)
    assert found.group == ()
    value = found.value if found.value is None else round(found.value, 9)
    return value, found.sample


def by_group(store: Store, text: str) -> dict[tuple[str | None, ...], tuple[float | None, int]]:
    return {row.group: (row.value, row.sample) for row in compute(store, text)}


def test_logs_are_counted_timed_and_summed(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            call(latency_ms=latency, cost_usd=cost, status=status, time_to_first_token_ms=ttft)
            for latency, cost, status, ttft in [
                (100, 0.01, "complete", 10.0),
                (200, 0.02, "complete", 20.0),
                (300, None, "complete", None),
                (400, 0.03, "error", 30.0),
            ]
        ],
    )
    assert one(store, "count(logs)") == (4, 4)
    assert one(store, "error_rate(logs)") == (0.25, 4)
    assert one(store, "mean(latency)") == (250, 4)
    assert one(store, "sum(cost)") == (0.06, 3)
    assert one(store, "mean(cost)") == (0.02, 3)
    assert one(store, "mean(ttft)") == (20, 3)
    assert one(store, "count(logs) where status:error") == (1, 1)


def test_percentiles_are_nearest_rank(store: Store) -> None:
    store.ingest(WORKSPACE, [call(latency_ms=10 * number) for number in range(1, 101)])
    assert [one(store, f"p{percent}(latency)") for percent in (50, 90, 95, 99)] == [
        (500, 100), (900, 100), (950, 100), (990, 100),
    ]  # fmt: skip
    assert one(store, "p99(latency) where latency<=30") == (30, 3)
    assert one(store, "p50(latency) where latency<=10") == (10, 1)


def test_percentiles_are_taken_in_each_group(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [call(latency_ms=10 * n, model="a") for n in range(1, 11)]
        + [call(latency_ms=100 * n, model="b") for n in range(1, 6)]
        + [call(latency_ms=7)],
    )
    assert by_group(store, "p90(latency) by model") == {
        ("a",): (90, 10), ("b",): (500, 5), (None,): (7, 1),
    }  # fmt: skip


def test_tokens_are_summed_over_leaf_calls_only(store: Store) -> None:
    flow = call(
        kind="flow",
        tokens=Tokens(input_uncached=10, output=5),
        file=FileReference(kind="flow", path="support/flow"),
    )
    leaf = call(
        trace_id=flow.trace_id,
        trace_parent_id=flow.id,
        tokens=Tokens(input_uncached=10, output=5),
        cost_usd=0.5,
    )
    store.ingest(WORKSPACE, [flow, leaf])
    assert one(store, "sum(tokens)") == (15, 1)
    assert one(store, "sum(tokens.output)") == (5, 1)
    assert one(store, "sum(cost)") == (0.5, 1)


def test_nothing_is_zero_for_sums_and_unknown_for_the_rest(store: Store) -> None:
    assert one(store, "count(logs)") == (0, 0)
    assert one(store, "sum(cost)") == (0, 0)
    assert one(store, "error_rate(logs)") == (None, 0)
    assert one(store, "p95(latency)") == (None, 0)
    assert one(store, 'pass_rate(judgment "x")') == (None, 0)
    assert compute(store, "count(logs) by model") == []
    store.ingest(WORKSPACE, [call(cost_usd=None)])
    assert one(store, "sum(cost)") == (None, 0)  # something came, its price is unknown


def test_groups_come_by_name_the_largest_first(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [
            call(user="u1", session_id="s1", environment="production", provider="openai"),
            call(user="u1", session_id="s2", environment="production"),
            call(user=None, file=FileReference(kind="prompt", path="other")),
        ],
    )
    assert list(by_group(store, "count(logs) by user")) == [("u1",), (None,)]
    assert by_group(store, "count(logs) by file, user") == {
        ("support/answer", "u1"): (2, 2), ("other", None): (1, 1),
    }  # fmt: skip
    assert by_group(store, "count(logs) by session")[("s2",)] == (1, 1)
    assert by_group(store, "count(logs) by environment")[("production",)] == (2, 2)
    assert by_group(store, "count(logs) by provider, kind")[("openai", "prompt")] == (1, 1)
    assert len(by_group(store, "count(logs) by version")) == 2


def test_judgments_become_rates_means_and_counts(store: Store) -> None:
    calls = [call(model=model) for model in ("a", "a", "b", "b")]
    store.ingest(WORKSPACE, calls)
    store.ingest(
        WORKSPACE,
        [
            verdict(calls[0], True),
            verdict(calls[1], False),
            verdict(calls[2], True),
            verdict(calls[3], None, judgment={"is_error": True, "return_type": "boolean"}),
            verdict(calls[0], "bad", evaluator="rating"),
            verdict(calls[1], "good", evaluator="rating"),
            verdict(calls[2], None, evaluator="rating"),
            verdict(calls[0], 3.0, evaluator="score"),
            verdict(calls[1], 4.0, evaluator="score"),
        ],
    )
    polite = 'judgment "support/is_polite"'
    value, sample = one(store, f"pass_rate({polite})")
    assert (value, sample) == (round(2 / 3, 9), 3)
    assert by_group(store, f"pass_rate({polite}) by model") == {
        ("a",): (0.5, 2), ("b",): (1.0, 1),
    }  # fmt: skip
    assert one(store, f"pass_rate({polite}) where model:b") == (1.0, 1)
    assert one(store, f"error_rate({polite})") == (0.25, 4)
    assert one(store, 'rate(judgment "rating" = "bad")') == (0.5, 2)
    assert one(store, 'mean(judgment "score")') == (3.5, 2)
    assert one(store, 'p50(judgment "score")') == (3.0, 2)
    assert by_group(store, 'count(judgment "*") by evaluator') == {
        ("support/is_polite",): (4, 4), ("rating",): (3, 3), ("score",): (2, 2),
    }  # fmt: skip


def test_only_the_window_counts(store: Store) -> None:
    store.ingest(WORKSPACE, [call()])
    later_ns = time.time_ns() + 61 * S
    assert compute(store, "count(logs) over 1m", end_ns=later_ns)[0].value == 0
    assert compute(store, "count(logs) over 2m", end_ns=later_ns)[0].value == 1


def test_what_arrives_late_is_left_out_and_counted(store: Store) -> None:
    old_ns = time.time_ns() - 20 * 60 * S
    late = call(start_ns=old_ns - S, end_ns=old_ns, status="error")
    store.ingest(WORKSPACE, [call(), late])
    store.ingest(WORKSPACE, [verdict(late, False)])
    assert one(store, "error_rate(logs)") == (0, 1)
    assert one(store, 'pass_rate(judgment "support/is_polite")') == (None, 0)
    for text in ("error_rate(logs)", 'pass_rate(judgment "support/is_polite")'):
        with store.read() as session:
            count = metrics.count_late(session, WORKSPACE, parse_metric(text), 0, time.time_ns())
        assert count == 1


@pytest.mark.parametrize("fields", [{"source": "import"}, {"run_id": "run_1"}])
def test_imports_and_offline_runs_never_count(store: Store, fields: dict[str, str]) -> None:
    imported = call(status="error", **fields)
    store.ingest(WORKSPACE, [imported])
    store.ingest(WORKSPACE, [verdict(imported, False, judgment={"where": "run"})])
    assert one(store, "count(logs)") == (0, 0)
    assert one(store, 'pass_rate(judgment "support/is_polite")') == (None, 0)


def test_evaluators_count_only_when_asked_for(store: Store) -> None:
    judged = call()
    store.ingest(WORKSPACE, [judged])
    store.ingest(WORKSPACE, [verdict(judged, True, source="sdk")])
    assert one(store, "count(logs)") == (1, 1)
    assert one(store, "count(logs) where kind:evaluator") == (1, 1)


def test_unfinished_logs_do_not_count(store: Store) -> None:
    store.ingest(WORKSPACE, [call(status="incomplete", end_ns=None)])
    assert one(store, "count(logs)") == (0, 0)


def test_sampled_logs_stand_for_those_not_kept(store: Store) -> None:
    store.ingest(
        WORKSPACE,
        [call(keep_probability=0.5, status="error"), call(keep_probability=0.25, cost_usd=1.0)],
    )
    assert one(store, "count(logs)") == (6, 2)
    assert one(store, "sum(cost)") == (4, 1)
    assert one(store, "error_rate(logs)") == (round(2 / 6, 9), 2)


def test_other_workspaces_do_not_count(store: Store) -> None:
    store.ingest(2, [call()])
    assert one(store, "count(logs)") == (0, 0)


def test_examples_are_the_worst_and_newest(store: Store) -> None:
    calls = [call(latency_ms=ms, model="a") for ms in (100, 300, 200)] + [call(latency_ms=900)]
    store.ingest(WORKSPACE, calls)
    store.ingest(WORKSPACE, [verdict(calls[0], True), verdict(calls[2], False)])

    def worst(text: str, group: tuple[str | None, ...], *, lowest: bool) -> list[str]:
        with store.read() as session:
            return metrics.examples(
                session, WORKSPACE, parse_metric(text), group, 0, time.time_ns(), lowest=lowest
            )

    assert worst("p95(latency) by model", ("a",), lowest=False) == [
        calls[1].id, calls[2].id, calls[0].id,
    ]  # fmt: skip
    assert worst("p95(latency) by model", (None,), lowest=False) == [calls[3].id]
    polite = 'pass_rate(judgment "support/is_polite")'
    assert worst(polite, (), lowest=True) == [calls[2].id, calls[0].id]
