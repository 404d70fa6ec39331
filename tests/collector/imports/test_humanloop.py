"""Exports as the dead service wrote them, odd ones too, on both databases."""

import json
from pathlib import Path
from typing import Any

import pytest

from kibitz_collector.files.identity import content_hash
from kibitz_collector.imports.export import find_exported_files
from kibitz_collector.imports.humanloop import Import, Report
from kibitz_collector.store import Store
from kibitz_collector.store.queries import evaluations as evaluation_queries
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.environments import list_environments
from kibitz_collector.store.queries.evaluation import list_monitors
from kibitz_collector.store.queries.evaluations_logs import log_facts

Json = dict[str, Any]
USER = {"id": "usr_1", "email_address": "ann@example.com", "full_name": None}
PRODUCTION = {
    "id": "env_1",
    "name": "production",
    "tag": "default",
    "created_at": "2024-01-01T00:00:00.5+00:00",
}


def file(kind: str, file_id: str, version_id: str, path: str, **more: Any) -> Json:
    return {
        "type": kind,
        "id": file_id,
        "path": path,
        "name": path.rpartition("/")[2],
        "version_id": version_id,
        "environments": [],
        "created_at": "2024-05-01T10:00:00",
        "updated_at": "2024-05-02T10:00:00+02:00",
        "created_by": USER,
        "last_used_at": "2024-05-02T10:00:00Z",
        "status": "committed",
        "version_logs_count": 1,
        "total_logs_count": 1,
        "inputs": [],
        **more,
    }


def log(log_id: str, of: Json, **more: Any) -> Json:
    return {
        "id": log_id,
        of["type"]: of,
        "log_status": None,
        "start_time": "2024-06-01T10:00:00",
        "end_time": None,
        "created_at": "2024-06-01T10:00:00.123456",
        "inputs": {},
        "output": "done",
        "error": None,
        "save": True,
        "source": None,
        "metadata": None,
        "user": None,
        "environment": None,
        "batches": [],
        "evaluator_logs": [],
        "trace_children": [],
        "trace_parent_id": None,
        **more,
    }


PROMPT = {"model": "gpt-4o", "endpoint": "chat", "template": [{"role": "user", "content": "Hi"}]}
ONE = file("prompt", "pr_1", "prv_1", "a/reply", **PROMPT, environments=[PRODUCTION])
TWO = file("prompt", "pr_1", "prv_2", "a/reply", **PROMPT, temperature=1, tools=[])
FLOW = file("flow", "fl_1", "flv_1", "a/flow", attributes={})
RATING = file(
    "evaluator",
    "ev_1",
    "evv_1",
    "rating",
    spec={
        "evaluator_type": "human",
        "arguments_type": "target_free",
        "return_type": "select",
        "options": [{"name": "good", "valence": "positive"}, {"name": "bad"}],
    },
)
GONE = file("tool", "tl_9", "tv_9", "elsewhere/tool", function=None, source_code=None)
DATASET = file("dataset", "ds_1", "dsv_1", "words", datapoints_count=1)
POINT = {"id": "dp_1", "inputs": {"word": "x"}, "messages": None, "target": {"n": 1}}


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_file(root: Path, *versions: Json, logs: list[Json] | None = None) -> Path:
    folder = root / "files" / versions[0]["id"]
    write(folder / "file.json", versions[0])
    for version in versions:
        write(folder / "versions" / version["version_id"], version)
    found = [
        {"version_id": version["version_id"]}
        | {f"environment_{key}": one[key] for key in ("id", "name", "tag")}
        for version in versions
        for one in version["environments"]
    ]
    write(folder / "deployments.json", found)
    for number, one in enumerate(logs or [], 1):
        (folder / "logs").mkdir(exist_ok=True)
        (folder / "logs" / f"{number}.jsonl").write_text(json.dumps(one) + "\n")
    return folder


def run(store: Store, root: Path) -> Report:
    work = Import(store, 1, {}, lambda _what, _done: None)
    return work.run(find_exported_files(root))


def summary(store: Store, log_id: str) -> Any:
    with store.read() as session:
        return log_queries.get_log(session, 1, log_id)


def test_versions_keep_their_ids_even_if_their_contents_are_one_here(
    store: Store, tmp_path: Path
) -> None:
    write_file(tmp_path, ONE, TWO)
    report = run(store, tmp_path)
    assert report.problems == []
    assert report.new == {"files": 1, "versions": 2, "deployments": 1, "datapoints": 0}
    with store.read() as session:
        found = file_queries.get_file(session, 1, "pr_1")
        versions = file_queries.get_versions(session, 1, ["prv_1", "prv_2"])
        environments = list_environments(session, 1)
        equal = content_hash("prompt", PROMPT)
        same = file_queries.find_version(session, 1, "pr_1", equal)
    assert (found.path, found.version_id, found.version_count) == ("a/reply", "prv_1", 2)
    assert set(versions) == {"prv_1", "prv_2"}
    assert versions["prv_1"].created_by == "ann@example.com"
    assert [(one.id, one.name, one.is_default) for one in environments] == [
        ("env_1", "production", True)
    ]
    assert same == "prv_1"


def test_a_trace_comes_with_all_that_is_nested_in_it(store: Store, tmp_path: Path) -> None:
    judgment = log("log_4", RATING, parent_id="data_2", judgment="good", output=None, user="u")
    inner = log(
        "data_2",
        ONE,
        evaluator_logs=[judgment],
        messages=[{"role": "user", "content": "Hi"}],
        output_message={"role": "assistant", "content": "Yes"},
        prompt_tokens=5,
        output_tokens=2,
        prompt_cost=-1,
    )
    tool = log("log_3", GONE, error="broken", output=None, trace_parent_id="data_2")
    outer = log("log_1", FLOW, trace_children=[inner, tool], output=None, log_status="complete")
    write_file(tmp_path, ONE)
    write_file(tmp_path, FLOW, logs=[outer])
    report = run(store, tmp_path)
    problems = [str(problem) for problem in report.problems]
    assert len(problems) == 1
    assert "data_2: left out prompt_cost (prompt_cost: " in problems[0]
    assert report.new["logs"] == 4
    assert run(store, tmp_path).known["logs"] == 4
    flow, prompt, broken, said = (
        summary(store, log_id) for log_id in ("log_1", "data_2", "log_3", "log_4")
    )
    assert flow.summary.status == "complete"
    assert flow.summary.end_ns == flow.summary.start_ns
    assert prompt.summary.trace_parent_id == "log_1"
    assert prompt.summary.trace_id == flow.summary.trace_id == broken.summary.trace_id
    assert prompt.body.api_fields["prompt_tokens"] == 5
    assert broken.summary.status == "error"
    assert broken.summary.file_path == "elsewhere/tool"
    assert said.summary.parent_id == "data_2"
    with store.read() as session:
        listed = log_queries.list_logs(session, 1)
    by_id = {one.id: one for one in listed.items}
    (verdict,) = by_id["data_2"].judgments
    assert (verdict.value, verdict.where, verdict.made_by) == ("good", "human", "u")


def test_evaluators_come_attached_and_what_would_run_here_is_off(
    store: Store, tmp_path: Path
) -> None:
    spec = {"evaluator_type": "python", "return_type": "boolean", "code": "def f(log): return True"}
    code = file("evaluator", "ev_2", "evv_2", "checks/code", spec=spec)
    by_people = {
        "version_reference": {"type": "environment", "file": RATING, "environment": PRODUCTION},
        "state": "active",
        "created_at": "2024-05-01T10:00:00Z",
    }
    by_code = {
        "version_reference": {"type": "version", "version": code},
        "state": "active",
        "created_at": "2024-05-01T10:00:00Z",
    }
    write_file(tmp_path, {**ONE, "evaluators": [by_people, by_code, {"state": "active"}]})
    report = run(store, tmp_path)
    assert [str(one).partition("file.json: ")[2] for one in report.problems] == [
        "not as the export tool writes it (KeyError: 'version_reference')"
    ]
    assert report.new["monitors"] == 2
    with store.read() as session:
        monitors = list_monitors(session, 1)
    assert {one.evaluator.path: one.state for one in monitors} == {
        "rating": "active",
        "checks/code": "inactive",
    }
    assert run(store, tmp_path).known["monitors"] == 2


def test_a_run_nobody_will_finish_is_cancelled(store: Store, tmp_path: Path) -> None:
    write_file(tmp_path, DATASET)
    points = tmp_path / "files" / "ds_1" / "datapoints" / "dsv_1"
    points.mkdir(parents=True)
    (points / "1.jsonl").write_text(json.dumps(POINT))
    folder = write_file(tmp_path, FLOW) / "evaluations" / "evr_1"
    evaluation = {
        "id": "evr_1",
        "name": "nightly",
        "file_id": "fl_1",
        "runs_count": 2,
        "evaluators": [{"version": RATING, "orchestrated": False, "added_at": None}],
        "created_at": "2024-07-01T00:00:00Z",
        "updated_at": "2024-07-01T00:00:00Z",
        "created_by": None,
    }
    write(folder / "evaluation.json", evaluation)
    common = {"dataset": DATASET, "version": FLOW, "created_at": "2024-07-01T00:00:00Z"}
    common |= {"added_at": "2024-07-01T00:00:00Z", "control": False}
    write(
        folder / "runs" / "run_1",
        {"id": "run_1", "orchestrated": True, "status": "running", **common},
    )
    write(
        folder / "runs" / "run_2",
        {"id": "run_2", "orchestrated": False, "status": "completed", **common},
    )
    write(
        folder / "runs" / "run_3",
        {"id": "run_3", "orchestrated": False, "status": "lost", **common},
    )
    done = log("log_1", FLOW, inputs={"word": "x"}, log_status="complete")
    line = {"run_id": "run_2", "datapoint": POINT, "log": done, "evaluator_logs": []}
    (folder / "logs").mkdir()
    (folder / "logs" / "1.jsonl").write_text(json.dumps(line))
    report = run(store, tmp_path)
    assert [str(one).partition("run_3: ")[2] for one in report.problems] == [
        "status 'lost' is none of a run's"
    ]
    with store.read() as session:
        runs = {one.run.id: one.run for one in evaluation_queries.list_runs(session, "evr_1")}
        facts = log_facts(session, ["run_1", "run_2"])
    assert {run_id: run.status for run_id, run in runs.items()} == {
        "run_1": "cancelled",
        "run_2": "completed",
    }
    assert runs["run_2"].dataset_version_id == "dsv_1"
    assert [(one.run_id, one.log_id) for one in facts] == [("run_2", "log_1")]


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "prompt"},
        {**ONE, "path": 3},
        {**ONE, "type": "novel"},
        {**ONE, "id": None},
        {**ONE, "path": ".."},
    ],
    ids=["nothing", "no path", "no type", "no id", "no name"],
)
def test_a_file_that_is_none_keeps_no_other_from_coming(
    broken: Json, store: Store, tmp_path: Path
) -> None:
    write_file(tmp_path, FLOW)
    write(tmp_path / "files" / "pr_1" / "file.json", broken)
    report = run(store, tmp_path)
    assert len(report.problems) == 1
    assert "pr_1/file.json" in str(report.problems[0])
    assert report.new["files"] == 1
