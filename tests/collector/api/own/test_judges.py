"""Evaluators that ask a model, over a whole collector: made, tried, attached, seen on the pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from kibitz_collector.app import create_app
from tests.collector.api.own.test_evaluation import ingest, wait_for
from tests.collector.evaluate.judges import (
    MODEL,
    always,
    content,
    error,
    last_message,
    settings_for,
)
from tests.collector.evaluate.samples import log_record
from tests.integrations.wire.server import WireServer


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(always("It says <b>please</b>.\n\ntrue"))
    yield server
    server.close()


@pytest.fixture
def client(tmp_path: Path, model: WireServer) -> Iterator[TestClient]:
    prices = tmp_path / "prices.json"
    prices.write_text(f'{{"{MODEL}": {{"input": 1, "output": 2}}}}')
    settings = settings_for(
        model,
        database_url=f"sqlite:///{tmp_path / 'kibitz.db'}",
        alert=False,
        prices_file=str(prices),
    )
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


def save(client: TestClient, path: str = "judges/polite", **more: Any) -> Any:
    saved = client.post("/api/evaluators", json={"path": path, **content(**more)})
    assert saved.status_code == 201, saved.text
    return saved.json()


def test_judge_is_saved_attached_and_judges_what_arrives(client: TestClient) -> None:
    saved = save(client)
    assert (saved["evaluator_type"], saved["prompt"]["model"]) == ("llm", MODEL)
    attached = client.post("/api/monitors", json={"evaluator": saved["id"], "on": "support/reply"})
    assert attached.status_code == 201
    ingest(client, log_record("log_a", output="Yes, please."))
    url = f"/api/evaluators/{saved['id']}"
    judged = wait_for(client, url, lambda found: found["judged_count"] == 1)
    assert (judged["judged_count"], judged["error_count"]) == (1, 0)
    log = client.get("/api/logs/log_a").json()
    (judgment,) = log["judgments"]
    assert judgment["explanation"].startswith("It says")
    judge = client.get(f"/api/logs/{judgment['log_id']}").json()
    assert judge["cost_usd"] == pytest.approx(3.8e-05)
    assert judge["model"] == MODEL


def test_log_page_and_monitors_page_show_what_the_judge_said(client: TestClient) -> None:
    saved = save(client)
    client.post("/api/monitors", json={"evaluator": saved["id"], "on": "support/reply"})
    ingest(client, log_record("log_a"))
    wait_for(client, f"/api/evaluators/{saved['id']}", lambda found: found["judged_count"] == 1)
    page = client.get("/logs/log_a").text
    assert "judges/polite" in page
    assert "It says &lt;b&gt;please&lt;/b&gt;." in page
    (judgment,) = client.get("/api/logs/log_a").json()["judgments"]
    own = client.get(f"/logs/{judgment['log_id']}").text
    for part in ("judge-1", "openai", "log.inputs.question", "$0.000038", 'href="/logs/log_a"'):
        assert part in own, part
    monitors = client.get("/monitors").text
    assert "judges/polite" in monitors
    assert "llm · boolean" in monitors
    assert "Is it polite?" in monitors  # its prompt


def test_failed_judgment_says_why_on_the_pages(client: TestClient, model: WireServer) -> None:
    model.script = always("I would rather not.")
    saved = save(client)
    client.post("/api/monitors", json={"evaluator": saved["id"], "on": "support/reply"})
    ingest(client, log_record("log_a"))
    wait_for(client, f"/api/evaluators/{saved['id']}", lambda found: found["error_count"] == 1)
    assert "last line is not true or false" in client.get("/logs/log_a").text
    assert "last line is not true or false" in client.get("/monitors").text


def test_judge_is_tried_without_storing_anything(client: TestClient, model: WireServer) -> None:
    ingest(client, log_record("log_a"), log_record("log_b", output="bad"))
    before = len(client.get("/api/logs", params={"view": "all"}).json()["items"])
    tried = client.post("/api/evaluators/try", json={**content(), "log_ids": ["log_a", "log_b"]})
    assert tried.status_code == 200, tried.text
    first, second = tried.json()
    assert (first["log_id"], first["value"], first["error"]) == ("log_a", True, None)
    assert first["output"] == "It says <b>please</b>.\n\ntrue"
    assert first["inputs"] == {"log.inputs.question": "?", "log.output": "fine"}
    assert first["messages"][0]["content"].startswith("Question: ?\nAnswer: fine")
    assert (first["model"], first["cost_usd"]) == (MODEL, pytest.approx(3.8e-05))
    assert first["tokens"]["output"] == 6
    assert second["log_id"] == "log_b"
    assert len(client.get("/api/logs", params={"view": "all"}).json()["items"]) == before
    assert [e["path"] for e in client.get("/api/evaluators").json()] == ["correction", "rating"]
    model.script = always("maybe")
    (unsure,) = client.post("/api/evaluators/try", json={**content(), "log": {"inputs": {}}}).json()
    assert unsure["error"]["type"] == "BadPrompt"
    made_up = {"inputs": {"question": "x"}, "output": "y"}
    (unsure,) = client.post("/api/evaluators/try", json={**content(), "log": made_up}).json()
    assert (unsure["error"]["type"], unsure["output"]) == ("Unparsable", "maybe")


def test_saved_judge_is_tried_with_a_testcase(client: TestClient, model: WireServer) -> None:
    save(client, template="{{testcase.target.answer}} or {{log.output}}?")
    body = {
        "evaluator": "judges/polite",
        "log": {"output": "nine"},
        "testcase": {"target": {"answer": "ten"}},
    }
    (tried,) = client.post("/api/evaluators/try", json=body).json()
    assert tried["value"] is True
    assert [last_message(request) for request in model.requests] == ["ten or nine?"]
    missing = client.post("/api/evaluators/try", json={**body, "evaluator": "judges/none"})
    assert missing.status_code == 404


def test_code_that_wants_a_testcase_gets_it(client: TestClient) -> None:
    code = "def check(log, testcase):\n    return log['output'] == testcase['target']['a']\n"
    body = {"code": code, "log": {"output": "b"}, "testcase": {"target": {"a": "b"}}}
    refused = client.post("/api/evaluators/try", json=body)
    assert refused.status_code == 422
    assert "is called with one argument" in refused.json()["error"]["message"]
    body["arguments_type"] = "target_required"
    assert client.post("/api/evaluators/try", json=body).json()[0]["value"] is True
    del body["testcase"]
    (without,) = client.post("/api/evaluators/try", json=body).json()
    assert without["error"] == {
        "type": "TypeError",
        "message": "'NoneType' object is not subscriptable",
        "line": 2,
    }


def test_number_of_code_outside_its_limits_is_an_error(client: TestClient) -> None:
    body = {
        "code": "def check(log):\n    return log['n']\n",
        "return_type": "number",
        "number_limits": {"min": 0, "max": 1, "step": 0.1},
    }
    found = {}
    for number in (0.3, 1.5, -1, 0.25):
        (tried,) = client.post("/api/evaluators/try", json={**body, "log": {"n": number}}).json()
        found[number] = tried["error"] and tried["error"]["message"]
    assert found == {
        0.3: None,
        1.5: "1.5 is over the greatest number allowed, 1",
        -1: "-1 is under the least number allowed, 0",
        0.25: "0.25 is not on the steps of 0.1 from 0",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": None}, "needs a `prompt` that names its `model`"),
        ({"prompt": {"model": "m"}}, "needs a `template`"),
        ({"prompt": {"template": "x"}}, "prompt.model: Field required"),
        ({"prompt": {"model": "m", "template": [1]}}, "prompt.template"),
        ({"prompt": {"model": "m", "template": "x", "response_format": "json"}}, "response_format"),
        ({"return_type": "select"}, "needs `options`"),
        ({"number_limits": {"min": 2, "max": 1}}, "min 2 is over max 1"),
        ({"evaluator_type": "magic"}, "evaluator_type"),
    ],
)
def test_judge_that_makes_no_sense_is_refused(
    client: TestClient, change: dict[str, Any], words: str
) -> None:
    refused = client.post("/api/evaluators", json={"path": "j", **content(), **change})
    assert refused.status_code == 422
    assert words in refused.json()["error"]["message"]


def test_saved_key_of_the_workspace_is_used(client: TestClient, model: WireServer) -> None:
    made = client.put(
        "/api/providers/mine", json={"api_key": "sk-own", "base_url": f"{model.url}/v1"}
    )
    assert made.is_success, made.text
    body = {
        **content(prompt={"provider": "mine"}),
        "log": {"output": "x", "inputs": {"question": 1}},
    }
    (tried,) = client.post("/api/evaluators/try", json=body).json()
    assert tried["value"] is True
    assert model.requests[0].headers["authorization"] == "Bearer sk-own"
    assert "sk-own" not in str(tried)


def test_refused_key_is_told_at_once_when_trying(client: TestClient, model: WireServer) -> None:
    model.script = lambda _request: error(401, "Incorrect API key")
    body = {**content(), "log": {"output": "x", "inputs": {"question": 1}}}
    (tried,) = client.post("/api/evaluators/try", json=body).json()
    assert tried["error"]["type"] == "authentication_error"
    assert len(model.requests) == 1
