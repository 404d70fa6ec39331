"""`kibitz import humanloop-export`: what one collector answers, another answers after an import."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kibitz_collector.cli import importing
from tests.collector.cli.humanloop_export import export, pages
from tests.e2e.conftest import Served, clean_environment, serve

__all__ = ["serve"]

Json = dict[str, Any]
CHAT = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "template": [{"role": "user", "content": "Say {{word}}."}],
}
CODE = "def long_enough(log):\n    return len(log['output'] or '') > 3\n"
# What is said of a copy's own past, or of the host it is on.
_OWN = {"updated_at", "last_used_at", "directory_id", "url", "created_by", "trace_id"}


def said(response: httpx.Response) -> Json:
    assert response.is_success, response.text
    answer: Json = response.json()
    return answer


def fill(client: httpx.Client) -> None:
    """Make some of everything that an export holds."""

    def post(group: str, /, **body: Any) -> Json:
        return said(client.post(f"/v5/{group}", json=body))

    staging = said(client.post("/api/environments", json={"name": "staging"}))["id"]
    tool = post("tools", path="support/look", function={"name": "look", "description": "Looks."})
    first = post("prompts", path="support/reply", **CHAT, version_name="one", tags=["a"])
    second = post(
        "prompts", path="support/reply", **{**CHAT, "temperature": 1}, linked_tools=[tool["id"]]
    )
    place = f"/v5/prompts/{first['id']}/environments/{staging}"
    said(client.post(place, params={"version_id": second["version_id"]}))
    inline = {"name": "ask", "description": "Asks.", "parameters": {"type": "object"}}
    post(
        "agents",
        path="agent",
        model="gpt-4o",
        tools=[
            {"type": "file", "link": {"file_id": tool["id"]}},
            {"type": "inline", "json_schema": inline, "on_agent_call": "stop"},
        ],
    )
    inside = post(
        "evaluators",
        path="checks/long_enough",
        spec={
            "evaluator_type": "python",
            "arguments_type": "target_free",
            "return_type": "boolean",
            "code": CODE,
        },
    )
    monitors = {"activate": [{"evaluator_version_id": inside["version_id"]}]}
    said(client.post(f"/v5/prompts/{first['id']}/evaluators", json=monitors))
    outside = post(
        "evaluators",
        path="checks/size",
        spec={
            "evaluator_type": "external",
            "arguments_type": "target_free",
            "return_type": "number",
        },
    )
    dataset = post(
        "datasets",
        path="words",
        datapoints=[
            {"inputs": {"word": str(number)}, "target": {"said": number}} for number in range(7)
        ],
    )
    post("datasets", path="words", action="add", datapoints=[{"inputs": {"word": "more"}}])
    flow = post("flows", path="support/answer", attributes={"way": "short"})
    for number in range(12):
        outer = post(
            "flows/log",
            path="support/answer",
            flow={"attributes": {"way": "short"}},
            inputs={"q": f"question {number}"},
            log_status="incomplete",
            start_time="2025-03-01T10:00:00Z",
            metadata={"plan": "pro"},
        )
        inner = post(
            "prompts/log",
            path="support/reply",
            inputs={"word": "hi"},
            messages=[{"role": "user", "content": "Say hi."}],
            output_message={"role": "assistant", "content": "hi"},
            prompt_tokens=12,
            output_tokens=3,
            prompt_cost=0.001,
            provider_latency=0.5,
            trace_parent_id=outer["id"],
            created_at="2025-03-01T10:00:01Z",
            user="u1",
            source="app",
        )
        post(
            "tools/log",
            path="support/look",
            inputs={"id": 3},
            error="gone",
            trace_parent_id=inner["id"],
        )
        post("evaluators/log", path="rating", parent_id=inner["id"], judgment="good", user="u1")
        change = {"output": f"answer {number}", "log_status": "complete"}
        said(client.patch(f"/v5/flows/logs/{outer['id']}", json=change))
    post("prompts/log", path="support/reply", inputs={"word": "x"}, output="y", save=False)
    post("flows/log", path="support/answer", log_status="incomplete", inputs={"q": "open"})
    evaluation = post(
        "evaluations",
        file={"id": flow["id"]},
        name="nightly",
        evaluators=[{"version_id": outside["version_id"], "orchestrated": False}],
    )
    run = post(
        f"evaluations/{evaluation['id']}/runs",
        dataset={"version_id": dataset["version_id"]},
        version={"version_id": flow["version_id"]},
        orchestrated=False,
    )
    for point in pages(
        client, f"/v5/datasets/{dataset['id']}/datapoints", version_id=dataset["version_id"]
    ):
        log = post(
            "flows/log",
            id=flow["id"],
            run_id=run["id"],
            source_datapoint_id=point["id"],
            inputs=point["inputs"],
            output="done",
            log_status="complete",
        )
        post(
            "evaluators/log",
            id=outside["id"],
            parent_id=log["id"],
            judgment=len(point["inputs"]["word"]),
            run_id=run["id"],
        )


def copied(value: Any) -> Any:
    """Return an answer without what a copy says otherwise."""
    if isinstance(value, dict) and value.get("state") and "version_reference" in value:
        # What would be run here waits to be switched on.
        is_run_here = value["version"]["spec"]["evaluator_type"] == "python"
        value = value | ({"state": "?"} if is_run_here else {})
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items() if key not in _OWN}
    return [copied(item) for item in value] if isinstance(value, list) else value


def everything(client: httpx.Client) -> dict[str, Any]:
    """Return all answers about what was imported, by what they are about."""
    found: dict[str, Any] = {}
    for file in pages(client, "/v5/files"):
        group, file_id = f"{file['type']}s", file["id"]
        found[file_id] = file
        versions = client.get(f"/v5/{group}/{file_id}/versions").json()["records"]
        found |= {version["version_id"]: version for version in versions}
        environments = client.get(f"/v5/{group}/{file_id}/environments").json()
        found[f"{file_id} environments"] = {
            one["name"]: one["file"] and one["file"]["version_id"] for one in environments
        }
        if group == "datasets":
            for version in versions:
                query = {"version_id": version["version_id"]}
                points = list(pages(client, f"/v5/datasets/{file_id}/datapoints", **query))
                found[f"{version['version_id']} points"] = points
            continue
        for log in pages(client, "/v5/logs", file_id=file_id):
            found[log["id"]] = client.get(f"/v5/logs/{log['id']}").json()
        for one in pages(client, "/v5/evaluations", file_id=file_id):
            path = f"/v5/evaluations/{one['id']}"
            found[one["id"]] = one
            found[f"{one['id']} runs"] = client.get(f"{path}/runs").json()
            stats = client.get(f"{path}/stats").json()
            found[f"{one['id']} stats"] = stats["run_stats"]
            found[f"{one['id']} logs"] = list(pages(client, f"{path}/logs"))
    return {key: copied(value) for key, value in found.items()}


@pytest.fixture
def exported(serve: Callable[..., Served], tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """An export, and what the collector it is of answers."""
    served = serve(database=tmp_path / "old.db")
    with served.client() as client:
        fill(client)
        root = export(client, tmp_path / "exports" / "20250605-120000")
        return root, everything(client)


def run_import(root: Path, database: Path) -> int:
    return importing.main(
        ["humanloop-export", str(root), "--database-url", f"sqlite:///{database}"]
    )


def test_everything_arrives_unchanged_and_again_is_harmless(
    exported: tuple[Path, dict[str, Any]],
    serve: Callable[..., Served],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, before = exported
    database = tmp_path / "new.db"
    assert run_import(root, database) == 0
    first = capsys.readouterr()
    assert first.err == ""
    assert "1 evaluations" in first.out
    assert run_import(root, database) == 0
    again = capsys.readouterr().out
    assert all(line.split()[0] == "0" for line in again.splitlines() if "incompl" not in line)
    served = serve(database=database)
    with served.client() as client:
        after = everything(client)
        assert sorted(after) == sorted(before)
        for key, value in before.items():
            assert after[key] == value, key
        words = [file for file in pages(client, "/v5/files") if file["path"] == "words"]
        more = {"path": "words", "action": "add", "datapoints": [{"inputs": {"word": "new"}}]}
        added = said(client.post("/v5/datasets", json=more))
        assert (added["id"], added["datapoints_count"]) == (words[0]["id"], 9)
        reply = client.post("/v5/files/retrieve-by-path", json={"path": "support/reply"})
        states = {one["version"]["path"]: one["state"] for one in said(reply)["evaluators"]}
        assert states == {
            "rating": "active",
            "correction": "active",
            "checks/long_enough": "inactive",
        }
        same = said(client.post("/v5/prompts", json={"path": "support/reply", **CHAT}))
        assert same["version_name"] == "one"


def test_what_is_broken_is_told_and_the_rest_arrives(
    exported: tuple[Path, dict[str, Any]],
    serve: Callable[..., Served],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, before = exported
    by_path = {
        json.loads(path.read_text())["path"]: path.parent for path in root.glob("files/*/file.json")
    }
    reply, answer, words = (by_path[p] for p in ("support/reply", "support/answer", "words"))
    whole = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    (reply / "versions" / "nonsense").write_text("{")
    lines = (reply / "logs" / "1.jsonl").read_bytes().splitlines(keepends=True)
    (reply / "logs" / "1.jsonl").write_bytes(b'{"id": \n' + b"[]\n" + b"".join(lines))
    (words / "file.json").write_text("null")
    (answer / "deployments.json").write_text('{"a": 1}')
    broken = json.loads(lines[0])
    broken.update(id=5, evaluator_logs=[], trace_children=[])
    (reply / "logs" / "9.jsonl").write_text(json.dumps(broken) + '\n{"id": "log_homeless"}\n')
    database = tmp_path / "new.db"
    assert run_import(root, database) == 1
    told = capsys.readouterr().err
    for part in (
        "nonsense: not JSON",
        "1.jsonl:1: not JSON",
        "1.jsonl:2: not a JSON object",
        "file.json: not a JSON object",
        "deployments.json: not a JSON list of objects",
        "9.jsonl:1: id is missing",
        "9.jsonl:2: the Log belongs to no File",
    ):
        assert part in told
    for path in root.rglob("*"):
        if path.is_file() and path not in whole:
            path.unlink()
    for path, content in whole.items():
        path.write_bytes(content)
    assert run_import(root, database) == 0
    served = serve(database=database)
    with served.client() as client:
        after = everything(client)
    assert {key: after.get(key) for key in before} == before


def test_an_import_that_was_killed_goes_on(
    exported: tuple[Path, dict[str, Any]], serve: Callable[..., Served], tmp_path: Path
) -> None:
    root, before = exported
    database = tmp_path / "new.db"
    for stop_after in (3, 9, 17):
        program = (
            "import os, sys\n"
            "from kibitz.client import progress\n"
            "steps = []\n"
            "def step(self, label, count=1):\n"
            "    steps.append(label)\n"
            f"    if len(steps) > {stop_after}: os._exit(9)\n"
            "progress.Progress.step = step\n"
            "from kibitz_collector.cli.importing import main\n"
            "main(sys.argv[1:])\n"
        )
        command = ["humanloop-export", str(root), "--database-url", f"sqlite:///{database}"]
        done = subprocess.run(
            [sys.executable, "-c", program, *command], check=False, env=clean_environment()
        )
        assert done.returncode == 9
    assert run_import(root, database) == 0
    served = serve(database=database)
    with served.client() as client:
        assert everything(client) == before


def test_files_that_are_there_already_are_not_overwritten(
    exported: tuple[Path, dict[str, Any]],
    serve: Callable[..., Served],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, _before = exported
    served = serve(database=tmp_path / "new.db")
    with served.client() as client:
        mine = said(client.post("/v5/flows", json={"path": "support/answer", "attributes": {}}))
        # While a collector runs on it.
        assert run_import(root, tmp_path / "new.db") == 1
        assert f"'support/answer' is taken by {mine['id']}" in capsys.readouterr().err
        assert said(client.get(f"/v5/flows/{mine['id']}"))["attributes"] == {}
        found = client.post("/v5/files/retrieve-by-path", json={"path": "support/reply"})
        assert said(found)["version_name"] == "one"
        deadline = time.monotonic() + 20
        while not client.get("/api/logs", params={"q": "hi"}).json()["items"]:
            assert time.monotonic() < deadline, "what another process stores is not found by text"
            time.sleep(0.1)


def test_a_folder_that_is_no_export_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_import(tmp_path / "nowhere", tmp_path / "new.db") == 2
    assert "no folder of Humanloop's export tool" in capsys.readouterr().err
    for name in ("one", "two"):
        (tmp_path / "exports" / name / "files").mkdir(parents=True)
    assert run_import(tmp_path / "exports", tmp_path / "new.db") == 2
    assert "holds several exports; name one: one, two" in capsys.readouterr().err
    assert run_import(tmp_path / "exports" / "one", tmp_path / "new.db") == 0
