"""`/api/evaluators` and `/api/monitors` over a whole collector with its workers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from tests.collector.evaluate.samples import GOOD, WORKSPACE, log_record


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'kibitz.db'}", alert=False, evaluator_timeout_s=0.5
    )
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


def ingest(client: TestClient, *records: Any) -> None:
    app: Any = client.app
    app.state.store.ingest(WORKSPACE, records)


def save(client: TestClient, path: str = "checks/good", code: str = GOOD, **more: Any) -> Any:
    body = {"path": path, "code": code, **more}
    return client.post("/api/evaluators", json=body)


def wait_for(client: TestClient, url: str, is_there: Any) -> Any:
    deadline = time.monotonic() + 10
    while True:
        found = client.get(url).json()
        if is_there(found) or time.monotonic() > deadline:
            return found


def test_evaluator_is_saved_attached_and_judges_what_arrives(client: TestClient) -> None:
    saved = save(client)
    assert saved.status_code == 201
    evaluator = saved.json()
    attached = client.post(
        "/api/monitors", json={"evaluator": "checks/good", "on": "support/reply"}
    )
    assert attached.status_code == 201
    monitor = attached.json()
    assert (monitor["evaluator_id"], monitor["state"]) == (evaluator["id"], "active")
    ingest(client, log_record("log_a"))
    url = f"/api/evaluators/{evaluator['id']}"
    judged = wait_for(client, url, lambda found: found["judged_count"] == 1)
    assert (judged["judged_count"], judged["error_count"]) == (1, 0)
    status = client.get("/api/monitors/status").json()
    assert status["sandbox"] in ("jail", "monty")
    assert (status["waiting"], status["dead"]) == (0, 0)


def test_source_that_does_not_compile_is_refused_with_its_line(client: TestClient) -> None:
    refused = save(client, code="def evaluator(log):\n    return (\n")
    assert refused.status_code == 422
    message = refused.json()["error"]["message"]
    assert message == "the source is refused: line 2: SyntaxError: '(' was never closed"
    assert client.get("/api/evaluators").json() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "a b\nc"}, "is not a path"),
        ({"return_type": "maybe"}, "return_type"),
        ({"return_type": "select"}, "needs `options`"),
        ({"options": [1]}, "option 1"),
        ({"code": ""}, "needs its source"),
    ],
)
def test_wrong_evaluator_is_refused(client: TestClient, change: dict[str, Any], words: str) -> None:
    refused = client.post("/api/evaluators", json={"path": "a", "code": GOOD, **change})
    assert refused.status_code == 422
    assert words in refused.json()["error"]["message"]


def test_evaluator_is_found_by_path_with_its_source(client: TestClient) -> None:
    first = save(client).json()
    second = save(client, code=GOOD + "# better\n").json()
    assert first["id"] == second["id"]
    assert client.get("/api/evaluators/checks/good").json()["code"] == GOOD + "# better\n"
    old = client.get("/api/evaluators/checks/good", params={"version_id": first["version_id"]})
    assert old.json()["code"] == GOOD
    assert client.get("/api/evaluators/checks/none").status_code == 404


def test_source_is_tried_without_saving_anything(client: TestClient) -> None:
    ingest(client, log_record("log_a"), log_record("log_b", output="bad"))
    code = "def evaluator(log):\n    print(log['id'])\n    return log['output'] == 'fine'"
    tried = client.post("/api/evaluators/try", json={"code": code, "log_ids": ["log_a", "log_b"]})
    assert [(one["log_id"], one["value"], one["stdout"]) for one in tried.json()] == [
        ("log_a", True, "log_a\n"),
        ("log_b", False, "log_b\n"),
    ]
    sampled = client.post("/api/evaluators/try", json={"code": code, "filter": "kind:prompt"})
    assert {one["log_id"] for one in sampled.json()} == {"log_a", "log_b"}
    made_up = client.post("/api/evaluators/try", json={"code": GOOD, "log": {"output": "fine"}})
    assert made_up.json()[0]["value"] is True
    saved = [one["path"] for one in client.get("/api/evaluators").json()]
    assert saved == ["correction", "rating"]  # the Prompt's own


def test_trial_shows_what_went_wrong_for_each_log(client: TestClient) -> None:
    ingest(client, log_record("log_a", output="loop"), log_record("log_b"))
    code = (
        "def evaluator(log):\n    while log['output'] == 'loop':\n        pass\n    return log['x']"
    )
    tried = client.post("/api/evaluators/try", json={"code": code, "log_ids": ["log_a", "log_b"]})
    assert [one["error"] for one in tried.json()] == [
        {"type": "Timeout", "message": "not finished after 0.5 s", "line": None},
        {"type": "KeyError", "message": "'x'", "line": 4},
    ]


def test_trial_without_a_log_is_refused(client: TestClient) -> None:
    refused = client.post("/api/evaluators/try", json={"code": GOOD})
    assert refused.status_code == 422
    gone = client.post("/api/evaluators/try", json={"code": GOOD, "log_ids": ["log_none"]})
    assert gone.status_code == 404


def test_monitor_is_changed_and_detached(client: TestClient) -> None:
    save(client)
    body = {"evaluator": "checks/good", "on": "kind:tool cost>0.1", "sample_rate": 0.5}
    monitor = client.post("/api/monitors", json=body).json()
    assert (monitor["filter"], monitor["sample_rate"]) == ("kind:tool cost>0.1", 0.5)
    url = f"/api/monitors/{monitor['id']}"
    assert client.patch(url, json={"is_active": False}).json()["state"] == "inactive"
    assert client.patch(url, json={"is_active": True}).json()["state"] == "active"
    assert [one["id"] for one in client.get("/api/monitors").json()] == [monitor["id"]]
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert client.delete(url).status_code == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"evaluator": "checks/none"}, 404),
        ({"on": "latency>>1"}, 400),
        ({"on": ""}, 422),
        ({"sample_rate": 0}, 422),
        ({"scope": "session"}, 422),
        ({"version_id": "evv_none"}, 404),
    ],
)
def test_wrong_monitor_is_refused(client: TestClient, change: dict[str, Any], status: int) -> None:
    save(client)
    body = {"evaluator": "checks/good", "on": "support/reply", **change}
    assert client.post("/api/monitors", json=body).status_code == status
    assert client.get("/api/monitors").json() == []


def test_suspended_evaluator_says_why_and_is_resumed(client: TestClient) -> None:
    code = (
        "def evaluator(log):\n    if log['output'] == 'bad':\n        open('/x')\n    return True"
    )
    save(client, code=code)
    monitor = client.post(
        "/api/monitors", json={"evaluator": "checks/good", "on": "support/reply"}
    ).json()
    ingest(client, *(log_record(f"log_{n}", output="bad") for n in range(3)))
    url = f"/api/monitors/{monitor['id']}"
    suspended = wait_for(client, url, lambda found: found["state"] == "suspended")
    assert suspended["state"] == "suspended"
    assert suspended["reason"].startswith("3 times in a row: PermissionError")
    resumed = client.post(f"{url}/resume").json()
    assert (resumed["state"], resumed["reason"]) == ("active", None)
    ingest(client, log_record("log_fine"))
    counted = f"/api/evaluators/{monitor['evaluator_id']}"
    assert wait_for(client, counted, lambda found: found["judged_count"] == 4)["judged_count"] == 4
