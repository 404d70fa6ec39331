"""Evaluators of all types, and which of them judge a File's Logs as they arrive."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from kibitz_collector.store.matching import active_monitors

COMMON = {"arguments_type": "target_free", "return_type": "boolean"}
SPECS = {
    "python": {**COMMON, "evaluator_type": "python", "code": "def f(log):\n    return True"},
    "llm": {
        **COMMON,
        "evaluator_type": "llm",
        "prompt": {"model": "gpt-4o", "template": "Is {{log.output}} polite?"},
    },
    "human": {
        **COMMON,
        "return_type": "select",
        "evaluator_type": "human",
        "instructions": "Choose.",
        "options": [{"name": "good", "valence": "positive"}, {"name": "bad"}],
    },
    "external": {
        **COMMON,
        "return_type": "number",
        "evaluator_type": "external",
        "number_limits": {"min": 0, "max": 5, "step": 1},
        "number_valence": "negative",
        "attributes": {"code": "x"},
    },
}


def evaluator(client: TestClient, kind: str = "python", path: str = "e", **change: Any) -> Any:
    answer = client.post("evaluators", json={"path": path, "spec": {**SPECS[kind], **change}})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def prompt(client: TestClient) -> str:
    made = client.post("prompts", json={"path": "p", "model": "m"}).json()
    return f"prompts/{made['id']}"


def update(client: TestClient, url: str, status: int = 200, **body: Any) -> Any:
    answer = client.post(f"{url}/evaluators", json=body)
    assert answer.status_code == status, answer.text
    return [
        (one["version"]["version_id"], one["state"], one["version_reference"]["type"])
        for one in asked_for(answer.json())
    ]


def asked_for(file: Any) -> list[Any]:
    """Return the Evaluators of a File without those that every Prompt has."""
    shown = file.get("evaluators") or []
    return [one for one in shown if one["version"]["path"] not in ("rating", "correction")]


def in_force(client: TestClient) -> list[tuple[str | None, str]]:
    app: Any = client.app
    with app.state.store.read() as session:
        return [(one.file_path, one.version_id) for one in active_monitors(session, 1)]


@pytest.mark.parametrize("kind", SPECS)
def test_an_evaluator_shows_the_spec_it_was_given(client: TestClient, kind: str) -> None:
    made = evaluator(client, kind)
    for name, value in SPECS[kind].items():
        if name == "options":
            assert [one["name"] for one in made["spec"][name]] == ["good", "bad"]
        elif name == "prompt":
            assert made["spec"][name]["template"] == "Is {{log.output}} polite?"
        else:
            assert made["spec"][name] == value
    assert made["spec"]["evaluator_type"] == kind
    assert evaluator(client, kind)["version_id"] == made["version_id"]
    names = [one["name"] for one in made["inputs"]]
    assert names == (["log.output"] if kind == "llm" else [])


@pytest.mark.parametrize(
    "change",
    [{"evaluator_type": "magic"}, {"code": None}, {"code": "  "}, {"return_type": "maybe"}],
)
def test_a_spec_that_makes_no_sense_is_refused(client: TestClient, change: Any) -> None:
    body = {"path": "e", "spec": {**SPECS["python"], **change}}
    assert client.post("evaluators", json=body).status_code == 422


def test_one_version_judges_until_it_is_deactivated(client: TestClient, prompt: str) -> None:
    one, two = evaluator(client), evaluator(client, return_type="number")
    choice = [{"evaluator_version_id": one["version_id"]}]
    active = [(one["version_id"], "active", "version")]
    assert update(client, prompt, activate=choice) == active
    assert update(client, prompt, activate=choice) == active  # once is enough
    assert in_force(client) == [("p", one["version_id"])]
    client.patch(prompt, json={"path": "moved"})
    assert in_force(client) == [("moved", one["version_id"])]
    assert update(client, prompt, deactivate=choice) == [(one["version_id"], "inactive", "version")]
    assert in_force(client) == []
    update(client, prompt, 404, deactivate=[{"evaluator_version_id": two["version_id"]}])


def test_a_monitor_follows_the_deployment_of_its_evaluator(client: TestClient, prompt: str) -> None:
    one, two = evaluator(client), evaluator(client, return_type="number")
    url = f"evaluators/{one['id']}"
    environment = client.get(f"{url}/environments").json()[0]["id"]
    choice = [{"evaluator_id": one["id"], "environment_id": environment}]
    active = update(client, prompt, activate=choice)
    assert active == [(one["version_id"], "active", "environment")]
    deploy = f"{url}/environments/{environment}"
    client.post(deploy, params={"version_id": two["version_id"]})
    assert in_force(client) == [("p", two["version_id"])]
    shown = asked_for(client.get(prompt).json())[0]["version_reference"]
    assert shown["file"]["version_id"] == two["version_id"]
    assert shown["environment"]["name"] == "production"
    client.delete(deploy)
    assert in_force(client) == []
    assert asked_for(client.get(prompt).json())[0]["state"] == "inactive"
    update(client, prompt, 404, activate=choice)


def test_people_and_other_programs_may_be_expected_to_judge(
    client: TestClient, prompt: str
) -> None:
    people = evaluator(client, "human", "people")
    other = evaluator(client, "external", "other")
    choices = [{"evaluator_version_id": one["version_id"]} for one in (people, other)]
    assert [state for _, state, _ in update(client, prompt, activate=choices)] == ["active"] * 2
    assert in_force(client) == []  # nothing here could run them
    monitors = client.get("http://localhost/api/monitors")
    assert monitors.status_code == 200


def test_an_evaluator_can_judge_an_evaluator(client: TestClient) -> None:
    judged, judge = evaluator(client, path="judged"), evaluator(client, path="judge")
    url = f"evaluators/{judged['id']}"
    assert update(client, url, activate=[{"evaluator_version_id": judge["version_id"]}])
    assert in_force(client) == [("judged", judge["version_id"])]


@pytest.mark.parametrize(
    ("choice", "status"),
    [
        ({"evaluator_version_id": "evv_none"}, 404),
        ({"evaluator_id": "ev_none", "environment_id": "env_none"}, 404),
        ({"evaluator_id": "ev_none"}, 422),
        ({}, 422),
    ],
)
def test_an_unknown_choice_is_refused(
    client: TestClient, prompt: str, choice: Any, status: int
) -> None:
    update(client, prompt, status, activate=[choice])


def test_what_is_no_evaluator_cannot_judge(client: TestClient, prompt: str) -> None:
    version = client.get(prompt).json()["version_id"]
    update(client, prompt, 404, activate=[{"evaluator_version_id": version}])


def test_deleting_ends_what_judged_and_what_was_judged(client: TestClient, prompt: str) -> None:
    one, two = evaluator(client, path="e1"), evaluator(client, path="e2")
    choices = [{"evaluator_version_id": e["version_id"]} for e in (one, two)]
    update(client, prompt, activate=choices)
    client.delete(f"evaluators/{one['id']}")
    assert in_force(client) == [("p", two["version_id"])]
    client.delete(prompt)
    assert in_force(client) == []


def test_every_prompt_is_expected_to_be_rated_and_corrected_by_people(client: TestClient) -> None:
    for path in ("a/p", "b/p"):
        made = client.post("prompts", json={"path": path, "model": "m"}).json()
        shown = made["evaluators"]
        assert [(e["version"]["path"], e["state"]) for e in shown] == [
            ("rating", "active"),
            ("correction", "active"),
        ]
        rating, correction = (one["version"]["spec"] for one in shown)
        assert (rating["evaluator_type"], rating["return_type"]) == ("human", "select")
        assert rating["options"] == [
            {"name": "good", "valence": "positive"},
            {"name": "bad", "valence": "negative"},
        ]
        assert (correction["evaluator_type"], correction["return_type"]) == ("human", "text")
        assert {one["version_reference"]["type"] for one in shown} == {"environment"}
    again = client.post("prompts", json={"path": "a/p", "model": "other"}).json()
    assert len(again["evaluators"]) == 2
    listed = client.get("evaluators").json()
    assert sorted(one["path"] for one in listed["records"]) == ["correction", "rating"]
    assert in_force(client) == []
    assert client.get("http://localhost/api/monitors").json() == []  # nobody asked for these


def test_other_files_are_not_expected_to_be_rated(client: TestClient) -> None:
    flow = client.post("flows", json={"path": "f", "attributes": {}}).json()
    assert flow["evaluators"] == []
    assert client.get("evaluators").json()["records"] == []


def test_rating_can_be_switched_off_for_one_prompt(client: TestClient, prompt: str) -> None:
    (rating, _) = client.get(prompt).json()["evaluators"]
    reference = rating["version_reference"]
    choice = {
        "evaluator_id": reference["file"]["id"],
        "environment_id": reference["environment"]["id"],
    }
    changed = client.post(f"{prompt}/evaluators", json={"deactivate": [choice]}).json()
    states = [(one["version"]["path"], one["state"]) for one in changed["evaluators"]]
    assert states == [("rating", "inactive"), ("correction", "active")]
    changed = client.post(f"{prompt}/evaluators", json={"activate": [choice]}).json()
    assert [one["state"] for one in changed["evaluators"]] == ["active", "active"]


def test_prompts_follow_the_rating_that_is_deployed(client: TestClient, prompt: str) -> None:
    spec = {**SPECS["human"], "options": [{"name": str(n)} for n in range(1, 6)]}
    made = client.post("evaluators", json={"path": "rating", "spec": spec}).json()
    environment = client.get(f"evaluators/{made['id']}/environments").json()[0]["id"]
    client.post(
        f"evaluators/{made['id']}/environments/{environment}",
        params={"version_id": made["version_id"]},
    )
    (rating, _) = client.get(prompt).json()["evaluators"]
    assert rating["version"]["version_id"] == made["version_id"]


@pytest.mark.parametrize("kind", ["python", "human"])
def test_own_evaluator_called_rating_is_used_only_when_people_judge(
    client: TestClient, kind: str
) -> None:
    evaluator(client, kind, "rating")
    made = client.post("prompts", json={"path": "p", "model": "m"}).json()
    names = [one["version"]["path"] for one in made["evaluators"]]
    assert names == (["rating", "correction"] if kind == "human" else ["correction"])
    assert in_force(client) == []


def test_prompt_may_be_called_rating(client: TestClient) -> None:
    made = client.post("prompts", json={"path": "rating", "model": "m"}).json()
    assert [one["version"]["path"] for one in made["evaluators"]] == ["correction"]


def test_judging_is_left_to_people_once_their_version_is_deployed(
    client: TestClient, prompt: str
) -> None:
    one, people = evaluator(client), evaluator(client, "human")
    environment = client.get(f"evaluators/{one['id']}/environments").json()[0]["id"]
    update(client, prompt, activate=[{"evaluator_id": one["id"], "environment_id": environment}])
    assert in_force(client) == [("p", one["version_id"])]
    client.post(
        f"evaluators/{one['id']}/environments/{environment}",
        params={"version_id": people["version_id"]},
    )
    assert in_force(client) == []


def test_judgment_that_describes_the_rating_lets_nothing_run(
    client: TestClient, prompt: str
) -> None:
    log = client.post("prompts/log", json={"path": "p", "output": "x"}).json()
    body = {"path": "rating", "parent_id": log["id"], "judgment": "good", "spec": SPECS["human"]}
    assert client.post("evaluators/log", json=body).status_code == 200
    assert in_force(client) == []
