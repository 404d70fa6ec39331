"""Many callers want the same thing at once, on both databases: one makes it, none gets a 5xx."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.databases import BACKENDS

CALLERS = 8
Ask = Callable[[int], httpx.Response]
SPEC = {"arguments_type": "target_free", "return_type": "boolean", "evaluator_type": "external"}
CONTENT: dict[str, dict[str, Any]] = {
    "prompts": {"model": "m"},
    "tools": {"source_code": "x"},
    "flows": {"attributes": {}},
    "agents": {"model": "m"},
    "evaluators": {"spec": SPEC},
    "datasets": {"datapoints": [{"inputs": {"q": "1"}}]},
}


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def at_once(ask: Ask) -> list[httpx.Response]:
    """Ask with all callers at the same moment."""
    barrier = Barrier(CALLERS)

    def one(number: int) -> httpx.Response:
        barrier.wait()
        return ask(number)

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(one, range(CALLERS)))
    assert [a.text for a in answers if a.status_code >= 500] == []
    return answers


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_the_same_file_made_at_once_is_one(client: TestClient) -> None:
    for group, content in CONTENT.items():
        answers = at_once(
            lambda _n, g=group, c=content: client.post(g, json={"path": f"new/dir/{g}", **c})  # type: ignore[misc]
        )
        assert statuses(answers) == {200: CALLERS}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len({answer.json()["version_id"] for answer in answers}) == 1


def test_versions_made_at_once_are_all_there(client: TestClient) -> None:
    answers = at_once(lambda n: client.post("prompts", json={"path": "p", "model": f"m{n}"}))
    assert statuses(answers) == {200: CALLERS}
    (file_id,) = {answer.json()["id"] for answer in answers}
    versions = client.get(f"prompts/{file_id}/versions").json()["records"]
    assert {one["model"] for one in versions} == {f"m{n}" for n in range(CALLERS)}
    places = [e for one in versions for e in one["environments"]]
    assert len(places) == 1  # one of them is the first


def test_one_path_is_one_type(client: TestClient) -> None:
    groups = list(CONTENT)

    def make(number: int) -> httpx.Response:
        group = groups[number % len(groups)]
        return client.post(group, json={"path": "one/path", **CONTENT[group]})

    answers = at_once(make)
    assert set(statuses(answers)) == {200, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 200}) == 1


def test_a_version_name_is_given_once(client: TestClient) -> None:
    body = {"path": "p", "version_name": "best"}
    answers = at_once(lambda n: client.post("prompts", json={**body, "model": f"m{n}"}))
    assert statuses(answers) == {200: 1, 409: CALLERS - 1}


def test_a_path_is_moved_to_once(client: TestClient) -> None:
    ids = [
        client.post("flows", json={"path": f"f{n}", "attributes": {}}).json()["id"]
        for n in range(CALLERS)
    ]
    answers = at_once(lambda n: client.patch(f"flows/{ids[n]}", json={"path": "a/b/there"}))
    assert statuses(answers) == {200: 1, 409: CALLERS - 1}


def test_a_directory_is_made_once(client: TestClient) -> None:
    answers = at_once(lambda _n: client.post("directories", json={"path": "a/b/c"}))
    assert statuses(answers) == {201: 1, 409: CALLERS - 1}
    assert [one["path"] for one in client.get("directories").json()].count("a/b/c") == 1


def test_a_log_of_one_id_is_one(client: TestClient) -> None:
    body = {"path": "made/by/log", "prompt": {"model": "m"}, "log_id": "mine", "output": "x"}
    answers = at_once(lambda _n: client.post("prompts/log", json=body))
    assert statuses(answers) == {200: CALLERS}
    file_id = answers[0].json()["prompt_id"]
    assert client.get(f"logs?file_id={file_id}").json()["total"] == 1


def test_deployments_at_once_leave_one(client: TestClient) -> None:
    made = [client.post("prompts", json={"path": "p", "model": f"m{n}"}) for n in range(CALLERS)]
    file_id = made[0].json()["id"]
    place = client.get(f"prompts/{file_id}/environments").json()[0]["id"]
    url = f"prompts/{file_id}/environments/{place}?version_id="
    answers = at_once(lambda n: client.post(url + made[n].json()["version_id"]))
    assert statuses(answers) == {200: CALLERS}
    versions = client.get(f"prompts/{file_id}/versions").json()["records"]
    assert sum(bool(one["environments"]) for one in versions) == 1


def test_deleting_at_once_deletes_once(client: TestClient) -> None:
    made = client.post("prompts", json={"path": "p", "model": "m"}).json()
    answers = at_once(lambda _n: client.delete(f"prompts/{made['id']}"))
    assert statuses(answers) == {204: 1, 404: CALLERS - 1}


def test_making_and_deleting_at_once_fails_nobody(client: TestClient) -> None:
    body = {"path": "here/and/gone", "model": "m"}
    made = client.post("prompts", json=body).json()

    def ask(number: int) -> httpx.Response:
        if number % 2:
            return client.delete(f"prompts/{made['id']}")
        return client.post("prompts", json={**body, "model": f"m{number}"})

    assert set(statuses(at_once(ask))) <= {200, 204, 404, 409}


def test_datapoints_added_at_once_are_each_in_a_version(client: TestClient) -> None:
    first = client.post("datasets", json={"path": "d", "datapoints": []}).json()

    def add(number: int) -> httpx.Response:
        points = [{"inputs": {"q": str(number)}}]
        return client.post("datasets", json={"path": "d", "datapoints": points, "action": "add"})

    answers = at_once(add)
    assert statuses(answers) == {200: CALLERS}
    # Each began from the latest there was: one after the other, as on one connection.
    assert sorted(a.json()["datapoints_count"] for a in answers) == list(range(1, CALLERS + 1))
    assert client.get(f"datasets/{first['id']}").json()["datapoints_count"] == 0


def test_an_evaluation_of_one_name_is_made_once(client: TestClient) -> None:
    file = client.post("prompts", json={"path": "p", "model": "m"}).json()
    client.post("evaluators", json={"path": "e", "spec": SPEC})
    body = {"file": {"id": file["id"]}, "name": "Nightly", "evaluators": [{"path": "e"}]}
    answers = at_once(lambda _n: client.post("evaluations", json=body))
    assert statuses(answers) == {201: 1, 409: CALLERS - 1}
