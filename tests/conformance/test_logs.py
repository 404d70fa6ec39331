"""Logs, traces and decorators through the unmodified Humanloop SDK, every answer checked."""

from pathlib import Path
from typing import Any

import pytest

from kibitz_collector.demo.model_server import ModelServer
from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import Rig, turns
from tests.conformance.runner import Runner

PROGRAM = Path(__file__).parent / "programs" / "logs.py"
SCENARIOS = {
    "12": "a Prompt's Log with all its fields",
    "17": "the query's environment and the body's",
    "20": "null clears",
    "21": "a trace by hand",
    "26": "nested decorators",
    "29": "outcomes of flows",
    "31": "500 calls from 8 threads",
    "inside": "calls by hand in decorated flows",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize(("rig", "database", "scenario"), turns(SCENARIOS, few=("12", "26", "31")))
def test_logs_through_the_sdk(
    rig: Rig, database: str, scenario: str, hosted: Hosted, runner: Runner
) -> None:
    with hosted.client() as client:
        assert client.post("/api/environments", json={"name": "staging"}).is_success
    with ModelServer() as model, CheckingProxy(hosted.url) as proxy:
        done = runner.run(rig, PROGRAM, scenario, proxy.url, model.base_url)
    assert done.returncode == 0, done.stderr
    assert proxy.exchanges
    assert proxy.problems == []
    if scenario == "31":
        check_many(hosted)


def check_many(collector: Hosted) -> None:
    """All are there when the process has ended, each tool below its own flow."""
    flows, tools = (list_logs(collector, f"kind:{kind}") for kind in ("flow", "tool"))
    assert (len(flows), len(tools)) == (250, 250)
    assert {log["status"] for log in flows + tools} == {"complete"}
    inputs = {log["id"]: log["preview_input"] for log in flows}
    assert {log["trace_parent_id"] for log in tools} == inputs.keys()
    assert all(inputs[log["trace_parent_id"]] == log["preview_input"] for log in tools)


def list_logs(collector: Hosted, query: str) -> list[dict[str, Any]]:
    with collector.client() as client:
        answer = client.get("/api/logs", params={"q": query, "limit": 500})
    found: list[dict[str, Any]] = answer.json()["items"]
    return found
