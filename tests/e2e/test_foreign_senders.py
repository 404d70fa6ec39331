"""Apps that know nothing of kibitz: real instrumentors, and Humanloop's decorators, as they are."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kibitz_collector.demo.model_server import ModelServer
from tests.e2e.conftest import Served, clean_environment
from tests.e2e.environments import python_with

PROGRAMS = Path(__file__).parent / "programs"
EXPORTER = ("opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2")
INSTRUMENTORS = {
    "genai": "opentelemetry-instrumentation-genai-openai==1.3b0",
    "openinference": "openinference-instrumentation-openai==0.1.66",
    "openllmetry": "opentelemetry-instrumentation-openai==0.62.4",
}
OPENAI = "openai==3.52.0"
ORDER_QUESTION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is order A123?"},
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def wait_for_logs(collector: Served, query: str, count: int) -> list[dict[str, Any]]:
    """Return whole Logs that match, oldest first, once there are enough."""
    deadline = time.monotonic() + 30
    with collector.client() as client:
        while True:
            page = client.get("/api/logs", params={"q": query, "include_hidden": "true"}).json()
            if len(page["items"]) >= count:
                found = [client.get(f"/api/logs/{item['id']}").json() for item in page["items"]]
                return sorted(found, key=lambda log: int(log["start_ns"]))
            assert time.monotonic() < deadline, f"only {page}"
            time.sleep(0.1)


def run_instrumented(which: str, collector: Served, model: ModelServer, **environment: str) -> None:
    python = python_with(INSTRUMENTORS[which], OPENAI, *EXPORTER)
    done = subprocess.run(
        [python, PROGRAMS / "instrumented.py", which, model.base_url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=clean_environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_SERVICE_NAME="shop",
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY",
            TRACELOOP_TRACE_CONTENT="true",
        )
        | environment,
    )
    assert done.returncode == 0, done.stderr
    assert "Failed to export" not in done.stderr


def assert_whole(calls: list[dict[str, Any]]) -> None:
    """A call with a tool call and a streamed call, each with everything a reader wants to see."""
    asked, streamed = calls
    for call in calls:
        assert call["kind"] == "prompt"
        assert call["status"] == "complete"
        assert call["provider"] == "openai"
        assert call["model"] == "gpt-4o-mini"
        assert call["model_served"].startswith("gpt-4o-mini")
        assert (call["session_id"], call["user"], call["service"]) == ("chat-42", "u1", "shop")
        assert call["tokens"]["input_uncached"] > 0
        assert call["tokens"]["output"] > 0
        assert call["cost_usd"] > 0
        assert call["response_id"]
        assert call["trace_parent_id"] is not None
        assert call["file_path"].startswith("shop/")
    assert asked["body"]["messages"] == ORDER_QUESTION
    assert asked["body"]["parameters"]["temperature"] == 0.2
    assert [tool["name"] for tool in asked["body"]["tools"]] == ["lookup_order"]
    (tool_call,) = asked["body"]["output_message"]["tool_calls"]
    assert tool_call["name"] == "lookup_order"
    assert json.loads(tool_call["arguments"]) == {"order_id": "A123"}
    assert asked["finish_reason"] == "tool_call"
    assert streamed["body"]["messages"][1]["content"] == "When do you open?"
    assert "around the clock" in streamed["body"]["output"]
    assert streamed["finish_reason"] == "stop"


@pytest.mark.parametrize("which", INSTRUMENTORS)
def test_foreign_instrumentor_gives_whole_logs(
    which: str, collector: Served, model: ModelServer
) -> None:
    run_instrumented(which, collector, model)
    assert_whole(wait_for_logs(collector, "kind:prompt", 2))


def test_content_that_comes_as_log_records_joins_its_span(
    collector: Served, model: ModelServer
) -> None:
    run_instrumented(
        "genai",
        collector,
        model,
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="EVENT_ONLY",
        OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT="true",
    )
    assert_whole(wait_for_logs(collector, "kind:prompt", 2))


@pytest.fixture
def humanloop_app() -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    python = python_with("humanloop==0.8.38", "requests", OPENAI)
    started: list[subprocess.Popen[str]] = []

    def start(collector: str, base_url: str) -> subprocess.Popen[str]:
        app = subprocess.Popen(
            [python, PROGRAMS / "humanloop_decorators.py", collector, base_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        started.append(app)
        return app

    yield start
    for app in started:
        app.kill()
        app.communicate()


def test_humanloop_decorators_give_nested_logs(
    collector: Served,
    model: ModelServer,
    humanloop_app: Callable[[str, str], subprocess.Popen[str]],
) -> None:
    # A trailing slash makes the SDK ask for //import/…; that must work as well.
    app = humanloop_app(f"{collector.url}/v5/", model.base_url)
    assert app.stdin is not None
    assert app.stdout is not None
    said = json.loads(app.stdout.readline())["said"]
    logs = wait_for_logs(collector, "-status:incomplete", 5)
    by_path = {log["file_path"]: log for log in logs}
    assert len(logs) == len(by_path) == 5

    answer, inner = by_path["support/answer"], by_path["support/inner"]
    tool, reply = by_path["support/lookup_order"], by_path["support/reply"]
    assert [log["kind"] for log in (answer, inner, tool, reply)] == [
        "flow",
        "flow",
        "tool",
        "prompt",
    ]
    assert answer["trace_parent_id"] is None
    assert inner["trace_parent_id"] == answer["id"]
    assert tool["trace_parent_id"] == reply["trace_parent_id"] == inner["id"]
    assert len({log["trace_id"] for log in (answer, inner, tool, reply)}) == 1
    assert answer["body"]["inputs"] == {"question": "Where is my order?"}
    assert answer["body"]["output"] == said
    assert tool["body"]["inputs"] == {"order_id": "A123", "attempts": 1}
    assert tool["body"]["output"] == "A123 was shipped"
    assert reply["model"] == "gpt-4o-mini"
    assert reply["tokens"]["output"] > 0
    assert reply["body"]["output"] == said
    assert reply["body"]["messages"][0] == {"role": "system", "content": "Be brief."}
    broken = by_path["support/broken"]
    assert (broken["status"], broken["body"]["error"]["message"]) == ("error", "kaput")
    assert all(log["version_id"] for log in logs)

    app.stdin.write("\n")
    app.stdin.flush()
    assert json.loads(app.stdout.readline()) == {"alive": True}
    assert app.wait(20) == 0


def test_humanloop_exporter_survives_spans_nobody_can_read(collector: Served) -> None:
    span = {"traceId": "nonsense", "attributes": "none"}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span, span]}]}]}
    with httpx.Client(base_url=collector.url) as client:
        response = client.post("/v5/import/otel/v1/traces", content=json.dumps(body))
    assert response.status_code == 200
    assert len(response.json()["records"]) == 2
