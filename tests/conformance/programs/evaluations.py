"""Scenarios about evaluations, driven through the unmodified SDK in an environment of its own.

Arguments: scenario, base URL of /v5, and `lost` or `kept`: whether this environment loses the ids
of decorated functions. Exits with an error when something is not as it should be.
The collector calls a model that answers `you said …`.
"""

import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from humanloop import Humanloop
from humanloop.core.api_error import ApiError
from humanloop.types import (
    BooleanEvaluatorStatsResponse,
    DatasetResponse,
    FlowLogResponse,
    FlowResponse,
    NumericEvaluatorStatsResponse,
    PromptResponse,
    SelectEvaluatorStatsResponse,
    TextEvaluatorStatsResponse,
)

COUNT = 20
FLOW: dict[str, Any] = {"path": "qa", "type": "flow", "version": {"attributes": {"v": 1}}}
POINTS: list[Any] = [
    {"inputs": {"question": str(n)}, "target": {"answer": str(n)}} for n in range(COUNT)
]
DATASET: dict[str, Any] = {"path": "datasets/d", "datapoints": POINTS}
CODE = "def judge(log, testcase):\n    return log['output'] == testcase['target']['answer']\n"


def refused(status: int, call: Callable[..., Any]) -> None:
    found = None
    try:
        call()
    except ApiError as error:
        found = error
    assert found is not None, "this was not refused"
    assert found.status_code == status, (found.status_code, found.body)


def exact(log: dict[str, Any], datapoint: dict[str, Any]) -> bool:
    return bool(log["output"] == datapoint["target"]["answer"])


EXACT: dict[str, Any] = {
    "path": "evaluators/exact",
    "callable": exact,
    "args_type": "target_required",
    "return_type": "boolean",
    "threshold": 0.9,
}


def answer_well(question: str) -> str:
    if question == "7":
        raise ValueError("I do not know")
    return question


def answer_badly(question: str) -> str:
    return question if int(question) % 2 else "no idea"


def run(client: Humanloop, function: Callable[..., Any], **more: Any) -> Any:
    return client.evaluations.run(
        name="Eval A",
        file={**FLOW, "callable": function},
        dataset=dict(DATASET),
        evaluators=[dict(EXACT)],
        **more,
    )


def run_a_function(client: Humanloop) -> None:
    """Twenty datapoints, one fails, a local evaluator with a threshold."""
    (check,) = run(client, answer_well)
    assert check.threshold_check is True
    assert check.path == "evaluators/exact"
    flow = client.files.retrieve_by_path(path="qa")
    evaluation = client.evaluations.get(check.evaluation_id)
    assert (evaluation.file_id, evaluation.name, evaluation.runs_count) == (flow.id, "Eval A", 1)
    with urllib.request.urlopen(evaluation.url) as page:
        assert page.status == 200
        assert b"Eval A" in page.read()
    stats = client.evaluations.get_stats(evaluation.id)
    assert (stats.status, stats.progress) == ("completed", "")
    (run_stats,) = stats.run_stats
    assert (run_stats.status, run_stats.num_logs) == ("completed", COUNT)
    (judged,) = run_stats.evaluator_stats
    assert isinstance(judged, BooleanEvaluatorStatsResponse), type(judged)
    assert (judged.total_logs, judged.num_true, judged.num_false) == (COUNT, COUNT - 1, 1)
    assert "95.0% true" in stats.report
    failed = [log for log in client.logs.list(file_id=flow.id, size=50) if log.error]
    assert [(log.error, log.output) for log in failed] == [("I do not know", None)]
    (listed,) = client.evaluations.list_runs_for_evaluation(evaluation.id).runs
    assert listed.id == run_stats.run_id
    assert isinstance(listed.version, FlowResponse), type(listed.version)
    assert isinstance(listed.dataset, DatasetResponse), type(listed.dataset)
    assert (listed.orchestrated, listed.status) == (False, "completed")


def run_again(client: Humanloop) -> None:
    """The name is taken: the evaluation is found, and the run compared with the one before."""
    (first,) = run(client, answer_well)
    (second,) = run(client, answer_badly, workers=8)
    assert second.evaluation_id == first.evaluation_id
    assert (second.score, second.delta) == (0.5, -0.45), (second.score, second.delta)
    assert second.threshold_check is False
    evaluation = client.evaluations.get(first.evaluation_id)
    assert evaluation.runs_count == 2
    newest, older = client.evaluations.get_stats(evaluation.id).run_stats
    assert [one.evaluator_stats[0].num_true for one in (newest, older)] == [10, 19]
    runs = client.evaluations.list_runs_for_evaluation(evaluation.id).runs
    assert [one.id for one in runs] == [newest.run_id, older.run_id]
    assert runs[0].created_at > runs[1].created_at

    def changed(log: dict[str, Any], datapoint: dict[str, Any]) -> bool:
        return bool(log["output"])  # another source, so another Version of the Evaluator

    (third,) = client.evaluations.run(
        name="Eval A",
        file={**FLOW, "callable": answer_well},
        dataset=dict(DATASET),
        evaluators=[{**EXACT, "callable": changed, "threshold": 0.5}],
    )
    assert (third.evaluation_id, third.score, third.delta) == (first.evaluation_id, 0.95, 0.45)


def wait(client: Humanloop, evaluation_id: str) -> Any:
    for _attempt in range(300):
        stats = client.evaluations.get_stats(evaluation_id)
        if stats.status == "completed":
            return stats
        time.sleep(0.1)
    raise AssertionError(f"it is not completed: {stats}")


def manage_runs(client: Humanloop) -> None:
    """Existing Logs, runs in several evaluations, Evaluators that come and go, control, pages."""
    (check,) = run(client, answer_well)
    first = client.evaluations.get(check.evaluation_id)
    (ran,) = client.evaluations.list_runs_for_evaluation(first.id).runs
    flow, points = ran.version, ran.dataset
    other = client.evaluations.create(
        name="Eval B", file={"path": "qa"}, evaluators=[{"path": "evaluators/exact"}]
    )
    used = client.evaluations.create_run(
        other.id,
        dataset={"id": points.id},
        version={"path": "qa"},
        orchestrated=False,
        use_existing_logs=True,
    )
    assert used.status == "completed", used.status
    stats = client.evaluations.get_stats(other.id)
    assert (stats.run_stats[0].num_logs, stats.run_stats[0].evaluator_stats[0].num_true) == (20, 19)
    client.evaluations.add_existing_run(other.id, ran.id)
    placed = client.evaluations.list_runs_for_evaluation(other.id).runs
    assert [one.id for one in placed] == [ran.id, used.id]
    client.evaluations.remove_run(other.id, used.id)
    refused(404, lambda: client.evaluations.remove_run(other.id, used.id))
    empty = client.evaluations.create_run(other.id, version={"version_id": flow.version_id})
    assert (empty.status, empty.dataset, empty.orchestrated) == ("pending", None, False)
    assert isinstance(empty.version, FlowResponse)
    logs = [log.id for log in client.logs.list(file_id=flow.id, size=50)][:5]
    filled = client.evaluations.add_logs_to_run(other.id, empty.id, log_ids=logs)
    assert filled.status == "completed", filled.status
    controlled = client.evaluations.update_evaluation_run(other.id, empty.id, control=True)
    assert controlled.control is True
    client.evaluations.update_evaluation_run(other.id, ran.id, control=True)
    placed = client.evaluations.list_runs_for_evaluation(other.id).runs
    assert {one.id: one.control for one in placed} == {ran.id: True, empty.id: False}
    length = client.evaluators.upsert(
        path="evaluators/length",
        spec={
            "arguments_type": "target_free",
            "return_type": "number",
            "evaluator_type": "python",
            "code": "def judge(log):\n    return len(log['output'] or '')\n",
        },
    )
    more = client.evaluations.add_evaluators(
        other.id, evaluators=[{"version_id": length.version_id}]
    )
    assert [e.version.path for e in more.evaluators] == ["evaluators/exact", "evaluators/length"]
    assert [e.orchestrated for e in more.evaluators] == [False, True]
    stats = wait(client, other.id)
    numeric = next(one for one in stats.run_stats if one.run_id == ran.id).evaluator_stats[1]
    assert isinstance(numeric, NumericEvaluatorStatsResponse), type(numeric)
    assert (numeric.num_judgments, numeric.sum) == (COUNT, 29), numeric
    assert (numeric.percentiles["0"], numeric.percentiles["100"]) == (0, 2)
    seen = []
    for number in (1, 2, 3):
        found = client.evaluations.get_logs(other.id, page=number, size=4, run_id=empty.id)
        assert (found.total, found.page, found.size) == (5, number, 4)
        seen.append(len(found.records))
        for record in found.records:
            assert record.run_id == empty.id
            assert isinstance(record.log, FlowLogResponse), type(record.log)
            assert record.datapoint.inputs == record.log.inputs
            assert len(record.evaluator_logs) == 2, record.evaluator_logs
    assert seen == [4, 1, 0]
    assert client.evaluations.get_logs(other.id, run_id=[ran.id, empty.id]).total == 25
    less = client.evaluations.remove_evaluator(other.id, length.version_id)
    assert [e.version.path for e in less.evaluators] == ["evaluators/exact"]
    refused(404, lambda: client.evaluations.remove_evaluator(other.id, length.version_id))
    client.evaluations.delete(first.id)
    refused(404, lambda: client.evaluations.get(first.id))
    assert [e.id for e in client.evaluations.list(file_id=flow.id)] == [other.id]
    assert [one.id for one in client.evaluations.list_runs_for_evaluation(other.id).runs] == [
        empty.id,
        ran.id,
    ]


def run_on_the_collector(client: Humanloop) -> None:
    """A Prompt called and judged by the collector; evaluations.run only watches."""
    client.prompts.upsert(
        path="prompts/qa",
        model="gpt-4o",
        template=[{"role": "user", "content": "{{question}}"}],
    )
    client.evaluators.upsert(
        path="evaluators/code",
        spec={
            "arguments_type": "target_required",
            "return_type": "boolean",
            "evaluator_type": "python",
            "code": CODE.replace("==", "== 'you said ' +"),
        },
    )
    client.evaluators.upsert(
        path="evaluators/model",
        spec={
            "arguments_type": "target_required",
            "return_type": "boolean",
            "evaluator_type": "llm",
            "prompt": {
                "model": "m",
                "provider": "mock",
                "template": "Is {{ log.output }} about {{ testcase.target.answer }}?",
                "other": {"reply": "It is.\ntrue"},
            },
        },
    )
    check, by_model = client.evaluations.run(
        name="Eval C",
        file={"path": "prompts/qa", "type": "prompt"},
        dataset=dict(DATASET),
        evaluators=[
            {"path": "evaluators/code", "threshold": 1.0},
            {"path": "evaluators/model", "threshold": 1.0},
        ],
    )
    assert [check.threshold_check, by_model.threshold_check] == [True, True]
    (ran,) = client.evaluations.list_runs_for_evaluation(check.evaluation_id).runs
    assert (ran.orchestrated, ran.status) == (True, "completed")
    assert isinstance(ran.version, PromptResponse), type(ran.version)
    logs = list(client.logs.list(file_id=ran.version.id, size=100))
    assert len(logs) == COUNT
    assert {log.output for log in logs} == {f"you said {n}" for n in range(COUNT)}
    assert all(log.source_datapoint_id and log.batches == [ran.id] for log in logs)
    refused(
        409,
        lambda: client.evaluations.update_evaluation_run(
            check.evaluation_id, ran.id, status="cancelled"
        ),
    )


def run_a_decorated_function(client: Humanloop, is_lost: bool) -> None:
    """Its ids come with its span, or never: then its Logs join by their inputs, and it ends."""

    @client.flow(path="qa", attributes={"v": 1})
    def answer(question: str) -> str:
        return question

    client.evaluators.upsert(
        path="evaluators/code",
        spec={
            "arguments_type": "target_required",
            "return_type": "boolean",
            "evaluator_type": "python",
            "code": CODE,
        },
    )
    evaluators: list[Any] = [{"path": "evaluators/code", "threshold": 1.0}]
    if not is_lost:
        evaluators.append(dict(EXACT))
    checks = client.evaluations.run(
        name="Eval D",
        file={"path": "qa", "type": "flow", "callable": answer},
        dataset={"path": "datasets/d", "datapoints": POINTS[:5]},
        evaluators=evaluators,
    )
    assert [check.threshold_check for check in checks] == [True] * len(evaluators)
    (stats,) = client.evaluations.get_stats(checks[0].evaluation_id).run_stats
    assert stats.num_logs == 5
    found = client.evaluations.get_logs(checks[0].evaluation_id, size=10).records
    assert {r.datapoint.inputs["question"]: r.log.output for r in found} == {
        str(n): str(n) for n in range(5)
    }


def lose_judgments(client: Humanloop, is_lost: bool) -> None:
    """Local evaluators that are never told of a Log: the run ends, and says why."""
    assert is_lost

    @client.flow(path="qa", attributes={"v": 1})
    def answer(question: str) -> str:
        return question

    (check,) = client.evaluations.run(
        name="Eval E",
        file={"path": "qa", "type": "flow", "callable": answer},
        dataset={"path": "datasets/d", "datapoints": POINTS[:2]},
        evaluators=[dict(EXACT)],
    )
    assert check.threshold_check is False
    (stats,) = client.evaluations.get_stats(check.evaluation_id).run_stats
    (judged,) = stats.evaluator_stats
    assert (judged.total_logs, judged.num_errors, judged.num_true) == (2, 2, 0)
    record = client.evaluations.get_logs(check.evaluation_id).records[0]
    assert "opentelemetry-sdk<1.43" in record.evaluator_logs[0].error


def judge_in_every_way(client: Humanloop) -> None:
    """Statistics of every return type; nulls and errors apart; people end a run by hand."""
    flow = client.flows.upsert(path="qa", attributes={"v": 1})
    points = client.datasets.upsert(path="datasets/d", datapoints=POINTS[:4])
    points = client.datasets.get(points.id, version_id=points.version_id, include_datapoints=True)
    options: list[Any] = [{"name": "good", "valence": "positive"}, {"name": "bad"}]
    ways: dict[str, tuple[dict[str, Any], list[Any]]] = {
        "boolean": ({}, [True, False, None]),
        "number": ({}, [1, 2.5, None]),
        "select": ({"options": options}, ["good", "good", None]),
        "multi_select": ({"options": options}, [["good", "bad"], [], None]),
        "text": ({}, ["fine", "well", None]),
    }
    judges = {
        way: client.evaluators.upsert(
            path=f"people/{way}",
            spec={
                "arguments_type": "target_free",
                "return_type": way,
                "evaluator_type": "human",
                "instructions": "Look at it.",
                **more,
            },
        )
        for way, (more, _said) in ways.items()
    }
    evaluation = client.evaluations.create(
        name="people", file={"id": flow.id}, evaluators=[{"id": j.id} for j in judges.values()]
    )
    ran = client.evaluations.create_run(
        evaluation.id,
        dataset={"version_id": points.version_id},
        version={"version_id": flow.version_id},
        orchestrated=False,
    )
    logs = [
        client.flows.log(
            id=flow.id,
            version_id=flow.version_id,
            run_id=ran.id,
            source_datapoint_id=point.id,
            inputs=point.inputs,
            output="x",
            log_status="complete",
        ).id
        for point in points.datapoints
    ]
    for way, (_more, said) in ways.items():
        judge = judges[way]
        for log_id, value in zip(logs, said, strict=False):
            client.evaluators.log(id=judge.id, parent_id=log_id, judgment=value, user="ada")
        client.evaluators.log(id=judge.id, parent_id=logs[3], error="cannot say", user="ada")
    stats = client.evaluations.get_stats(evaluation.id)
    assert stats.status == "completed"
    (found,) = stats.run_stats
    by_id = {one.evaluator_version_id: one for one in found.evaluator_stats}
    of = {way: by_id[judge.version_id] for way, judge in judges.items()}
    for one in of.values():
        counts = (one.total_logs, one.num_judgments, one.num_nulls, one.num_errors)
        assert counts == (4, 2, 1, 1), one
    assert isinstance(of["boolean"], BooleanEvaluatorStatsResponse)
    assert (of["boolean"].num_true, of["boolean"].num_false) == (1, 1)
    assert isinstance(of["number"], NumericEvaluatorStatsResponse)
    assert (of["number"].mean, of["number"].sum, of["number"].std) == (1.75, 3.5, 0.75)
    assert of["number"].percentiles["50"] == 1.75
    assert isinstance(of["select"], SelectEvaluatorStatsResponse)
    assert of["select"].num_judgments_per_option == {"good": 2, "bad": 0}
    assert isinstance(of["multi_select"], SelectEvaluatorStatsResponse)
    assert of["multi_select"].num_judgments_per_option == {"good": 1, "bad": 1}
    assert isinstance(of["text"], TextEvaluatorStatsResponse)
    reopened = client.evaluations.update_evaluation_run(evaluation.id, ran.id, status="running")
    assert reopened.status in ("running", "completed")
    second = client.evaluations.create_run(
        evaluation.id,
        dataset={"version_id": points.version_id},
        version={"version_id": flow.version_id},
        orchestrated=False,
    )
    done = client.evaluations.update_evaluation_run(evaluation.id, second.id, status="completed")
    assert done.status == "completed"
    third = client.evaluations.create_run(
        evaluation.id,
        dataset={"version_id": points.version_id},
        version={"version_id": flow.version_id},
        orchestrated=False,
    )
    gone = client.evaluations.update_evaluation_run(evaluation.id, third.id, status="cancelled")
    assert gone.status == "cancelled"
    refused(
        409,
        lambda: client.evaluations.update_evaluation_run(
            evaluation.id, third.id, status="completed"
        ),
    )


def refuse(client: Humanloop) -> None:
    """The main failure of each operation."""
    flow = client.flows.upsert(path="qa", attributes={"v": 1})
    prompt = client.prompts.upsert(path="p", model="gpt-4o")
    points = client.datasets.upsert(path="datasets/d", datapoints=POINTS[:1])
    judge = client.evaluators.upsert(
        path="evaluators/code",
        spec={
            "arguments_type": "target_required",
            "return_type": "boolean",
            "evaluator_type": "python",
            "code": CODE,
        },
    )
    evaluations = client.evaluations
    made = evaluations.create(name="one", file={"id": flow.id}, evaluators=[{"id": judge.id}])
    version, dataset = {"version_id": flow.version_id}, {"version_id": points.version_id}
    name: dict[str, Any] = {"name": "one", "file": {"id": flow.id}, "evaluators": []}
    refused(409, lambda: evaluations.create(**name))
    assert evaluations.create(**{**name, "file": {"id": prompt.id}}).id != made.id
    refused(404, lambda: evaluations.create(evaluators=[{"path": "nowhere"}]))
    refused(422, lambda: evaluations.create(evaluators=[{"id": prompt.id}]))
    refused(404, lambda: list(evaluations.list(file_id="fl_none")))
    refused(404, lambda: evaluations.get("evr_none"))
    refused(404, lambda: evaluations.delete("evr_none"))
    refused(404, lambda: evaluations.add_evaluators("evr_none", evaluators=[]))
    refused(404, lambda: evaluations.remove_evaluator(made.id, "evv_none"))
    refused(404, lambda: evaluations.list_runs_for_evaluation("evr_none"))
    refused(404, lambda: evaluations.create_run("evr_none"))
    refused(404, lambda: evaluations.create_run(made.id, version={"version_id": "flv_none"}))
    refused(422, lambda: evaluations.create_run(made.id, version=version, use_existing_logs=True))
    flow_here: dict[str, Any] = {"version": version, "dataset": dataset, "orchestrated": True}
    refused(422, lambda: evaluations.create_run(made.id, **flow_here))
    refused(422, lambda: evaluations.create_run(made.id, dataset=version))
    refused(404, lambda: evaluations.add_existing_run(made.id, "rn_none"))
    refused(404, lambda: evaluations.remove_run(made.id, "rn_none"))
    refused(404, lambda: evaluations.update_evaluation_run(made.id, "rn_none", control=True))
    ran = evaluations.create_run(made.id, version=version, dataset=dataset, orchestrated=False)
    refused(404, lambda: evaluations.add_logs_to_run(made.id, ran.id, log_ids=["log_none"]))
    refused(404, lambda: evaluations.get_stats("evr_none"))
    refused(404, lambda: evaluations.get_logs("evr_none"))


SCENARIOS: dict[str, Callable[..., None]] = {
    "32": run_a_function,
    "33": run_again,
    "36": manage_runs,
    "collector": run_on_the_collector,
    "decorated": run_a_decorated_function,
    "lost": lose_judgments,
    "types": judge_in_every_way,
    "failures": refuse,
}

if __name__ == "__main__":
    given: tuple[Any, ...] = (Humanloop(api_key="hl_sk_test", base_url=sys.argv[2]),)
    if sys.argv[1] in ("decorated", "lost"):
        given += (sys.argv[3] == "lost",)
    SCENARIOS[sys.argv[1]](*given)
