"""How much a File was used, and how its Versions were judged, as its answers tell."""

from typing import Any

from fastapi.testclient import TestClient

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from tests.conformance.contract import contract

KERNEL = {"model": "m"}


def test_logs_are_counted_by_version_and_by_file(client: TestClient) -> None:
    made = []
    for number, model in enumerate("aab"):
        body = {"path": "p", "prompt": {"model": model}, "output": str(number)}
        made.append(client.post("prompts/log", json=body).json())
    (file,) = client.get("prompts").json()["records"]
    assert (file["version_logs_count"], file["total_logs_count"]) == (2, 3)
    versions = client.get(f"prompts/{file['id']}/versions").json()["records"]
    assert [one["version_logs_count"] for one in versions] == [1, 2]
    last = client.get(f"logs/{made[2]['id']}").json()
    assert file["last_used_at"] == last["start_time"]


def test_versions_tell_the_mean_of_their_judgments_when_asked(client: TestClient) -> None:
    body = {"path": "p", "prompt": KERNEL, "output": "x"}
    log, other = (client.post("prompts/log", json=body).json() for _ in range(2))
    spec = {"arguments_type": "target_free", "return_type": "number", "evaluator_type": "external"}
    for judged, value in ((log, 9), (log, 1), (other, 4)):  # the second takes the first's place
        judgment = {"path": "e", "parent_id": judged["id"], "judgment": value, "spec": spec}
        assert client.post("evaluators/log", json=judgment).status_code == 200
    url = f"prompts/{log['prompt_id']}/versions"
    (plain,) = client.get(url).json()["records"]
    assert plain["evaluator_aggregates"] is None
    (version,) = client.get(url, params={"evaluator_aggregates": True}).json()["records"]
    assert [one["value"] for one in version["evaluator_aggregates"]] == [2.5]


def test_our_openapi_has_every_operation_on_files(tmp_path: Any) -> None:
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path / 'kibitz.db'}"))
    ours: Any = app.openapi()
    app.state.store.close()
    groups = ("prompts", "tools", "flows", "agents", "evaluators", "datasets", "directories")
    elsewhere = ("/log", "/call", "/continue", "variables")
    for path, operations in contract()["paths"].items():
        if path.split("/")[1] not in (*groups, "files") or any(e in path for e in elsewhere):
            continue
        for method, operation in operations.items():
            found = ours["paths"][f"/v5{path}"][method]
            assert found["operationId"] == operation["operationId"]
            assert found["responses"].keys() >= operation["responses"].keys() - {"422"}
            parameters = {one["name"] for one in found.get("parameters", [])}
            assert parameters >= {one["name"] for one in operation.get("parameters", [])}
    for kind in ("Prompt", "Tool", "Flow", "Agent", "Evaluator", "Dataset", "Directory"):
        name = f"{kind}Response"
        wanted = contract()["components"]["schemas"][name]
        assert (
            ours["components"]["schemas"][name]["properties"].keys() >= wanted["properties"].keys()
        )
        assert set(ours["components"]["schemas"][name]["required"]) >= set(wanted["required"])
