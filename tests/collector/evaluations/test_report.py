"""Runs compared in a table for a terminal, and how far they have come."""

from typing import Any

from kibitz_collector.evaluations.progress import progress_text
from kibitz_collector.evaluations.report import Named, report_text
from kibitz_collector.evaluations.stats import Judge, JudgeStats, Numbers, RunStats, add_up

NAMED = Named(
    evaluation="Eval A",
    file="qa",
    url="http://localhost/evaluations/evr_1",
    versions={"prv_1": "first"},
    datasets={"rn_1": "points"},
)
EXACT = Judge(evaluator_id="ev_1", version_id="evv_1", path="exact", return_type="boolean")
LENGTH = Judge(evaluator_id="ev_2", version_id="evv_2", path="length", return_type="number")
TONE = Judge(
    evaluator_id="ev_3",
    version_id="evv_3",
    path="people/tone",
    return_type="select",
    orchestrated=False,
)


def judged(judge: Judge, count: int = 4, **more: Any) -> JudgeStats:
    said: dict[str, Any] = {
        "judged_logs": count,
        "total": count,
        "judgments": count,
        "nulls": 0,
        "errors": 0,
    }
    return JudgeStats(judge=judge, **{**said, **more})


def run(number: int, *judges: JudgeStats, **more: Any) -> RunStats:
    said: dict[str, Any] = {
        "status": "completed",
        "last_ns": 0,
        "expected": 4,
        "logs": 4,
        "final_logs": 4,
        "error_logs": 0,
        "latency_s": add_up([0.5, 1.5]),
        "cost_usd": Numbers(),
        "tokens": Numbers(),
    }
    return RunStats(
        run_id=f"rn_{number}", version_id=f"prv_{number}", judges=judges, **{**said, **more}
    )


def test_runs_stand_side_by_side_with_their_changes() -> None:
    new = run(
        2,
        judged(EXACT, trues=3, nulls=1, judgments=3),
        judged(LENGTH, numbers=add_up([1, 2, 3, 4])),
        judged(TONE, options={"good": 3, "bad": 1}),
        error_logs=1,
    )
    old = run(
        1,
        judged(EXACT, trues=2),
        judged(LENGTH, numbers=add_up([1, 1, 1, 1])),
        judged(TONE, count=0),
        cost_usd=add_up([0.001, 0.003]),
        tokens=add_up([10, 20]),
    )
    assert report_text([new, old], NAMED) == (
        "\n"
        "Evaluation 'Eval A' of qa\n"
        "+-------------+-----------------------+------------------+\n"
        "|             | Run 2                 | Run 1            |\n"
        "|             | rn_2                  | rn_1             |\n"
        "| Version     | prv_2                 | first            |\n"
        "|             |                       | prv_1            |\n"
        "| Dataset     | -                     | points           |\n"
        "| Status      | completed             | completed        |\n"
        "| Logs        | 4 of 4                | 4 of 4           |\n"
        "|             | 1 failed              |                  |\n"
        "+-------------+-----------------------+------------------+\n"
        "| exact       | 75.0% true (+25.0%)   | 50.0% true       |\n"
        "|             | 3 of 4                | 2 of 4           |\n"
        "|             | 1 null                |                  |\n"
        "| length      | 2.5 (+1.5)            | 1                |\n"
        "|             | std 1.118, median 2.5 | std 0, median 1  |\n"
        "| people/tone | good: 3 (75%)         | -                |\n"
        "|             | bad: 1 (25%)          |                  |\n"
        "+-------------+-----------------------+------------------+\n"
        "| Latency     | 1.00 s a Log          | 1.00 s a Log     |\n"
        "|             | p95 1.45 s            | p95 1.45 s       |\n"
        "| Cost        | -                     | $0.004000 in all |\n"
        "|             |                       | $0.002000 a Log  |\n"
        "| Tokens      | -                     | 30 in all        |\n"
        "|             |                       | 15 a Log         |\n"
        "+-------------+-----------------------+------------------+\n"
    )


def test_all_are_compared_with_the_control_run() -> None:
    runs = [run(n, judged(EXACT, trues=n % 4)) for n in range(7, 0, -1)]
    text = report_text(runs, NAMED, control_id="rn_2")
    assert "Run 7" in text
    assert "Run 2 (control)" in text
    assert "Run 4" not in text
    assert "75.0% true (+25.0%)" in text
    assert "25.0% true (-25.0%)" in text
    assert text.endswith("3 more runs are at http://localhost/evaluations/evr_1\n")


def test_why_something_failed_is_said_in_one_line() -> None:
    named = Named(evaluation="e", file=None, url="", failures={"exact": "a\nb " + "x" * 500})
    (line,) = [
        line for line in report_text([run(1)], named).splitlines() if "failed in run" in line
    ]
    assert line.startswith("exact failed in run 1: ...x")
    assert len(line) < 300


def test_nothing_has_run_yet() -> None:
    assert report_text([], NAMED) == "\nEvaluation 'Eval A' of qa: no runs yet\n"
    assert progress_text([]) == ""
    assert progress_text([run(1)]) == ""


def test_progress_shows_what_is_awaited() -> None:
    half = run(
        3,
        judged(EXACT, count=4),
        judged(TONE, count=1),
        status="running",
    )
    assert progress_text([run(4), half]) == (
        "Run rn_3: running\n"
        "  Logs         [########################] 4/4 (100%)\n"
        "  exact        [########################] 4/4 (100%)\n"
        "  people/tone  [######------------------] 1/4 (25%)\n"
        "  waits for judgments of people/tone\n"
    )


def test_progress_of_a_run_without_datapoints() -> None:
    empty = run(1, status="pending", expected=None, logs=0, final_logs=0)
    assert "0/0 (100%)" in progress_text([empty])
