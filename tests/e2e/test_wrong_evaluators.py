"""Evaluators that are wrong: refused, or recorded with line and reason, by every way in."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import Served, clean_environment
from tests.e2e.otlp import flow_span, send_spans

PROGRAM = Path(__file__).parent / "programs" / "wrong_evaluator.py"
BROKEN = "def evaluator(log):\n    return True\n  return False\n"


def judgments(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """Return the whole judgments of the one flow, by their evaluator."""
    (log,) = client.get("/api/logs", params={"q": "kind:flow"}).json()["items"]
    return {
        judgment["evaluator_path"]: client.get(f"/api/logs/{judgment['log_id']}").json()
        for judgment in log["judgments"]
    }


def wait_for_judgments(client: httpx.Client, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(judgments(client)) < count:
        assert time.monotonic() < deadline, client.get("/api/monitors/status").json()
        time.sleep(0.1)


def test_wrong_evaluators_of_the_sdk_are_recorded_with_line_and_reason(
    collector: Served, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, collector.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(KIBITZ_SPOOL_DIR=str(tmp_path / "spool")),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "HELLO\n", "")
    with collector.client() as client:
        wait_for_judgments(client, 2)
        errors = {path: log["body"]["error"] for path, log in judgments(client).items()}
        page = client.get("/monitors", headers={"Accept": "text/html"}).text
    assert errors["checks/wrong_type"]["type"] == "WrongType"
    assert "boolean wants True, False or None, got str" in errors["checks/wrong_type"]["message"]
    assert errors["checks/failing"]["type"] == "ValueError"
    assert "HELLO" in errors["checks/failing"]["message"]
    assert "(line 3)" in errors["checks/failing"]["message"]
    assert "WrongType" in page
    assert "ValueError" in page


def test_source_that_does_not_compile_is_refused_by_api_form_and_registration(
    collector: Served,
) -> None:
    with collector.client() as client:
        refused = client.post("/api/evaluators", json={"path": "checks/api", "code": BROKEN})
        assert refused.status_code == 422
        assert "line 3: IndentationError" in refused.json()["error"]["message"]

        form = {"path": "checks/form", "code": BROKEN, "return_type": "boolean"}
        page = client.post("/monitors", data=form, headers={"Accept": "text/html"})
        assert page.status_code == 422
        assert "line 3: IndentationError" in page.text
        assert "  return False" in page.text  # what was typed is still there

        wrong_type = {"path": "checks/type", "code": "def e(log): 1", "return_type": "colour"}
        refused = client.post("/api/evaluators", json=wrong_type)
        assert refused.status_code == 422
        assert "return_type" in refused.json()["error"]["message"]

        assert client.get("/api/evaluators").json() == []


def test_registered_source_that_does_not_compile_is_recorded_with_its_line(
    collector: Served,
) -> None:
    with collector.client() as client:
        register(client, "checks/sdk", BROKEN)
        assert send_spans(client, [flow_span("shop/a", "hello")]) == {}
        wait_for_judgments(client, 1)
        error = judgments(client)["checks/sdk"]["body"]["error"]
    assert error["type"] == "IndentationError"
    assert "(line 3)" in error["message"]


def register(client: httpx.Client, path: str, code: str) -> None:
    """Register as an SDK does that did not look at the source."""
    content = {"evaluator_type": "code", "code": code, "return_type": "boolean", "on": "shop/a"}
    attributes = {
        "kibitz.file.path": path,
        "kibitz.file.type": "evaluator",
        "kibitz.file.content": json.dumps(content),
    }
    record = {
        "timeUnixNano": str(time.time_ns()),
        "eventName": "kibitz.file.register",
        "attributes": [
            {"key": key, "value": {"stringValue": value}} for key, value in attributes.items()
        ],
    }
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    answer = client.post("/v1/logs", json=body)
    assert (answer.status_code, answer.json()) == (200, {})
