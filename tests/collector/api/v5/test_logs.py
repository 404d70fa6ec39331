"""Posting, changing, reading, listing and deleting Logs through `/v5`, on both databases."""

import json
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from kibitz_collector.access.keys import make_key
from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from kibitz_collector.records import FileReference, LogBody
from kibitz_collector.store import Store
from kibitz_collector.store.rows import table
from kibitz_collector.store.search import index_all
from kibitz_collector.store.tables.jobs import Job
from kibitz_collector.store.tables.logs import Log, LogMetadata, Trace
from kibitz_collector.store.tables.logs import LogBody as LogBodyRow
from kibitz_collector.store.writes.keys import create_key
from tests.collector.api.v5.conftest import check_answer
from tests.collector.store.facts import WORKSPACE, log, rows
from tests.databases import BACKENDS

KINDS = ("prompt", "tool", "evaluator", "flow", "agent")
PROMPT: dict[str, Any] = {
    "path": "persona",
    "prompt": {
        "model": "gpt-4o",
        "template": [{"role": "system", "content": "You are {{person}}."}],
        "temperature": 0,
    },
}
README: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "What happened?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"at": 1}'},
                }
            ],
        },
        {"role": "tool", "content": "nothing", "tool_call_id": "call_1"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "and this?"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
            ],
        },
    ],
    "output_message": {"role": "assistant", "content": "Well, a lot."},
    "inputs": {"person": "Ada", "n": 1, "deep": {"list": [1.5, None]}},
    "prompt_tokens": 100,
    "reasoning_tokens": 20,
    "output_tokens": 220,
    "prompt_cost": 1e-05,
    "output_cost": 0.0002,
    "finish_reason": "stop",
    "tool_choice": "auto",
    "provider_latency": 6.59,
    "stdout": "hm",
    "source": "my app",
    "metadata": {"plan": "pro", "seats": 3},
    "user": "u1",
    "environment": "production",
    "provider_request": {"a": 1},
    "provider_response": {"b": [2]},
    "source_datapoint_id": "dp_1",
}


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def client(store: Store, database_url: str) -> TestClient:
    app = create_app(Settings(database_url=database_url), store)
    client = TestClient(app, base_url="http://localhost")
    client.event_hooks = {"response": [check_answer]}
    return client


def ok(response: Any) -> Any:
    assert response.is_success, f"{response.status_code} {response.text}"
    return response.json() if response.content else None


def post(client: TestClient, group: str, body: dict[str, Any], **query: str) -> Any:
    return ok(client.post(f"/v5/{group}/log", json=body, params=query))


def get(client: TestClient, log_id: str) -> Any:
    return ok(client.get(f"/v5/logs/{log_id}"))


def listed(client: TestClient, file_id: str, **query: Any) -> list[str]:
    page = ok(client.get("/v5/logs", params={"file_id": file_id, **query}))
    return [record["id"] for record in page["records"]]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def open_flow(client: TestClient, **fields: Any) -> Any:
    return post(client, "flows", {"path": "support/answer", "inputs": {"q": 1}, **fields})


# --- what is posted comes back


def test_every_field_of_a_prompt_log_comes_back(client: TestClient) -> None:
    sent = README | {"created_at": "2024-07-19T02:29:35.178992+02:00", "run_id": "run_1"}
    made = post(client, "prompts", PROMPT | sent)
    answer = get(client, made["id"])
    same = {k: v for k, v in README.items() if k not in ("messages", "output_message", "inputs")}
    assert {k: answer[k] for k in same} == same
    assert answer["inputs"] == README["inputs"]
    assert without_nulls(answer["messages"]) == without_nulls(README["messages"])
    assert without_nulls(answer["output_message"]) == README["output_message"]
    assert answer["output"] == "Well, a lot."
    when = datetime.fromisoformat(answer["created_at"])
    assert when == datetime.fromisoformat("2024-07-19T00:29:35.178992+00:00")
    assert answer["batches"] == ["run_1"]
    assert [kind for kind in KINDS if kind in answer] == ["prompt"]
    prompt = answer["prompt"]
    assert (prompt["id"], prompt["version_id"]) == (made["prompt_id"], made["version_id"])
    assert (prompt["model"], prompt["temperature"], prompt["type"]) == ("gpt-4o", 0, "prompt")
    assert prompt["inputs"] == [{"name": "person"}]
    assert (answer["evaluator_logs"], answer["trace_children"]) == ([], [])


def test_a_named_tool_choice_comes_back_and_a_foreign_one_is_refused(client: TestClient) -> None:
    choice = {"type": "function", "function": {"name": "look"}}
    made = post(client, "prompts", PROMPT | {"tool_choice": choice})
    assert get(client, made["id"])["tool_choice"] == choice
    foreign = PROMPT | {"tool_choice": {"type": "any"}}
    assert client.post("/v5/prompts/log", json=foreign).status_code == 422


def test_tokens_and_costs_count_in_the_trace(client: TestClient, store: Store) -> None:
    post(client, "prompts", PROMPT | README)
    (row,) = rows(store, Log)
    assert (row["tokens_input_uncached"], row["tokens_output"], row["tokens_reasoning"]) == (
        100,
        200,
        20,
    )
    assert row["cost_usd"] > 0
    assert row["cost_reported_usd"] == pytest.approx(0.00021)
    own = PROMPT | {"path": "mine", "prompt": {"model": "my-own", "provider": "mine"}}
    made = post(client, "prompts", own | {"prompt_cost": 0.5})
    assert next(r for r in rows(store, Log) if r["id"] == made["id"])["cost_usd"] == 0.5


def test_each_kind_makes_its_file_and_version_on_demand(client: TestClient) -> None:
    tool = {"function": {"name": "look", "description": "Look.", "parameters": {}}}
    agent = {"model": "gpt-4o", "max_iterations": 3}
    bodies: dict[str, Any] = {
        "prompt": PROMPT["prompt"],
        "tool": tool,
        "flow": {"attributes": {"v": 1}},
        "agent": agent,
    }
    for kind, kernel in bodies.items():
        body = {"path": f"x/{kind}", kind: kernel, "output": "done"}
        first, second = (post(client, f"{kind}s", body) for _ in range(2))
        assert first["id"] != second["id"]
        assert first[f"{kind}_id"] == second[f"{kind}_id"]
        assert first["version_id"] == second["version_id"]
        by_id = post(client, f"{kind}s", {"id": first[f"{kind}_id"]})
        assert by_id["version_id"] == first["version_id"]
        answer = get(client, first["id"])
        assert [k for k in KINDS if k in answer] == [kind]
        assert answer[kind]["path"] == f"x/{kind}"
        assert listed(client, first[f"{kind}_id"]) == [by_id["id"], second["id"], first["id"]]


def test_a_prompt_file_as_text_is_the_same_version_as_the_object(client: TestClient) -> None:
    text = "---\nmodel: gpt-4o\ntemperature: 0\n---\n\n<system>\n  You are {{person}}.\n</system>\n"
    made = post(client, "prompts", PROMPT)
    same = post(client, "prompts", {"path": "persona", "prompt": text})
    assert same["version_id"] == made["version_id"]


def test_the_query_chooses_the_version_and_the_body_only_a_label(client: TestClient) -> None:
    first = post(client, "prompts", PROMPT)
    second = post(client, "prompts", PROMPT | {"prompt": {"model": "gpt-4o-mini"}})
    assert first["version_id"] != second["version_id"]
    assert post(client, "prompts", {"path": "persona"})["version_id"] == first["version_id"]
    named = post(client, "prompts", {"path": "persona"}, version_id=second["version_id"])
    assert named["version_id"] == second["version_id"]
    there = {"path": "persona", "environment": "staging"}
    labelled = post(client, "prompts", there, environment="production")
    assert labelled["version_id"] == first["version_id"]
    assert get(client, labelled["id"])["environment"] == "staging"


@pytest.mark.parametrize(
    ("body", "query", "status"),
    [
        ({"path": "nowhere"}, {}, 404),
        ({"id": "pr_none"}, {}, 404),
        ({}, {}, 422),
        ({"path": " / "}, {}, 422),
        ({"path": "persona"}, {"version_id": "prv_none"}, 404),
        ({"path": "persona"}, {"environment": "nowhere"}, 404),
        ({"path": "support/answer", "prompt": {"model": "m"}}, {}, 409),
        ({"path": "persona", "prompt": {"temperature": 1}}, {}, 422),
        ({"path": "persona", "prompt_tokens": -1}, {}, 422),
        ({"path": "persona", "prompt": "no header"}, {}, 422),
    ],
)
def test_wrong_targets_are_refused_in_the_contracts_form(
    client: TestClient, body: dict[str, Any], query: dict[str, str], status: int
) -> None:
    post(client, "prompts", PROMPT)
    open_flow(client)
    response = client.post("/v5/prompts/log", json=body, params=query)
    assert response.status_code == status, response.text
    detail = response.json()["detail"]
    if status == 422:
        assert {"loc", "msg", "type"} <= detail[0].keys()
    else:
        assert isinstance(detail, str)


# --- one Log, once


def test_a_chosen_id_makes_one_log_however_often_it_is_sent(
    client: TestClient, store: Store
) -> None:
    body = PROMPT | {"log_id": "my own id", "output": "first"}
    first, again = post(client, "prompts", body), post(client, "prompts", body)
    assert first == again
    assert first["id"] == "my own id"
    assert len(rows(store, Log)) == 1
    assert get(client, "my own id")["output"] == "first"
    elsewhere = body | {"path": "other"}
    assert client.post("/v5/prompts/log", json=elsewhere).status_code == 409


def test_an_open_log_is_completed_by_what_comes_under_its_id(client: TestClient) -> None:
    open_flow(client, log_id="f1")
    assert open_flow(client, log_id="f1", log_status="complete", output="x")["log_status"] == (
        "complete"
    )
    answer = get(client, "f1")
    assert (answer["inputs"], answer["output"]) == ({"q": 1}, "x")


@pytest.mark.parametrize("kind", ["prompt", "flow"])
def test_what_shall_not_be_saved_is_nowhere(client: TestClient, store: Store, kind: str) -> None:
    secret = {k: v for k, v in README.items() if isinstance(v, dict | list | str)}
    secret |= {"output": "topsecret", "error": "topsecret", "save": False, "log_id": "s"}
    made = post(client, f"{kind}s", {**PROMPT, **secret, "log_status": "complete"})
    ok(
        client.patch(
            f"/v5/flows/logs/{made['id']}"
            if kind == "flow"
            else f"/v5/prompts/{made['prompt_id']}/log/{made['id']}",
            json={"output": "topsecret later", "messages": README["messages"]},
        )
    )
    index_all(store)
    answer = get(client, made["id"])
    assert answer["save"] is False
    for name in ("output", "output_message", "messages", "error", "metadata", "stdout"):
        assert name == "error" or not answer.get(name)
    assert "topsecret" not in str(answer)
    assert answer["inputs"] == {}
    assert answer["user"] == "u1"
    assert rows(store, LogMetadata) == []
    for row in rows(store, LogBodyRow):
        assert (row["preview_input"], row["preview_output"]) == ("", "")
    assert listed(client, made[f"{kind}_id"], search="topsecret") == []


def test_numbers_and_times_out_of_this_world_are_held_or_refused(client: TestClient) -> None:
    made = post(client, "prompts", PROMPT | {"created_at": "9999-12-31T23:59:59Z", "log_id": "a"})
    url = f"/v5/prompts/{made['prompt_id']}/log/a"
    for body in (
        {"start_time": "0001-01-01T00:00:00Z"},
        {"end_time": "9999-12-31T23:59:59Z", "provider_latency": 1e12},
        {"provider_latency": 1e308},
        {"prompt_tokens": 2**60},
        {"created_at": "2026-01-01T00:00:00"},
        {"inputs": json.loads('{"a":' * 300 + "1" + "}" * 300)},
    ):
        assert client.patch(url, json=body).status_code in (200, 422)
        assert client.get("/v5/logs/a").status_code == 200
    deep: Any = {}
    for _ in range(200):
        deep = {"a": deep}
    nested = post(client, "flows", {"path": "deep", "inputs": deep})["id"]
    for _ in range(60):
        flow = {"path": "deep", "inputs": deep, "trace_parent_id": nested}
        nested = post(client, "flows", flow)["id"]
    page = {"file_id": get(client, nested)["flow"]["id"], "include_trace_children": "true"}
    ok(client.get("/v5/logs", params=page))


# --- changes


def test_null_clears_and_what_is_left_out_stays(client: TestClient, store: Store) -> None:
    made = post(client, "prompts", PROMPT | README | {"output": "old"})
    url = f"/v5/prompts/{made['prompt_id']}/log/{made['id']}"
    before = get(client, made["id"])
    after = ok(client.patch(url, json={"output": None, "error": "x"}))
    assert after == before | {"output": None, "error": "x"} | {"prompt": after["prompt"]}
    assert after == get(client, made["id"])
    assert rows(store, Log)[0]["status"] == "error"
    cleared = ok(client.patch(url, json={"error": None, "metadata": None, "prompt_tokens": None}))
    assert (cleared["error"], cleared["metadata"], cleared["prompt_tokens"]) == (None, None, None)
    assert cleared["output_tokens"] == 220
    assert rows(store, Log)[0]["status"] == "complete"
    assert client.patch("/v5/prompts/pr_none/log/" + made["id"], json={}).status_code == 404
    assert client.patch(url + "none", json={"output": "x"}).status_code == 404


def test_tool_and_agent_logs_can_be_changed(client: TestClient) -> None:
    tool = post(client, "tools", {"path": "t", "output": "1"})
    changed = ok(
        client.patch(
            f"/v5/tools/{tool['tool_id']}/log/{tool['id']}",
            json={"output": "2", "end_time": "2026-01-01T00:00:00Z", "metadata": {"a": "b"}},
        )
    )
    assert (changed["output"], changed["end_time"]) == ("2", "2026-01-01T00:00:00Z")
    agent = post(
        client,
        "agents",
        {"path": "a", "agent": {"model": "gpt-4o"}, "log_status": "incomplete"},
    )
    assert agent["log_status"] == "incomplete"
    done = ok(
        client.patch(
            f"/v5/agents/{agent['agent_id']}/log/{agent['id']}",
            json={
                "output_message": {"role": "assistant", "content": "hi"},
                "log_status": "complete",
            },
        )
    )
    assert (done["log_status"], done["output"]) == ("complete", "hi")
    assert done["end_time"] is not None


def test_a_patch_makes_monitors_run_again(client: TestClient, store: Store) -> None:
    ok(
        client.post(
            "/api/evaluators",
            json={
                "path": "checks/x",
                "code": "def f(log):\n    return True\n",
                "return_type": "boolean",
            },
        )
    )
    ok(client.post("/api/monitors", json={"evaluator": "checks/x", "on": "persona"}))
    made = post(client, "prompts", PROMPT | {"output": "a"})
    url = f"/v5/prompts/{made['prompt_id']}/log/{made['id']}"
    assert len(rows(store, Job)) == 1
    ok(client.patch(url, json={"output": "b"}))
    ok(client.patch(url, json={"output": "b"}))
    assert [job["log_id"] for job in rows(store, Job)] == [made["id"]] * 2


def test_a_patch_below_makes_monitors_of_a_finished_trace_run_again(
    client: TestClient, store: Store
) -> None:
    code = "def f(log):\n    return True\n"
    ok(client.post("/api/evaluators", json={"path": "checks/x", "code": code}))
    ok(client.post("/api/monitors", json={"evaluator": "checks/x", "on": "support/answer"}))
    flow = open_flow(client)
    tool = post(client, "tools", {"path": "t", "trace_parent_id": flow["id"], "output": "a"})
    url = f"/v5/flows/logs/{flow['id']}"
    ok(client.patch(url, json={"log_status": "complete", "output": "x"}))
    with store.write() as session:
        session.connection().execute(update(table(Job)).values(state="done"))
    for _ in range(2):
        changed = f"/v5/tools/{tool['tool_id']}/log/{tool['id']}"
        ok(client.patch(changed, json={"output": "b"}))
    assert [job["log_id"] for job in rows(store, Job)] == [flow["id"]] * 2


# --- traces


def test_a_trace_by_hand_nests_and_completes(client: TestClient, store: Store) -> None:
    flow = open_flow(client)
    assert flow["log_status"] == "incomplete"
    call = post(client, "prompts", PROMPT | {"trace_parent_id": flow["id"], "output": "a"})
    tool = post(client, "tools", {"path": "t", "trace_parent_id": call["id"], "output": "b"})
    url = f"/v5/flows/logs/{flow['id']}"
    done = ok(client.patch(url, json={"log_status": "complete", "output": "c"}))
    assert (done["log_status"], done["output"], done["inputs"]) == ("complete", "c", {"q": 1})
    assert done["end_time"] is not None
    answer = get(client, flow["id"])
    (child,) = answer["trace_children"]
    (grandchild,) = child["trace_children"]
    assert [one["id"] for one in (child, grandchild)] == [call["id"], tool["id"]]
    assert {one["trace_id"] for one in (answer, child, grandchild)} == {answer["trace_id"]}
    assert answer["trace_flow_id"] == grandchild["trace_flow_id"] == flow["flow_id"]
    assert rows(store, Trace)[0]["completed_ns"] is not None

    late = client.post("/v5/tools/log", json={"path": "t", "trace_parent_id": tool["id"]})
    assert late.status_code == 409
    assert client.patch(url, json={"log_status": "incomplete"}).status_code == 409
    assert ok(client.patch(url, json={"output": "d"}))["output"] == "d"
    ids = listed(client, flow["flow_id"], in_trace_filter="true", include_trace_children="true")
    assert ids == [flow["id"]]


def test_a_flow_is_complete_only_with_inputs_and_an_outcome(client: TestClient) -> None:
    url = "/v5/flows/logs/f1"
    open_flow(client, log_id="f1", inputs=None)
    assert client.patch(url, json={"log_status": "complete"}).status_code == 422
    assert client.patch(url, json={"log_status": "complete", "output": "x"}).status_code == 422
    body = {"log_status": "complete", "inputs": {"q": 1}}
    assert client.patch(url, json=body).status_code == 422
    assert get(client, "f1")["log_status"] == "incomplete"
    failed = ok(client.patch(url, json=body | {"error": "kaput"}))
    assert (failed["log_status"], failed["error"]) == ("complete", "kaput")
    new = {"path": "support/answer", "log_status": "complete"}
    assert client.post("/v5/flows/log", json=new).status_code == 422
    assert client.patch("/v5/flows/logs/none", json={}).status_code == 404


def test_judgments_of_nested_logs_stand_with_them(client: TestClient) -> None:
    flow = open_flow(client)
    tool = post(client, "tools", {"path": "t", "trace_parent_id": flow["id"], "output": "b"})
    first = post(client, "evaluators", {"path": "e", "parent_id": tool["id"], "judgment": True})
    post(client, "evaluators", {"path": "meta", "parent_id": first["id"], "judgment": 0.5})
    (child,) = get(client, flow["id"])["trace_children"]
    (judgment,) = child["evaluator_logs"]
    assert (judgment["judgment"], judgment["parent_id"]) == (True, tool["id"])
    (meta,) = judgment["evaluator_logs"]
    assert meta["judgment"] == 0.5


def test_plain_spans_give_their_place_to_what_is_below_them(
    client: TestClient, store: Store
) -> None:
    flow = FileReference(kind="flow", path="f", content={"attributes": {}})
    tool = FileReference(kind="tool", path="t", content={"source_code": "x"})
    store.ingest(
        WORKSPACE,
        [
            log("top", kind="flow", file=flow, body=LogBody(output={"not": "text"})),
            log("between", "top", kind="span", is_genai=False),
            log("below", "between", kind="tool", file=tool),
        ],
    )
    answer = get(client, "top")
    assert [one["id"] for one in answer["trace_children"]] == ["below"]
    assert answer["output"] == '{"not":"text"}'
    assert client.get("/v5/logs/between").status_code == 404


# --- judgments


def test_judgments_of_several_people_and_taken_back(client: TestClient, store: Store) -> None:
    made = post(client, "prompts", PROMPT | {"output": "a"})

    def rate(value: Any, user: str) -> Any:
        body = {"path": "rating", "parent_id": made["id"], "judgment": value, "user": user}
        return post(client, "evaluators", body)

    rate("good", "u1")
    rate("bad", "u2")
    rate("bad", "u1")
    given = {e["user"]: e["judgment"] for e in get(client, made["id"])["evaluator_logs"]}
    assert given == {"u1": "bad", "u2": "bad"}
    taken = rate(None, "u1")
    given = {e["user"]: e["judgment"] for e in get(client, made["id"])["evaluator_logs"]}
    assert given == {"u1": None, "u2": "bad"}
    answer = get(client, taken["id"])
    assert [kind for kind in KINDS if kind in answer] == ["evaluator"]
    assert answer["parent"]["id"] == made["id"]
    evaluator_id = answer["evaluator"]["id"]
    assert len(listed(client, evaluator_id)) == 4
    with_parent = ok(
        client.get("/v5/logs", params={"file_id": evaluator_id, "include_parent": "true"})
    )
    assert {one["parent"]["id"] for one in with_parent["records"]} == {made["id"]}


def test_judgments_fit_what_their_evaluator_may_say(client: TestClient) -> None:
    made = post(client, "prompts", PROMPT | {"output": "a"})
    spec = {"evaluator_type": "external", "return_type": "number", "arguments_type": "target_free"}
    body = {"path": "score", "parent_id": made["id"], "spec": spec}
    post(client, "evaluators", body | {"judgment": 3})
    for wrong in ("x", True, ["a"]):
        response = client.post("/v5/evaluators/log", json=body | {"judgment": wrong})
        assert response.status_code == 422, response.text
    failed = post(client, "evaluators", body | {"error": "Traceback…"})
    answer = get(client, failed["id"])
    assert (answer["judgment"], answer["error"]) == (None, "Traceback…")
    missing = client.post("/v5/evaluators/log", json=body | {"parent_id": "log_none"})
    assert missing.status_code == 404
    assert client.post("/v5/evaluators/log", json={"path": "score"}).status_code == 422


# --- lists


def test_lists_have_pages_up_to_an_empty_one(client: TestClient) -> None:
    ids = [post(client, "prompts", PROMPT | {"log_id": f"l{n}"})["id"] for n in range(5)]
    file_id = get(client, "l0")["prompt"]["id"]
    pages = [
        ok(client.get("/v5/logs", params={"file_id": file_id, "page": page, "size": 2}))
        for page in (1, 2, 3, 4)
    ]
    assert [len(page["records"]) for page in pages] == [2, 2, 1, 0]
    assert [one["id"] for page in pages for one in page["records"]] == ids[::-1]
    assert [(page["page"], page["size"], page["total"]) for page in pages] == [
        (number, 2, 5) for number in (1, 2, 3, 4)
    ]
    assert client.get("/v5/logs").status_code == 422
    assert client.get("/v5/logs", params={"file_id": "pr_none"}).status_code == 404
    assert listed(client, file_id, size=0) == []


def test_every_filter_of_the_contract(client: TestClient) -> None:
    made = {}
    for name, fields in {
        "alpha-1": {"inputs": {"q": "where is my refund"}, "created_at": "2026-01-01T00:00:00Z"},
        "alpha_2": {
            "output": "no such order",
            "metadata": {"plan": "Pro", "Team": "x"},
            "created_at": "2026-02-01T00:00:00Z",
        },
        "beta-3": {"prompt": {"model": "other"}, "created_at": "2026-03-01T00:00:00+01:00"},
    }.items():
        made[name] = post(client, "prompts", {**PROMPT, **fields, "log_id": name})
    flow = open_flow(client)
    nested = {"log_id": "nested", "created_at": "2026-04-01T00:00:00Z"}
    post(client, "prompts", PROMPT | nested | {"trace_parent_id": flow["id"]})
    file_id = made["alpha-1"]["prompt_id"]

    def those(**query: Any) -> set[str]:
        return set(listed(client, file_id, **query))

    assert those(id="alpha") == {"alpha-1", "alpha_2"}
    assert those(id=["1", "beta"]) == {"alpha-1", "beta-3"}
    assert those(id="a_2") == {"alpha_2"}  # no wildcard
    assert those(version_id=made["beta-3"]["version_id"]) == {"beta-3"}
    assert those(search="refund") == {"alpha-1"}
    assert those(search="ORDER such") == {"alpha_2"}
    assert those(search="refu") == {"alpha-1"}
    assert those(search="refund order") == set()
    assert those(metadata_search="pro") == those(metadata_search="team") == {"alpha_2"}
    assert those(start_date="2026-01-15T00:00:00Z", end_date="2026-02-28T22:00:00Z") == {"alpha_2"}
    assert those(start_date="2026-02-28T23:00:00Z") == {"beta-3", "nested"}
    assert those(in_trace_filter="true") == {"nested"}
    assert those(in_trace_filter="false") == {"alpha-1", "alpha_2", "beta-3"}
    assert len(those(in_trace_filter=["true", "false"])) == 4
    assert len(those(sample=2)) == 2
    assert those(sample=2, page=2, size=2) == set()
    assert those(sample=9) == those()
    assert (
        client.get("/v5/logs", params={"file_id": file_id, "start_date": "then"}).status_code == 422
    )


def test_children_come_in_a_list_when_asked_for(client: TestClient) -> None:
    flow = open_flow(client)
    tool = post(client, "tools", {"path": "t", "trace_parent_id": flow["id"]})
    for wanted, children in (("true", [tool["id"]]), ("false", [])):
        page = ok(
            client.get(
                "/v5/logs", params={"file_id": flow["flow_id"], "include_trace_children": wanted}
            )
        )
        (record,) = page["records"]
        assert [one["id"] for one in record["trace_children"]] == children


# --- deleting


def test_deleted_logs_are_gone_and_what_is_below_stays(client: TestClient, store: Store) -> None:
    flow = open_flow(client)
    tool = post(client, "tools", {"path": "t", "trace_parent_id": flow["id"]})
    judged = post(client, "evaluators", {"path": "e", "parent_id": flow["id"], "judgment": True})
    response = client.delete("/v5/logs", params={"id": [flow["id"], "log_none"]})
    assert (response.status_code, response.content) == (204, b"")
    for gone in (flow, judged):
        assert client.get(f"/v5/logs/{gone['id']}").status_code == 404
    assert get(client, tool["id"])["trace_parent_id"] == flow["id"]
    assert client.delete("/v5/logs").status_code == 204


def test_a_key_that_may_only_send_changes_no_past(client: TestClient, store: Store) -> None:
    keys = {}
    for role in ("ingest", "full"):
        key = make_key()
        with store.write() as session:
            create_key(session, 1, name=role, role=role, key_hash=key.hash, hint=key.hint)
        keys[role] = {"X-API-KEY": key.text}
    made = [
        ok(client.post("/v5/flows/log", json={"path": "f", **more}, headers=keys["ingest"]))["id"]
        for more in ({}, {"log_status": "complete", "output": "x"})
    ]
    assert client.delete("/v5/logs", params={"id": made}).status_code == 401
    refused = client.delete("/v5/logs", params={"id": made}, headers=keys["ingest"])
    assert (refused.status_code, type(refused.json()["detail"])) == (403, str)
    changed = client.patch(
        f"/v5/flows/logs/{made[1]}", json={"output": "y"}, headers=keys["ingest"]
    )
    assert changed.status_code == 403
    ok(client.delete("/v5/logs", params={"id": made[:1]}, headers=keys["ingest"]))
    ok(client.delete("/v5/logs", params={"id": made}, headers=keys["full"]))
    assert rows(store, Log) == []
