"""evaluate: functions over datasets, judged here and there, through a served collector."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import kibitz
from kibitz import ChecksFailed, ConfigError, KibitzError
from tests.e2e.conftest import Served
from tests.kibitz.client.conftest import said, upsert

SUMS = [{"inputs": {"a": n, "b": 1}, "target": {"sum": n + 1}} for n in range(20)]
CODE = "def long_enough(log):\n    return len(str(log['output'])) > 1\n"


def add(a: str, b: str) -> int:
    return int(a) + int(b)


def add_badly(a: str, b: str) -> int:
    if a == "7":
        raise ZeroDivisionError("seven")
    return int(a) + (2 if int(a) < 10 else 1)


def is_right(log: dict[str, Any], target: dict[str, Any]) -> bool:
    return bool(log["output"] == target["sum"])


def size(log: dict[str, Any]) -> float:
    return float(log["output"])


def stats_of(collector: Served, result: kibitz.EvaluationResult) -> dict[str, Any]:
    with collector.client() as client:
        stats = said(client.get(f"/v5/evaluations/{result.evaluation_id}/stats"))
    (mine,) = [run for run in stats["run_stats"] if run["run_id"] == result.run_id]
    found: dict[str, Any] = mine
    return found


def log_of(collector: Served, log_id: str) -> dict[str, Any]:
    with collector.client() as client:
        return said(client.get(f"/v5/logs/{log_id}"))


def test_a_function_is_run_judged_and_kept_as_a_run(
    app: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    result = kibitz.evaluate(add, dataset=SUMS, evaluators=[is_right, size], name="nightly")
    assert [row.output for row in result.rows] == list(range(1, 21))
    assert result.score("is_right") == 1.0
    assert result.score("size") == 10.5
    mine = stats_of(app, result)
    assert (mine["status"], mine["num_logs"]) == ("completed", 20)
    by_rule = {("num_true" in one): one for one in mine["evaluator_stats"]}
    assert by_rule[True]["num_true"] == 20
    assert by_rule[False]["mean"] == 10.5
    log = log_of(app, result.rows[3].log_id)
    assert log["flow"]["path"] == "add"
    assert log["inputs"] == {"a": "3", "b": "1"}
    assert log["source_datapoint_id"] == result.rows[3].datapoint_id
    assert log["batches"] == [result.run_id]
    assert {one["judgment"] for one in log["evaluator_logs"]} == {True, 4.0}
    out = capsys.readouterr().out
    assert "add over add dataset: 20 rows, 0 failed" in out
    assert result.url is not None
    assert result.url in out


def test_checks_decide_and_runs_of_a_name_are_compared(app: Served) -> None:
    kibitz.evaluate(add, dataset=SUMS, evaluators=[is_right], path="sum", show=False)
    with pytest.raises(ChecksFailed, match=r"is_right is 0.5, asked for >= 0.9") as caught:
        kibitz.evaluate(
            add_badly,
            dataset=SUMS,
            evaluators=[is_right],
            path="sum",
            checks={"is_right": 0.9, "errors": "<= 0.05"},
            show=False,
        )
    result = caught.value.result
    assert [check.is_met for check in result.checks] == [False, True]
    (measured,) = result.measures
    assert (measured.before, measured.delta) == (1.0, -0.5)
    assert result.error_rate == 0.05
    assert result.rows[7].error == "ZeroDivisionError: seven"
    assert log_of(app, result.rows[7].log_id)["error"] == "seven"
    assert stats_of(app, result)["status"] == "completed"
    assert "FAILED" in str(result)
    assert json.loads(json.dumps(result.as_dict()))["is_passed"] is False


def test_a_flow_is_evaluated_as_itself_with_what_it_calls_below(app: Served) -> None:
    @kibitz.tool(path="adder")
    def adder(a: int, b: int) -> int:
        return a + b

    @kibitz.flow(path="math/sum", attributes={"way": "tool"})
    def total(a: str, b: str) -> int:
        return adder(int(a), int(b))

    with app.client() as client:
        made = said(
            client.post("/v5/flows", json={"path": "math/sum", "attributes": {"way": "tool"}})
        )
    result = kibitz.evaluate(total, dataset=SUMS[:4], evaluators=[is_right], show=False)
    assert result.path == "math/sum"
    log = log_of(app, result.rows[2].log_id)
    assert log["flow"]["version_id"] == made["version_id"]
    assert [child["tool"]["path"] for child in log["trace_children"]] == ["adder"]
    assert stats_of(app, result)["version_id"] == made["version_id"]
    with app.client() as client:
        logs = said(client.get("/v5/logs", params={"file_id": made["id"]}))
    assert logs["total"] == 4


def test_decorated_evaluators_judge_here_and_those_of_the_collector_there(app: Served) -> None:
    @kibitz.evaluator(path="checks/tone", return_type="select", options=["short", "long"])
    def tone(log):  # type: ignore[no-untyped-def]
        return "long" if len(str(log["output"])) > 1 else "short"

    spec = {
        "evaluator_type": "python",
        "arguments_type": "target_free",
        "return_type": "boolean",
        "code": CODE,
    }
    upsert(app, "evaluators", path="checks/long_enough", spec=spec)
    result = kibitz.evaluate(
        add,
        dataset=SUMS,
        evaluators=[tone, "checks/long_enough"],
        checks={"checks/long_enough": 0.5},
        show=False,
    )
    here, there = result.measures
    assert here.counts == {"short": 9, "long": 11}
    assert (there.score, there.judged) == (11 / 20, 20)
    assert {row.judgments["checks/long_enough"].value for row in result.rows} == {True, False}


def test_datasets_come_from_the_collector_and_from_files(app: Served, tmp_path: Path) -> None:
    made = upsert(app, "datasets", path="sums", datapoints=SUMS)
    result = kibitz.evaluate(add, dataset="sums", evaluators=[is_right], show=False)
    assert (result.dataset, len(result.rows)) == ("sums", 20)
    assert made["datapoints_count"] == 20
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"a": 1, "b": 2}\n\n{"a": 3, "b": 4}\n')
    result = kibitz.evaluate(add, dataset=lines, evaluators=[size], path="f", show=False)
    assert [row.output for row in result.rows] == [3, 7]
    lines.write_text('{"a": 1}\nnonsense\n')
    with pytest.raises(ConfigError, match=r"rows\.jsonl, line 2"):
        kibitz.evaluate(add, dataset=lines, evaluators=[size], show=False)


def test_coroutines_and_generators_are_run_to_their_end(app: Served) -> None:
    async def coroutine(a: str, b: str) -> int:
        await asyncio.sleep(0)
        return int(a) + int(b)

    def generator(a: str, b: str) -> Iterator[str]:
        yield a
        yield b

    async def agenerator(a: str, b: str) -> AsyncIterator[str]:
        yield a
        yield b

    data = SUMS[:3]
    outputs = [
        [row.output for row in kibitz.evaluate(one, dataset=data, evaluators=[], show=False).rows]
        for one in (coroutine, generator, agenerator)
    ]
    assert outputs == [[1, 2, 3], ["01", "11", "21"], ["01", "11", "21"]]


async def test_a_notebook_s_event_loop_is_not_in_the_way(app: Served) -> None:
    async def coroutine(a: str, b: str) -> int:
        await asyncio.sleep(0)
        return int(a) + int(b)

    result = kibitz.evaluate(coroutine, dataset=SUMS[:2], evaluators=[is_right], show=False)
    assert result.score("is_right") == 1


def test_messages_are_given_to_a_function_that_takes_them(app: Served) -> None:
    def answer(messages: list[dict[str, Any]], tone: str = "kind") -> str:
        return f"{tone}: {messages[0]['content']}"

    data = [{"messages": [{"role": "user", "content": "hi"}], "inputs": {"tone": "rude"}}]
    result = kibitz.evaluate(answer, dataset=data, evaluators=[], show=False)
    assert result.rows[0].output == "rude: hi"


def test_an_evaluator_that_fails_is_told_and_the_rest_goes_on(app: Served) -> None:
    def picky(log: dict[str, Any]) -> bool:
        if log["inputs"]["a"] == "3":
            raise ValueError("three")
        return "yes" if log["inputs"]["a"] == "4" else True  # type: ignore[return-value]

    result = kibitz.evaluate(add, dataset=SUMS[:6], evaluators=[picky], show=False)
    (measured,) = result.measures
    assert (measured.score, measured.judged, measured.errors) == (4 / 6, 4, 2)
    assert result.rows[3].judgments["picky"].error == "ValueError: three"
    assert "boolean" in (result.rows[4].judgments["picky"].error or "")
    assert stats_of(app, result)["status"] == "completed"


def test_rows_run_side_by_side(app: Served) -> None:
    meeting = threading.Barrier(4)

    def meet(a: str, b: str) -> int:
        if a != "0":  # the first runs by itself
            meeting.wait(30)
        return int(a)

    result = kibitz.evaluate(meet, dataset=SUMS[:5], evaluators=[], workers=4, show=False)
    assert result.error_rate == 0


def test_every_row_is_kept_whatever_the_sample_rate(collector: Served, tmp_path: Path) -> None:
    kibitz.init(collector.url, spool_dir=tmp_path / "spool", sample_rate=0)
    try:
        result = kibitz.evaluate(add, dataset=SUMS, evaluators=[is_right], show=False)
    finally:
        kibitz.shutdown()
    assert stats_of(collector, result)["num_logs"] == 20


def test_without_init_it_records_for_as_long_as_it_lasts(
    collector: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIBITZ_COLLECTOR", collector.url)
    monkeypatch.setenv("KIBITZ_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setattr("kibitz._runtime.configured", None)
    result = kibitz.evaluate(add, dataset=SUMS[:2], evaluators=[is_right], show=False)
    assert stats_of(collector, result)["num_logs"] == 2
    assert not kibitz.current()
    assert kibitz.flush().sent == 0


def test_what_cannot_work_is_refused_before_anything_runs(app: Served) -> None:
    calls: list[int] = []

    def one(a: str) -> int:
        calls.append(1)
        return 1

    for given, error, text in (
        ({"dataset": SUMS, "evaluators": []}, ConfigError, "cannot be called with the inputs"),
        ({"dataset": "nowhere", "evaluators": []}, KibitzError, "no File at 'nowhere'"),
        ({"dataset": [], "evaluators": []}, KibitzError, "no datapoints"),
        ({"dataset": [1], "evaluators": []}, ConfigError, r"dataset\[0\] must be a mapping"),
        ({"dataset": SUMS, "evaluators": [3]}, ConfigError, "paths and functions"),
        ({"dataset": SUMS, "evaluators": [size, size]}, ConfigError, "two at 'size'"),
        (
            {"dataset": SUMS, "evaluators": [size], "checks": {"sise": 1}},
            ConfigError,
            "no evaluator is called; there are size, errors",
        ),
        (
            {"dataset": SUMS, "evaluators": [size], "checks": {"size": "big"}},
            ConfigError,
            'write a number, or a text such as ">= 0.9"',
        ),
        ({"dataset": SUMS, "evaluators": [], "workers": 0}, ConfigError, "workers=0"),
    ):
        with pytest.raises(error, match=text):
            kibitz.evaluate(one, show=False, **given)  # type: ignore[arg-type]
    assert calls == []
