"""Many flows at once keep their parents, their sessions and every one of their calls."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import Served, clean_environment

PROGRAM = Path(__file__).parent / "programs" / "concurrent_flows.py"
FLOWS, DEPTH = 50, 10


def read_all(client: httpx.Client) -> list[dict[str, Any]]:
    logs: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/logs", params=params).json()
        logs += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return logs


def test_fifty_flows_on_threads_and_tasks_are_all_stored_under_their_parents(
    collector: Served, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, collector.url, str(FLOWS)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=clean_environment(KIBITZ_SPOOL_DIR=str(tmp_path / "spool")),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *lines, flushed = [json.loads(line) for line in done.stdout.splitlines()]
    assert flushed == {"sent": FLOWS * DEPTH, "spooled": 0, "dropped": 0, "rejected": 0}
    chains: list[list[str]] = lines
    assert len(chains) == FLOWS
    assert {len(chain) for chain in chains} == {DEPTH}

    with collector.client() as client:
        logs = {log["id"]: log for log in read_all(client)}
        sessions = client.get("/api/sessions", params={"limit": 500}).json()["items"]
    expected = {
        log_id: parent
        for chain in chains
        for log_id, parent in zip(chain, [None, *chain], strict=False)
    }
    assert {log_id: log["trace_parent_id"] for log_id, log in logs.items()} == expected
    assert {log["status"] for log in logs.values()} == {"complete"}
    for chain in chains:
        root, *rest = (logs[log_id] for log_id in chain)
        assert root["kind"] == "flow"
        assert {log["kind"] for log in rest} == {"tool"}
        assert len({log["trace_id"] for log in (root, *rest)}) == 1
        assert len({(log["session_id"], log["user"]) for log in (root, *rest)}) == 1
    assert len({logs[chain[0]]["trace_id"] for chain in chains}) == FLOWS
    assert {logs[chain[0]]["session_id"] for chain in chains} == {
        f"chat-{number}" for number in range(FLOWS)
    }
    assert len(sessions) == FLOWS
