"""What judgments of runs add up to."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kibitz_collector.evaluations.stats import (
    STALE_NS,
    Judge,
    Numbers,
    RunStats,
    add_up,
    judge_stats,
    overall_status,
    run_stats,
    standing_verdicts,
)
from kibitz_collector.store.queries.evaluations_logs import RunLogFact, VerdictFact

_seqs = itertools.count(1)


def judge(return_type: Any = "boolean", **more: Any) -> Judge:
    given = {"evaluator_id": "ev_1", "version_id": "evv_1", "path": "exact", **more}
    return Judge(return_type=return_type, **given)


def verdict(log_id: str, value: Any = None, **more: Any) -> VerdictFact:
    seq = next(_seqs)
    said: dict[str, Any] = {
        "run_id": "rn_1",
        "log_id": log_id,
        "evaluator_id": "ev_1",
        "evaluator_version_id": "evv_1",
        "made_by": None,
        "return_type": "boolean",
        "number": float(value) if isinstance(value, bool | int | float) else None,
        "labels": value if isinstance(value, list) else None,
        "has_text": isinstance(value, str),
        "is_error": False,
        "created_ns": seq,
        "seq": seq,
    }
    return VerdictFact(**{**said, **more})


def log(log_id: str, **more: Any) -> RunLogFact:
    said: dict[str, Any] = {
        "run_id": "rn_1",
        "log_id": log_id,
        "is_final": True,
        "is_error": False,
        "duration_ms": 1000.0,
        "cost_usd": None,
        "tokens": None,
        "received_ns": 1,
    }
    return RunLogFact(**{**said, **more})


def test_truth_is_counted_apart_from_abstentions_and_errors() -> None:
    verdicts = [
        verdict("a", True),
        verdict("b", False),
        verdict("c"),
        verdict("d", is_error=True),
    ]
    found = judge_stats(judge(), verdicts)
    assert (found.total, found.judgments, found.nulls, found.errors) == (4, 2, 1, 1)
    assert (found.trues, found.judged_logs, found.score) == (1, 4, 0.25)
    assert found.numbers == Numbers()


def test_options_nobody_chose_are_shown() -> None:
    found = judge_stats(
        judge("multi_select", options=["good", "bad"]),
        [verdict("a", ["bad", "bad", "odd"]), verdict("b", []), verdict("c")],
    )
    assert found.options == {"good": 0, "bad": 1, "odd": 1}
    assert (found.judgments, found.nulls, found.score) == (2, 1, None)


def test_texts_are_only_counted() -> None:
    found = judge_stats(judge("text"), [verdict("a", "fine"), verdict("b")])
    assert (found.judgments, found.nulls, found.score) == (1, 1, None)


def test_the_latest_verdict_of_each_judge_stands() -> None:
    ada, bob = {"made_by": "ada"}, {"made_by": "bob"}
    verdicts = [
        verdict("a", True, **ada),
        verdict("a", False, **bob),
        verdict("a", False, **ada),
    ]
    standing = standing_verdicts(reversed(verdicts), [judge()])["evv_1"]
    assert [(one.made_by, one.number) for one in standing] == [("ada", 0.0), ("bob", 0.0)]


def test_another_version_counts_only_when_its_judgments_come_from_outside() -> None:
    changed = verdict("a", True, evaluator_version_id="evv_2")
    stranger = verdict("a", True, evaluator_id="ev_2", evaluator_version_id="evv_3")
    here, outside = judge(), judge(orchestrated=False)
    assert standing_verdicts([changed, stranger], [here]) == {"evv_1": []}
    assert standing_verdicts([changed, stranger], [outside]) == {"evv_1": [changed]}
    both = [outside, judge(version_id="evv_2", orchestrated=False)]
    assert standing_verdicts([changed], both) == {"evv_1": [], "evv_2": [changed]}


def test_a_run_is_added_up() -> None:
    found = run_stats(
        run_id="rn_1",
        version_id="prv_1",
        status="running",
        changed_ns=5,
        expected=3,
        logs=[
            log("a", cost_usd=0.5, tokens=3),
            log("b", is_error=True, duration_ms=3000.0),
            log("c", is_final=False, duration_ms=None),
        ],
        verdicts=[verdict("a", True)],
        judges=[judge()],
    )
    assert (found.logs, found.final_logs, found.error_logs) == (3, 2, 1)
    assert (found.latency_s.mean, found.cost_usd.sum, found.tokens.sum) == (2.0, 0.5, 3.0)
    assert found.judges[0].trues == 1
    assert found.last_ns == 5


def test_numbers_add_up() -> None:
    found = add_up([3, 1, 2, 4])
    assert (found.mean, found.sum, found.std) == (2.5, 10, math.sqrt(1.25))
    assert found.percentiles["0"] == 1
    assert found.percentiles["25"] == 1.75
    assert found.percentiles["50"] == 2.5
    assert found.percentiles["100"] == 4
    assert add_up([]) == Numbers()
    assert add_up([7]).std == 0


@given(st.lists(st.floats(-1e12, 1e12), min_size=1))
def test_percentiles_rise_and_stay_within(values: list[float]) -> None:
    found = list(add_up(values).percentiles.values())
    slack = 1e-9 * max(abs(value) for value in values)
    assert found[0] == min(values)
    assert found[-1] == max(values)
    assert all(low <= high + slack for low, high in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([], "pending"),
        (["completed", "running"], "running"),
        (["completed", "pending"], "pending"),
        (["completed", "cancelled"], "completed"),
        (["cancelled"], "cancelled"),
        (["running", "completed"], "running"),
    ],
)
def test_an_evaluation_is_as_far_as_its_last_run(statuses: Any, status: str) -> None:
    assert overall_status([added_up(one) for one in statuses], 10) == status


def test_an_older_run_that_was_forgotten_does_not_count() -> None:
    runs = [added_up("completed"), added_up("running")]
    assert overall_status(runs, STALE_NS + 10) == "completed"
    assert overall_status(runs[::-1], STALE_NS + 10) == "running"


def added_up(status: Any) -> RunStats:
    return run_stats(
        run_id="rn_1",
        version_id=None,
        status=status,
        changed_ns=5,
        expected=None,
        logs=[],
        verdicts=[],
        judges=[],
    )
