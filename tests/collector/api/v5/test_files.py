"""What Files of all six types do alike: identity, Versions, deployments, moves, pages, errors."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from kibitz_collector.access.http import KeyRing

GROUPS = ["prompts", "tools", "flows", "agents", "evaluators", "datasets"]
PREFIXES = {
    "prompts": ("pr_", "prv_"),
    "tools": ("tl_", "tv_"),
    "flows": ("fl_", "flv_"),
    "agents": ("ag_", "agv_"),
    "evaluators": ("ev_", "evv_"),
    "datasets": ("ds_", "dsv_"),
}


def content(group: str, number: int = 1) -> dict[str, Any]:
    """Return one of many contents of a File."""
    match group:
        case "prompts" | "agents":
            return {"model": "gpt-4o", "temperature": number / 10, "template": "Hi {{name}}"}
        case "tools":
            return {"function": {"name": f"look_{number}", "description": ""}}
        case "flows":
            return {"attributes": {"number": number}}
        case "evaluators":
            code = f"def judge(log):\n    return {number} > 0"
            spec = {"arguments_type": "target_free", "return_type": "boolean"}
            return {"spec": {**spec, "evaluator_type": "python", "code": code}}
    return {"datapoints": [{"inputs": {"n": str(number)}}]}


def upsert(
    client: TestClient, group: str, number: int = 1, path: str = "a/b/p", **more: Any
) -> Any:
    answer = client.post(group, json={"path": path, **content(group, number), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(client: TestClient, url: str, status: int = 200, **query: Any) -> Any:
    answer = client.get(url, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def staging(client: TestClient) -> str:
    made = client.post("http://localhost/api/environments", json={"name": "staging"})
    assert made.status_code == 201
    identity: str = made.json()["id"]
    return identity


@pytest.mark.parametrize("group", GROUPS)
def test_equal_content_is_one_version_and_other_content_another(
    client: TestClient, group: str
) -> None:
    one, same, other = (upsert(client, group, number) for number in (1, 1, 2))
    assert one["id"] == same["id"] == other["id"]
    assert one["version_id"] == same["version_id"] != other["version_id"]
    file_prefix, version_prefix = PREFIXES[group]
    assert one["id"].startswith(file_prefix)
    assert one["version_id"].startswith(version_prefix)
    records = get(client, f"{group}/{one['id']}/versions")["records"]
    assert [record["version_id"] for record in records] == [other["version_id"], one["version_id"]]
    assert [d["path"] for d in get(client, "directories")] == ["a", "a/b"]


@pytest.mark.parametrize("group", GROUPS)
def test_the_first_version_is_the_default_one_until_another_is_deployed(
    client: TestClient, group: str, staging: str
) -> None:
    one, two = (upsert(client, group, number) for number in (1, 2))
    url = f"{group}/{one['id']}"
    assert get(client, url)["version_id"] == one["version_id"]
    get(client, url, 404, environment="staging")
    query = {"version_id": two["version_id"]}
    deployed = client.post(f"{url}/environments/{staging}", params=query)
    assert deployed.json()["version_id"] == two["version_id"]
    assert [e["name"] for e in deployed.json()["environments"]] == ["staging"]
    assert get(client, url, environment="staging")["version_id"] == two["version_id"]
    assert get(client, url)["version_id"] == one["version_id"]
    assert get(client, url, version_id=two["version_id"])["version_id"] == two["version_id"]
    places = get(client, f"{url}/environments")
    assert [(p["name"], p["tag"], p["file"]["version_id"]) for p in places] == [
        ("production", "default", one["version_id"]),
        ("staging", "other", two["version_id"]),
    ]
    assert client.delete(f"{url}/environments/{staging}").status_code == 204
    assert get(client, f"{url}/environments")[1]["file"] is None
    client.post(f"{url}/environments/{places[0]['id']}", params=query)
    assert get(client, url)["version_id"] == two["version_id"]


@pytest.mark.parametrize("group", GROUPS)
def test_a_moved_file_is_found_at_its_new_path_only(client: TestClient, group: str) -> None:
    file = upsert(client, group)
    url = f"{group}/{file['id']}"
    moved = client.patch(url, json={"path": "/c//q"}).json()
    assert (moved["id"], moved["path"], moved["name"]) == (file["id"], "c/q", "q")
    assert get(client, url)["path"] == "c/q"
    found = client.post("files/retrieve-by-path", json={"path": "c/q"}).json()
    assert (found["id"], found["type"]) == (file["id"], group.removesuffix("s"))
    assert client.post("files/retrieve-by-path", json={"path": "a/b/p"}).status_code == 404
    assert client.patch(url, json={"name": "r"}).json()["path"] == "c/r"
    other = upsert(client, group, path="x")
    taken = client.patch(f"{group}/{other['id']}", json={"path": "c/r"})
    assert taken.status_code == 409
    assert upsert(client, group)["id"] != file["id"]


@pytest.mark.parametrize("group", GROUPS)
def test_names_of_versions_are_unique_in_a_file(client: TestClient, group: str) -> None:
    one = upsert(client, group, 1, version_name="first", version_description="one")
    assert (one["version_name"], one["version_description"]) == ("first", "one")
    clash = client.post(group, json={"path": "a/b/p", **content(group, 2), "version_name": "first"})
    assert clash.status_code == 409
    assert "first" in clash.json()["detail"]
    url = f"{group}/{one['id']}/versions"
    assert len(get(client, url)["records"]) == 1  # a clash leaves nothing behind
    two = upsert(client, group, 2)
    changed = client.patch(f"{url}/{two['version_id']}", json={"name": "second"})
    assert changed.json()["version_name"] == "second"
    assert client.patch(f"{url}/{two['version_id']}", json={"name": "first"}).status_code == 409
    again = client.patch(f"{url}/{one['version_id']}", json={"description": "better"}).json()
    assert (again["version_name"], again["version_description"]) == ("first", "better")


@pytest.mark.parametrize("group", GROUPS)
def test_a_deleted_version_comes_back_only_with_its_content(client: TestClient, group: str) -> None:
    one, two = (upsert(client, group, number) for number in (1, 2))
    url = f"{group}/{one['id']}"
    assert client.delete(f"{url}/versions/{one['version_id']}").status_code == 204
    get(client, url, 404, version_id=one["version_id"])
    assert get(client, url)["version_id"] == two["version_id"]
    assert client.delete(f"{url}/versions/{two['version_id']}").status_code == 409
    assert upsert(client, group, 1)["version_id"] == one["version_id"]
    assert len(get(client, f"{url}/versions")["records"]) == 2


@pytest.mark.parametrize("group", GROUPS)
def test_a_deleted_file_is_gone_and_its_path_is_free(client: TestClient, group: str) -> None:
    file = upsert(client, group)
    assert client.delete(f"{group}/{file['id']}").status_code == 204
    get(client, f"{group}/{file['id']}", 404)
    assert client.delete(f"{group}/{file['id']}").status_code == 404
    assert get(client, group)["total"] == 0
    assert upsert(client, group)["id"] != file["id"]


@pytest.mark.parametrize("group", GROUPS)
def test_wrong_requests_are_refused(client: TestClient, group: str) -> None:
    assert client.post(group, json={"path": "p"}).status_code in (200, 422)
    assert client.post(group, json=content(group)).status_code == 422
    assert client.post(group, json={"id": "no_such", **content(group)}).status_code == 404
    get(client, f"{group}/no_such", 404)
    file = upsert(client, group, path="mine")
    get(client, f"{group}/{file['id']}", 404, version_id="no_such")
    get(client, f"{group}/{file['id']}", 404, environment="no_such")
    url = f"{group}/{file['id']}/environments/no_such"
    assert client.post(url, params={"version_id": file["version_id"]}).status_code == 404
    assert client.post(url).status_code == 422
    other = GROUPS[GROUPS.index(group) - 1]
    get(client, f"{other}/{file['id']}", 404)
    taken = client.post(other, json={"path": "mine", **content(other)})
    assert taken.status_code == 409
    get(client, group, 422, size=-1)
    assert get(client, group, size=0)["records"] == []
    get(client, group, 422, sort_by="colour")


def test_lists_have_pages_and_the_one_past_the_end_is_empty(client: TestClient) -> None:
    for number in range(25):
        upsert(client, "prompts", path=f"d/Prompt {number:02}")
    pages = [get(client, "prompts", page=page, size=10) for page in (1, 2, 3, 4)]
    assert [len(page["records"]) for page in pages] == [10, 10, 5, 0]
    assert {(page["total"], page["size"]) for page in pages} == {(25, 10)}
    assert len({record["id"] for page in pages for record in page["records"]}) == 25
    found = get(client, "prompts", name="PROMPT 1", sort_by="name", order="desc", size=3)
    assert [record["name"] for record in found["records"]] == [
        "Prompt 19",
        "Prompt 18",
        "Prompt 17",
    ]
    assert found["total"] == 10
    assert get(client, "prompts", name="%")["total"] == 0
    assert get(client, "prompts", user_filter="ada")["total"] == 0


def test_files_of_all_types_are_listed_together(client: TestClient, staging: str) -> None:
    for group in GROUPS:
        upsert(client, group, path=f"all/{group}")
    prompt = upsert(client, "prompts", 2, path="all/prompts")
    upsert(client, "prompts", path="all_other/p")
    listed = get(client, "files", sort_by="name", path="all", size=100)
    assert [one["type"] for one in listed["records"]] == [
        "agent", "dataset", "evaluator", "flow", "prompt", "tool",
    ]  # fmt: skip
    two = get(client, "files", type=["prompt", "agent"], include_raw_file_content=True)
    assert two["total"] == 3
    assert all(one["raw_file_content"].startswith("---\nmodel: gpt-4o\n") for one in two["records"])
    client.post(
        f"prompts/{prompt['id']}/environments/{staging}",
        params={"version_id": prompt["version_id"]},
    )
    deployed = get(client, "files", environment="staging")
    assert [one["version_id"] for one in deployed["records"]] == [prompt["version_id"]]
    query = {"environment": "staging", "include_raw_file_content": True}
    found = client.post("files/retrieve-by-path", json={"path": "all/prompts"}, params=query).json()
    assert found["version_id"] == prompt["version_id"]
    assert "temperature: 0.2" in found["raw_file_content"]


def test_content_too_deep_to_be_written_back_is_refused(client: TestClient) -> None:
    nested: dict[str, Any] = {}
    for _ in range(300):
        nested = {"a": nested}
    function = {"name": "f", "description": "", "parameters": nested}
    for group, body in (
        ("flows", {"attributes": nested}),
        ("prompts", {"model": "m", "other": nested}),
        ("tools", {"function": function}),
        ("datasets", {"datapoints": [{"target": nested}]}),
    ):
        refused = client.post(group, json={"path": "p", **body})
        assert refused.status_code == 422
        assert "deeper" in refused.text


def test_unknown_places_are_named_as_the_clients_expect(client: TestClient) -> None:
    upsert(client, "prompts")
    assert get(client, "files", 404, path="x/y")["detail"] == "Directory `x/y` does not exist"
    missing = get(client, "files", 404, environment="moon")
    assert missing["detail"] == "Environment moon does not exist"


def test_what_is_said_of_a_file_stays_until_it_is_said_anew(client: TestClient) -> None:
    upsert(client, "prompts", description="Greets.", tags=["a", "b"], readme="# Hi")
    file = upsert(client, "prompts", 2, tags=["c"])
    assert (file["description"], file["tags"], file["readme"]) == ("Greets.", ["c"], "# Hi")


def test_a_key_that_may_only_send_may_not_read_files(client: TestClient) -> None:
    made = client.post("http://localhost/api/keys", json={"name": "app", "role": "ingest"}).json()
    app: Any = client.app
    app.state.keys = KeyRing(app.state.store)  # it would look again within a second
    refused = client.get("prompts", headers={"X-API-KEY": made["key"]})
    assert refused.status_code == 403
    unknown = client.get("prompts", headers={"X-API-KEY": "hl_sk_none"})
    assert unknown.status_code == 401
    assert isinstance(unknown.json()["detail"], str)
