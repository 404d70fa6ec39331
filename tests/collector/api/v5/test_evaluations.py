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


def test_the_page_lists_all_evaluations_the_newest_first(client: TestClient, flow: Any) -> None:
    first = evaluation(client, flow, name="first")
    second = evaluation(client, flow, name="<b>closer</b>")
    shown = client.get(first["url"].removesuffix(f"/{first['id']}")).text
    assert 0 < shown.index(second["id"]) < shown.index(first["id"])
    assert "<b>closer" not in shown


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


def test_judgments_of_another_version_of_an_outside_evaluator_count(
    client: TestClient, flow: Any, dataset: Any
) -> None:
    evaluator(client)
    made = evaluation(client, flow, "exact")
    run = start(client, made, flow, dataset)
    changed = evaluator(client, attributes={"code": "another"})
    assert changed["version_id"] != made["evaluators"][0]["version"]["version_id"]
    for point in dataset["datapoints"]:
        judge(client, changed, log(client, flow, run, point), judgment=True)
    found = stats(client, made)
    assert found["status"] == "completed"
    (one,) = found["run_stats"][0]["evaluator_stats"]
    assert one["evaluator_version_id"] == made["evaluators"][0]["version"]["version_id"]
    assert one["num_true"] == 3


def test_a_taken_name_is_found_in_the_list(client: TestClient, flow: Any) -> None:
    made = evaluation(client, flow)
    refused = client.post("evaluations", json={**named(flow), "evaluators": []})
    assert refused.status_code == 409
    assert "Eval A" in refused.json()["detail"]
    for number in range(3):
        post(client, "evaluations", 201, **{**named(flow), "name": str(number)}, evaluators=[])
    pages = [
        get(client, "evaluations", file_id=flow["id"], page=page, size=3) for page in (1, 2, 3)
    ]
    assert [len(page["records"]) for page in pages] == [3, 1, 0]
    assert [page["total"] for page in pages] == [4, 4, 4]
    assert pages[1]["records"][0]["id"] == made["id"]
    nameless = [post(client, "evaluations", 201, evaluators=[])["id"] for _ in range(2)]
    assert len(set(nameless)) == 2


def named(flow: Any) -> dict[str, Any]:
    return {"file": {"path": flow["path"]}, "name": "Eval A"}


def test_evaluators_are_meant_by_version_id_path_and_environment(
    client: TestClient, flow: Any
) -> None:
    one, two = evaluator(client), evaluator(client, return_type="number")
    environment = get(client, f"evaluators/{one['id']}/environments")[0]
    deployed = f"evaluators/{one['id']}/environments/{environment['id']}"
    client.post(deployed, params={"version_id": two["version_id"]})
    given = [{"version_id": one["version_id"]}, {"id": one["id"]}]
    made = post(client, "evaluations", 201, evaluators=given)
    used = [e["version"]["version_id"] for e in made["evaluators"]]
    assert used == [one["version_id"], two["version_id"]]
    deployed_one = {"path": "exact", "environment": environment["name"]}
    more = post(client, f"evaluations/{made['id']}/evaluators", evaluators=[deployed_one])
    assert [e["version"]["version_id"] for e in more["evaluators"]] == used
    deployed_one = {"path": "exact", "environment": "nowhere"}
    post(client, f"evaluations/{made['id']}/evaluators", 404, evaluators=[deployed_one])


def test_what_is_judged_here_is_said(client: TestClient, flow: Any) -> None:
    source = {"evaluator_type": "python", "code": "def f(log):\n    return True\n"}
    evaluator(client, "here", **source)
    evaluator(client, "outside")
    made = post(
        client,
        "evaluations",
        201,
        evaluators=[
            {"path": "here"},
            {"path": "outside", "orchestrated": True},
        ],
    )
    assert [e["orchestrated"] for e in made["evaluators"]] == [True, False]
    made = post(client, "evaluations", 201, evaluators=[{"path": "here", "orchestrated": False}])
    assert [e["orchestrated"] for e in made["evaluators"]] == [False]


def test_what_is_asked_for_is_generated_here(client: TestClient, dataset: Any) -> None:
    made = post(client, "evaluations", 201, evaluators=[])
    prompt = post(client, "prompts", path="p", model="m", provider="mock")
    tool = post(client, "tools", path="t", function={"name": "f", "description": "."})
    run = start(client, made, prompt, dataset, orchestrated=None)
    assert (run["orchestrated"], run["status"]) == (True, "running")
    assert start(client, made, prompt, dataset, orchestrated=False)["orchestrated"] is False
    assert start(client, made, tool, dataset, orchestrated=None)["orchestrated"] is False
    where = f"evaluations/{made['id']}/runs"
    version, data = {"version_id": tool["version_id"]}, {"path": "points"}
    answer = post(client, where, 422, version=version, dataset=data, orchestrated=True)
    assert "no source_code" in answer["detail"][0]["msg"]
    answer = post(client, where, 422, version={"path": "p"}, orchestrated=True)
    assert "both" in answer["detail"][0]["msg"]
    post(client, where, 422, version={"path": "points"})
    post(client, where, 422, dataset={"path": "p"})
    post(client, where, 422, version={"path": "  "})


def test_the_control_run_is_one(client: TestClient, flow: Any, dataset: Any) -> None:
    made = evaluation(client, flow)
    runs = [start(client, made, flow, dataset)["id"] for _ in range(2)]
    where = f"evaluations/{made['id']}/runs"
    for run in runs:
        assert client.patch(f"{where}/{run}", json={"control": True}).json()["control"] is True
        listed = get(client, where)["runs"]
        assert [one["id"] for one in listed] == runs[::-1]
        assert [one["id"] for one in listed if one["control"]] == [run]
        assert "(control)" in stats(client, made)["report"]
    assert client.patch(f"{where}/{runs[1]}", json={"control": False}).json()["control"] is False
    assert client.patch(f"{where}/{runs[1]}").status_code == 200


def test_only_who_waits_for_others_is_ended_by_hand(
    client: TestClient, flow: Any, dataset: Any
) -> None:
    made = evaluation(client, flow)
    run = start(client, made, flow, dataset)
    where = f"evaluations/{made['id']}/runs/{run['id']}"

    def become(status: str) -> int:
        return client.patch(where, json={"status": status}).status_code

    assert [become(s) for s in ("running", "completed", "pending", "cancelled")] == [
        200,
        200,
        409,
        409,
    ]
    assert [become(s) for s in ("running", "cancelled", "running", "completed")] == [
        200,
        200,
        409,
        409,
    ]
    assert become("cancelled") == 200  # it is so already
    assert become("unheard of") == 422
    prompt = post(client, "prompts", path="p", model="m", provider="mock")
    evaluator(client, "here", evaluator_type="python", code="def f(log):\n    return True\n")
    here = post(client, "evaluations", 201, evaluators=[{"path": "here"}])
    run = start(client, here, prompt, dataset, orchestrated=True)
    where = f"evaluations/{here['id']}/runs/{run['id']}"
    assert become("completed") == 409
    assert become("cancelled") == 200


def test_logs_come_in_pages_with_their_datapoints(
    client: TestClient, flow: Any, dataset: Any
) -> None:
    used = evaluator(client)
    made = evaluation(client, flow, "exact")
    runs = [start(client, made, flow, dataset) for _ in range(2)]
    for run in runs:
        for point in dataset["datapoints"]:
            judge(client, used, log(client, flow, run, point), judgment=True)
    where = f"evaluations/{made['id']}/logs"
    sizes, seen = [], []
    for page in (1, 2, 3):
        found = get(client, where, page=page, size=4)
        sizes.append(len(found["records"]))
        seen += found["records"]
        assert found["total"] == 6
    assert sizes == [4, 2, 0]
    assert [one["run_id"] for one in seen] == [runs[1]["id"]] * 3 + [runs[0]["id"]] * 3
    for one in seen:
        assert one["datapoint"]["id"] == one["log"]["source_datapoint_id"]
        assert one["log"]["batches"] == [one["run_id"]]
        assert [judged["judgment"] for judged in one["evaluator_logs"]] == [True]
    assert get(client, where, run_id=runs[0]["id"])["total"] == 3
    assert get(client, where, run_id="rn_none")["total"] == 0
    assert get(client, where, size=0)["records"] == []


def test_a_node_client_gets_no_progress(client: TestClient, flow: Any, dataset: Any) -> None:
    made = evaluation(client, flow)
    start(client, made, flow, dataset)
    where = f"evaluations/{made['id']}/stats"
    assert client.get(where).json()["progress"] != ""
    node = client.get(where, headers={"X-Fern-Language": "JavaScript"}).json()
    assert (node["progress"], node["report"].count("Run 1")) == ("", 1)


def test_an_evaluation_outlives_what_it_is_made_of(
    client: TestClient, flow: Any, dataset: Any
) -> None:
    used = evaluator(client)
    made = evaluation(client, flow, "exact")
    run = start(client, made, flow, dataset)
    log(client, flow, run, dataset["datapoints"][0])
    for path in (f"evaluators/{used['id']}", f"datasets/{dataset['id']}", f"flows/{flow['id']}"):
        assert client.delete(path).status_code == 204
    assert get(client, f"evaluations/{made['id']}")["evaluators"] == []
    (shown,) = get(client, f"evaluations/{made['id']}/runs")["runs"]
    assert (shown["version"], shown["dataset"]) == (None, None)
    assert stats(client, made)["run_stats"][0]["num_logs"] == 1
    assert get(client, f"evaluations/{made['id']}/logs")["total"] == 1


def test_the_page_of_an_evaluation_opens(client: TestClient, flow: Any, dataset: Any) -> None:
    used = evaluator(client, "<b>exact")
    made = evaluation(client, flow, "<b>exact", name="<script>")
    empty = client.get(made["url"])
    assert (empty.status_code, "No runs yet" in empty.text) == (200, True)
    run = start(client, made, flow, dataset)
    judge(client, used, log(client, flow, run, dataset["datapoints"][0]), judgment=True)
    page = client.get(made["url"], params={"run": run["id"], "page": "x"}).text
    assert "&lt;script&gt;" in page
    assert "<script>" not in page.replace("<script type", "")
    assert "100.0% true" in page
    assert run["id"] in page
    nowhere = client.get("http://localhost/evaluations/none", headers={"accept": "text/html"})
    assert nowhere.status_code == 404


def test_a_log_names_all_its_runs(client: TestClient, flow: Any, dataset: Any) -> None:
    made = evaluation(client, flow)
    first, second = (start(client, made, flow, dataset) for _ in range(2))
    log_id = log(client, flow, first, dataset["datapoints"][0])
    where = f"evaluations/{made['id']}/runs/{second['id']}/logs"
    assert post(client, where, log_ids=[log_id])["status"] == "running"
    assert get(client, f"logs/{log_id}")["batches"] == [first["id"], second["id"]]
    changed = client.patch(f"flows/logs/{log_id}", json={"output": "another"})
    assert changed.json()["batches"] == [first["id"], second["id"]]
    post(client, where, 404, log_ids=[log_id, "log_none"])
    assert post(client, where, log_ids=[])["id"] == second["id"]
