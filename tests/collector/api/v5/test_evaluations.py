"""Evaluations through `/v5`: made, run from outside, judged, added up; what each refuses."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

EXTERNAL = {
    "arguments_type": "target_free",
    "return_type": "boolean",
    "evaluator_type": "external",
}
POINTS = [{"inputs": {"q": str(n)}, "target": {"a": str(n)}} for n in range(3)]


def post(client: TestClient, where: str, status: int = 200, **body: Any) -> Any:
    answer = client.post(where, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def get(client: TestClient, path: str, **params: Any) -> Any:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def flow(client: TestClient) -> dict[str, Any]:
    made: dict[str, Any] = post(client, "flows", path="qa", attributes={"v": 1})
    return made


@pytest.fixture
def dataset(client: TestClient) -> dict[str, Any]:
    made = post(client, "datasets", path="points", datapoints=POINTS)
    whole: dict[str, Any] = get(client, f"datasets/{made['id']}", include_datapoints=True)
    return whole


def evaluator(client: TestClient, path: str = "exact", **spec: Any) -> dict[str, Any]:
    made: dict[str, Any] = post(client, "evaluators", path=path, spec={**EXTERNAL, **spec})
    return made


def evaluation(client: TestClient, flow: dict[str, Any], *paths: str, **more: Any) -> Any:
    body = {"file": {"id": flow["id"]}, "name": "Eval A", **more}
    return post(client, "evaluations", 201, evaluators=[{"path": p} for p in paths], **body)


def start(client: TestClient, made: Any, flow: Any, dataset: Any, **more: Any) -> Any:
    return post(
        client,
        f"evaluations/{made['id']}/runs",
        dataset={"version_id": dataset["version_id"]},
        version={"version_id": flow["version_id"]},
        **{"orchestrated": False, "use_existing_logs": False, **more},
    )


def log(client: TestClient, flow: Any, run: Any, point: Any, **more: Any) -> str:
    body = {
        "id": flow["id"],
        "run_id": run["id"],
        "source_datapoint_id": point["id"],
        "inputs": point["inputs"],
        "output": "x",
        "log_status": "complete",
        **more,
    }
    posted = client.post("flows/log", params={"version_id": flow["version_id"]}, json=body)
    assert posted.status_code == 200, posted.text
    log_id: str = posted.json()["id"]
    return log_id


def judge(client: TestClient, used: Any, log_id: str, **verdict: Any) -> None:
    params = {"version_id": used["version_id"]}
    body = {"id": used["id"], "parent_id": log_id, **verdict}
    answer = client.post("evaluators/log", params=params, json=body)
    assert answer.status_code == 200, answer.text


def stats(client: TestClient, made: Any) -> Any:
    return get(client, f"evaluations/{made['id']}/stats")


def test_a_run_from_outside_is_complete_when_every_log_is_judged(
    client: TestClient, flow: Any, dataset: Any
) -> None:
    used = evaluator(client)
    made = evaluation(client, flow, "exact")
    assert made["url"].endswith(f"/evaluations/{made['id']}")
    assert [e["version"]["version_id"] for e in made["evaluators"]] == [used["version_id"]]
    assert [e["orchestrated"] for e in made["evaluators"]] == [False]
    run = start(client, made, flow, dataset)
    assert (run["status"], run["orchestrated"], run["control"]) == ("pending", False, False)
    assert run["version"]["version_id"] == flow["version_id"]
    assert run["dataset"]["version_id"] == dataset["version_id"]
    logs = [log(client, flow, run, point) for point in dataset["datapoints"]]
    found = stats(client, made)
    assert (found["status"], found["run_stats"][0]["num_logs"]) == ("running", 3)
    assert "3/3" in found["progress"]
    judge(client, used, logs[0], judgment=True)
    judge(client, used, logs[1], judgment=False)
    assert stats(client, made)["status"] == "running"
    judge(client, used, logs[2], error="boom")
    found = stats(client, made)
    assert (found["status"], found["progress"]) == ("completed", "")
    assert "50.0% true" not in found["report"]
    assert "33.3% true" in found["report"]
    (one,) = found["run_stats"]
    assert (one["run_id"], one["status"]) == (run["id"], "completed")
    assert one["evaluator_stats"] == [
        {
            "evaluator_version_id": used["version_id"],
            "total_logs": 3,
            "num_judgments": 2,
            "num_nulls": 0,
            "num_errors": 1,
            "num_true": 1,
            "num_false": 1,
        }
    ]
