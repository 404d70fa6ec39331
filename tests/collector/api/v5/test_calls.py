"""Calling Prompts, Tools and Agents through `/v5`: a real client package, a local model server."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from kibitz_collector import calls
from kibitz_collector.access.http import Context
from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from kibitz_collector.normalize import NO_PRICES
from kibitz_collector.records import FileRegistration
from tests.collector.api.v5 import model_wire
from tests.collector.api.v5.conftest import check_answer
from tests.conformance.contract import contract
from tests.integrations.wire.server import Reply, Request, WireServer

ADD = {
    "function": {
        "name": "add",
        "description": "Add.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
    "source_code": "import os\n\ndef add(a, b=0):\n    print('adding')\n"
    "    return os.environ.get('ANSWER') or a + b\n",
}
INLINE = {
    "type": "inline",
    "json_schema": {"name": "ask_user", "description": "Ask."},
    "on_agent_call": "stop",
}
CALL: dict[str, Any] = {
    "path": "support/persona",
    "prompt": {
        "model": "gpt-4o",
        "template": [{"role": "system", "content": "You are {{person}}."}],
        "temperature": 0,
    },
    "inputs": {"person": "Ada"},
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kibitz.db"


@pytest.fixture
def client(database: Path, model: WireServer) -> Iterator[TestClient]:
    settings = Settings(
        database_url=f"sqlite:///{database}",
        alert=False,
        openai_base_url=f"{model.url}/v1",
        openai_api_key="sk-ours",
        evaluator_timeout_s=2,
    )
    with TestClient(create_app(settings), base_url="http://localhost/v5/") as client:
        client.event_hooks["response"].append(_check)
        yield client


def _check(response: Any) -> None:
    if response.status_code < 500:  # a provider that is down is not our failure
        check_answer(response)


def call(client: TestClient, what: str = "prompts/call", **body: Any) -> Any:
    answer = client.post(what, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stream(client: TestClient, what: str = "prompts/call", **body: Any) -> list[dict[str, Any]]:
    """Return all events, each held against the contract."""
    schema = {
        "prompts/call": "PromptCallStreamResponse",
        "agents/call": "AgentCallStreamResponse",
        "agents/continue": "AgentContinueCallStreamResponse",
    }[what]
    check = Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": contract()["components"]}
    )
    answer = client.post(what, json=body | {"stream": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    *frames, last = answer.text.removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]"
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    events = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    for event in events:
        check.validate(event)
    return events


def stream_inside(client: TestClient) -> Generator[calls.Piece | calls.Sample, None, None]:
    """Call below HTTP."""
    app: Any = client.app
    caller = Context(app.state.settings, app.state.store, 1, "full", None, NO_PRICES)
    target = calls.find_target(caller, "prompt", path="p", content={"model": "gpt-4o"})
    asked = calls.PromptCall(target=target, messages=[{"role": "user", "content": "hi"}])
    return calls.stream_prompt(caller, asked)


def stored(client: TestClient, log_id: str) -> Any:
    answer = client.get(f"logs/{log_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_call_fills_the_template_asks_and_stores_what_came(
    client: TestClient, model: WireServer
) -> None:
    answer = call(client, **CALL, user="u1", metadata={"plan": "pro"}, environment="staging")
    assert model.requests[0].body == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You are Ada."},
            {"role": "user", "content": "hi"},
        ],
        "temperature": 0,
        "stream": False,
    }
    assert model.requests[0].headers["authorization"] == "Bearer sk-ours"
    (sample,) = answer["logs"]
    assert (sample["index"], sample["output"], sample["error"]) == (0, "you said hi", None)
    assert sample["output_message"]["content"] == "you said hi"
    counts = [sample[name] for name in ("prompt_tokens", "output_tokens", "reasoning_tokens")]
    assert counts == [20, 9, 3]
    assert sample["prompt_cost"] > 0
    assert sample["output_cost"] > 0
    assert sample["finish_reason"] == "stop"
    assert answer["inputs"] == {"person": "Ada"}
    assert (answer["prompt"]["path"], answer["environment"]) == ("support/persona", "staging")
    log = stored(client, answer["id"])
    assert log["prompt"]["version_id"] == answer["prompt"]["version_id"]
    for name in ("output", "prompt_tokens", "output_tokens", "prompt_cost", "finish_reason"):
        assert log[name] == sample[name]
    assert (log["user"], log["metadata"], log["inputs"]) == ("u1", {"plan": "pro"}, CALL["inputs"])
    assert [m["content"] for m in log["messages"]] == ["hi"]
    assert log["provider_request"]["messages"][0]["content"] == "You are Ada."
    assert log["provider_response"]["choices"][0]["finish_reason"] == "stop"
    assert log["trace_id"] == answer["trace_id"]


def test_samples_are_asked_one_by_one_and_are_a_log_each(
    client: TestClient, model: WireServer
) -> None:
    answer = call(client, **CALL, num_samples=3, log_id="chosen", return_inputs=False)
    assert [sample["index"] for sample in answer["logs"]] == [0, 1, 2]
    assert (answer["id"], answer["inputs"]) == ("chosen", {})
    assert len(model.requests) == 3
    listed = client.get("logs", params={"file_id": answer["prompt"]["id"]}).json()
    assert listed["total"] == 3


def test_missing_inputs_are_all_named_and_nothing_is_asked(
    client: TestClient, model: WireServer
) -> None:
    template = [{"role": "user", "content": "{{b}} {{a}} {{c}}"}]
    body = {**CALL, "prompt": {"model": "m", "template": template}, "inputs": {"c": "1"}}
    answer = client.post("prompts/call", json=body)
    assert answer.status_code == 422
    assert "a, b" in answer.json()["detail"][0]["msg"]
    assert model.requests == []


def test_version_is_chosen_by_id_by_environment_or_by_default(
    client: TestClient, model: WireServer
) -> None:
    first = call(client, **CALL)["prompt"]
    other = {**CALL, "prompt": {**CALL["prompt"], "temperature": 1}}
    second = call(client, **other)["prompt"]
    assert first["version_id"] != second["version_id"]
    made = client.post("http://localhost/api/environments", json={"name": "staging"})
    deploy = f"prompts/{first['id']}/environments/{made.json()['id']}"
    assert client.post(deploy, params={"version_id": second["version_id"]}).status_code == 200
    plain = {"path": CALL["path"], "inputs": CALL["inputs"], "environment": "production"}

    def used(**query: str) -> Any:
        answer = client.post("prompts/call", params=query, json=plain)
        assert answer.status_code == 200, answer.text
        return answer.json()["prompt"]["version_id"], answer.json()["environment"]

    assert used() == (first["version_id"], "production")
    assert used(environment="staging") == (second["version_id"], "production")
    assert used(version_id=second["version_id"]) == (second["version_id"], "production")
    assert [r.body["temperature"] for r in model.requests[2:]] == [0, 1, 1]
    assert client.post("prompts/call", params={"environment": "no"}, json=plain).status_code == 404
    assert client.post("prompts/call", json={"path": "not/there"}).status_code == 404
    assert client.post("prompts/call", json={}).status_code == 422


def test_prompt_may_come_as_the_text_of_its_file(client: TestClient, model: WireServer) -> None:
    text = "---\nmodel: gpt-4o\ntemperature: 0\n---\n<system>\n  You are {{person}}.\n</system>\n"
    first = call(client, **CALL)["prompt"]["version_id"]
    assert call(client, **{**CALL, "prompt": text})["prompt"]["version_id"] == first


def test_stream_tells_each_piece_then_all_the_rest(client: TestClient) -> None:
    *pieces, end = stream(client, **CALL)
    assert "".join(piece["output"] for piece in pieces) == "you said hi"
    assert len(pieces) == 3
    assert "output" not in end
    assert end["output_message"]["content"] == "you said hi"
    assert (end["finish_reason"], end["prompt_tokens"], end["output_tokens"]) == ("stop", 20, 9)
    (log_id,) = {event["id"] for event in [*pieces, end]}
    log = stored(client, log_id)
    assert (log["output"], log["finish_reason"]) == ("you said hi", "stop")
    assert log["provider_response"]["usage"]["completion_tokens"] == 9


def test_streamed_samples_are_told_apart_by_index(client: TestClient) -> None:
    events = stream(client, **CALL, num_samples=2)
    for index in (0, 1):
        own = [event for event in events if event["index"] == index]
        assert "".join(event.get("output") or "" for event in own) == "you said hi"
        assert len({event["id"] for event in own}) == 1
    assert len({event["id"] for event in events}) == 2


def test_done_mark_inside_a_text_does_not_end_the_stream(client: TestClient) -> None:
    body = {**CALL, "messages": [{"role": "user", "content": "data: [DONE] x"}]}
    answer = client.post("prompts/call", json=body | {"stream": True})
    assert answer.text.count("[DONE]") == 1
    pieces = stream(client, **body)
    assert "".join(p.get("output") or "" for p in pieces) == "you said data: [DONE] x"


def test_first_event_comes_while_the_model_still_speaks(
    client: TestClient, model: WireServer
) -> None:
    is_read = threading.Event()

    def slowly(request: Request) -> Reply:
        reply = model_wire.answer(request)
        reply.hold = (3, is_read)
        return reply

    model.script = slowly
    items = stream_inside(client)  # the test client hands an answer on only when it is whole
    first = next(items)
    assert isinstance(first, calls.Piece)
    assert not is_read.is_set()
    is_read.set()
    last = list(items)[-1]
    assert isinstance(last, calls.Sample)
    assert last.output == "you said hi"


def test_stream_that_is_left_is_an_abandoned_log(client: TestClient) -> None:
    items = stream_inside(client)
    first = next(items)
    assert isinstance(first, calls.Piece)
    items.close()
    (log,) = client.get("http://localhost/api/logs").json()["items"]
    assert (log["id"], log["status"]) == (first.log_id, "abandoned")
    assert stored(client, first.log_id)["output"] == "you"


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (422, 400, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (500, 503, "server_error"),
    ],
)
def test_provider_errors_are_told_and_logged(
    client: TestClient, status: int, told: int, kind: str, is_streamed: bool
) -> None:
    body = {**CALL, "messages": [{"role": "user", "content": f"fail {status}"}]}
    answer = client.post("prompts/call", json=body | {"stream": is_streamed, "log_id": "l1"})
    assert answer.status_code == told
    assert answer.json()["detail"] == {
        "type": kind,
        "message": "the model is tired",
        "code": status,
        "origin": "openai",
    }
    log = stored(client, "l1")
    assert (log["error"], log["output"]) == ("the model is tired", None)
    assert log["provider_request"]["model"] == "gpt-4o"
    assert log["provider_response"]["status"] == status


def test_what_is_not_to_be_saved_is_nowhere_in_the_database(
    client: TestClient, database: Path
) -> None:
    secret = "the-payload-nobody-keeps"
    body = {**CALL, "inputs": {"person": secret}, "save": False}
    body["messages"] = [{"role": "user", "content": secret}]
    answer = call(client, **body)
    assert secret in answer["logs"][0]["output"]
    failed = {**body, "messages": [{"role": "user", "content": "fail 400"}], "log_id": "failed"}
    assert client.post("prompts/call", json=failed).status_code == 400
    log = stored(client, answer["id"])
    assert (log["output"], log["inputs"], log["save"]) == (None, {}, False)
    assert log["prompt_tokens"] == 20
    assert stored(client, "failed")["error"] == "invalid_request_error"
    assert secret not in _everything(database)


def test_keys_of_a_call_are_used_and_kept_nowhere(
    client: TestClient, model: WireServer, database: Path
) -> None:
    call(client, **CALL, provider_api_keys={"openai": "sk-of-the-caller"})
    assert model.requests[0].headers["authorization"] == "Bearer sk-of-the-caller"
    assert "sk-of-the-caller" not in _everything(database)


def test_saved_keys_are_sealed_shown_by_their_end_and_used(
    client: TestClient, model: WireServer, database: Path
) -> None:
    body = {"api_key": "sk-saved-for-mine", "base_url": f"{model.url}/v1"}
    saved = client.put("http://localhost/api/providers/deepseek", json=body).json()
    assert saved == {"name": "deepseek", "base_url": f"{model.url}/v1", "key_hint": "…mine"}
    assert client.get("http://localhost/api/providers").json()["items"] == [saved]
    prompt = {"model": "own-model", "provider": "deepseek"}
    call(client, path="own", prompt=prompt, messages=CALL["messages"])
    assert model.requests[0].headers["authorization"] == "Bearer sk-saved-for-mine"
    assert "sk-saved-for-mine" not in _everything(database)
    assert client.delete("http://localhost/api/providers/deepseek").status_code == 204
    answer = client.post("prompts/call", json={"path": "own"})
    assert (answer.status_code, answer.json()["detail"]["origin"]) == (400, "kibitz")
    assert "provider_api_keys.deepseek" in answer.json()["detail"]["message"]


def test_tools_choice_and_linked_tools_reach_the_model(
    client: TestClient, model: WireServer
) -> None:
    linked = client.post("tools", json={"path": "math/add", **ADD}).json()
    prompt = {"model": "gpt-4o", "tools": [INLINE["json_schema"]], "linked_tools": [linked["id"]]}
    choice = {"type": "function", "function": {"name": "add"}}
    messages = [{"role": "user", "content": "use add"}]
    answer = call(client, path="t", prompt=prompt, messages=messages, tool_choice=choice)
    body = model.requests[0].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["ask_user", "add"]
    assert body["tool_choice"] == answer["tool_choice"] == choice
    (asked,) = answer["logs"][0]["output_message"]["tool_calls"]
    function = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
    assert asked == {"id": "call_1", "type": "function", "function": function}
    assert stored(client, answer["id"])["output_message"]["tool_calls"] == [asked]
    # The answer goes back the way it came.
    said = [*messages, answer["logs"][0]["output_message"]]
    said.append({"role": "tool", "content": "3", "tool_call_id": "call_1"})
    assert call(client, path="t", messages=said)["logs"][0]["output"] == "so: 3"
    assert model.requests[1].body["messages"][1]["tool_calls"] == [asked]


def test_call_inside_a_trace_is_nested_and_a_complete_one_takes_no_more(
    client: TestClient,
) -> None:
    flow = call(client, "flows/log", path="f", log_status="incomplete")["id"]
    inner = call(client, **CALL, trace_parent_id=flow)
    assert inner["trace_parent_id"] == flow
    assert [child["id"] for child in stored(client, flow)["trace_children"]] == [inner["id"]]
    done = {"log_status": "complete", "output": "x", "inputs": {"a": 1}}
    assert client.patch(f"flows/logs/{flow}", json=done).status_code == 200
    late = client.post("prompts/call", json=CALL | {"trace_parent_id": flow})
    assert late.status_code == 409


def test_snippets_in_a_template_are_replaced_by_their_texts(
    client: TestClient, model: WireServer
) -> None:
    pairs = {"formal": "Write formally.", "kind": "Be kind to {{name}}."}
    snippet = {"path": "texts/tone", "tool_type": "snippet", "setup_values": pairs}
    assert client.post("tools", json=snippet).status_code == 200
    text = '{{ tone("formal") }} {{tone(mood)}} {{name}}'
    prompt = {"model": "gpt-4o", "template": [{"role": "system", "content": text}]}
    inputs = {"mood": "kind", "name": "Ada"}
    call(client, path="s", prompt=prompt, inputs=inputs)
    said = model.requests[0].body["messages"][0]["content"]
    assert said == "Write formally. Be kind to {{name}}. Ada"
    for wrong, words in (
        ({"mood": "sad", "name": "A"}, "has no key 'sad'; it has: formal, kind"),
        ({"name": "A"}, "were not given: mood"),
    ):
        answer = client.post("prompts/call", json={"path": "s", "inputs": wrong})
        assert answer.status_code == 422
        assert words in answer.json()["detail"][0]["msg"]
    prompt = {"model": "gpt-4o", "template": [{"role": "user", "content": "{{ google(q) }}"}]}
    answer = client.post("prompts/call", json={"path": "g", "prompt": prompt, "inputs": {"q": "x"}})
    assert "none of this name" in answer.json()["detail"][0]["msg"]


def test_versions_made_of_spans_are_refused_in_words_when_they_cannot_be_called(
    client: TestClient,
) -> None:
    app: Any = client.app
    for number, (content, words) in enumerate(
        [
            ({"model": 1}, "names no model"),
            ({"model": "m", "template": [{"content": "no role"}]}, "neither a text nor a list"),
            ({"model": "m", "tools": [{"what": 1}]}, "has no name"),
            ({"model": "m", "endpoint": "edit"}, "chat and complete"),
            ({"model": "m", "max_tokens": "many"}, "max_tokens must be a number"),
        ]
    ):
        registration = FileRegistration(kind="prompt", path=f"odd/{number}", content=content)
        app.state.store.register_file(1, registration)
        answer = client.post("prompts/call", json={"path": f"odd/{number}"})
        assert answer.status_code == 422
        assert words in answer.json()["detail"][0]["msg"]


# --- Tools


def test_tool_with_code_is_run_in_the_sandbox_and_logged(client: TestClient) -> None:
    answer = call(client, "tools/call", path="math/add", tool=ADD, inputs={"a": 1, "b": 2})
    assert (answer["output"], answer["error"], answer["stdout"]) == ("3", None, "adding\n")
    log = stored(client, answer["id"])
    assert (log["output"], log["inputs"], log["stdout"]) == ("3", {"a": 1, "b": 2}, "adding\n")
    wrong = call(client, "tools/call", path="math/add", inputs={"z": 1})
    assert wrong["output"] is None
    assert "unexpected keyword argument 'z'" in wrong["error"]
    assert stored(client, wrong["id"])["error"] == wrong["error"]


def test_tool_without_code_is_refused_with_the_way_out(client: TestClient) -> None:
    schema = {"function": ADD["function"]}
    answer = client.post("tools/call", json={"path": "math/schema", "tool": schema})
    assert answer.status_code == 422
    assert "POST /v5/tools/log" in answer.json()["detail"][0]["msg"]


def test_environment_variables_reach_the_code_and_are_sealed(
    client: TestClient, database: Path
) -> None:
    tool = call(client, "tools/call", path="math/add", tool=ADD, inputs={"a": 1})["tool"]["id"]
    where = f"tools/{tool}/environment-variables"
    given = [{"name": "ANSWER", "value": "a-sealed-answer"}, {"name": "B", "value": "1"}]
    assert client.post(where, json=given).json() == given
    assert client.get(where).json() == given
    assert "a-sealed-answer" not in _everything(database)
    assert call(client, "tools/call", id=tool, inputs={"a": 1})["output"] == "a-sealed-answer"
    assert client.delete(f"{where}/ANSWER").json() == given[1:]
    assert client.delete(f"{where}/ANSWER").status_code == 404
    assert call(client, "tools/call", id=tool, inputs={"a": 1})["output"] == "1"
    assert client.post(where, json=[{"name": "not a name", "value": ""}]).status_code == 422
    assert client.get("tools/tl_missing/environment-variables").status_code == 404


# --- Agents


@pytest.fixture
def agent(client: TestClient) -> dict[str, Any]:
    """A request for an Agent with one Tool that is run here and one that is not."""
    tool = client.post("tools", json={"path": "math/add", **ADD}).json()
    linked = {"type": "file", "link": {"file_id": tool["id"]}, "on_agent_call": "continue"}
    kernel = {
        "model": "gpt-4o",
        "template": [{"role": "system", "content": "You are {{person}}."}],
        "tools": [linked, INLINE],
        "max_iterations": 3,
    }
    return {"path": "helper", "agent": kernel, "inputs": {"person": "Ada"}}


def saying(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def test_agent_runs_its_tools_until_it_is_done(
    client: TestClient, model: WireServer, agent: dict[str, Any]
) -> None:
    answer = call(client, "agents/call", **agent, **saying("use add"), include_trace_children=True)
    assert (answer["output"], answer["log_status"]) == ("so: 3", "complete")
    assert answer["previous_agent_message"] is None
    assert (answer["prompt_tokens"], answer["output_tokens"]) == (40, 18)
    (tool_log,) = answer["trace_children"]
    assert (tool_log["tool"]["path"], tool_log["output"]) == ("math/add", "3")
    assert [m["role"] for m in answer["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert [tool["function"]["name"] for tool in model.requests[0].body["tools"]] == [
        "add",
        "ask_user",
    ]
    assert model.requests[1].body["messages"][0]["content"] == "You are Ada."


def test_agent_waits_for_what_it_may_not_run_and_goes_on(
    client: TestClient, model: WireServer, agent: dict[str, Any]
) -> None:
    asked = call(client, "agents/call", **agent, **saying("use add,ask_user"))
    assert (asked["log_status"], asked["output"]) == ("incomplete", None)
    assert asked["end_time"] is None
    names = [c["function"]["name"] for c in asked["previous_agent_message"]["tool_calls"]]
    assert names == ["add", "ask_user"]
    nothing = client.post("agents/continue", json={"log_id": asked["id"], "messages": []})
    assert nothing.status_code == 422
    assert "ask_user (call_2)" in nothing.json()["detail"][0]["msg"]
    result = {"role": "tool", "content": "yes", "tool_call_id": "call_2"}
    done = call(client, "agents/continue", log_id=asked["id"], messages=[result])
    assert (done["id"], done["log_status"], done["output"]) == (
        asked["id"],
        "complete",
        "so: 3, yes",
    )
    assert stored(client, done["id"])["output"] == "so: 3, yes"
    again = client.post("agents/continue", json={"log_id": asked["id"], "messages": [result]})
    assert again.status_code == 409
    assert len(model.requests) == 2


def test_of_two_that_bring_the_result_one_goes_on(
    client: TestClient, model: WireServer, agent: dict[str, Any]
) -> None:
    asked = call(client, "agents/call", **agent, **saying("use ask_user"))
    result = [{"role": "tool", "content": "yes", "tool_call_id": "call_2"}]
    app: Any = client.app
    caller = Context(app.state.settings, app.state.store, 1, "full", None, NO_PRICES)
    calls.resume_agent(caller, asked["id"], result, None)  # goes on, somewhere
    late = client.post("agents/continue", json={"log_id": asked["id"], "messages": result})
    assert late.status_code == 409
    assert "goes on already" in late.json()["detail"]
    assert len(model.requests) == 1


def test_agent_that_never_ends_is_ended(
    client: TestClient, model: WireServer, agent: dict[str, Any]
) -> None:
    def restless(request: Request) -> Reply:
        request.body["messages"][-1] = {"role": "user", "content": "use add"}
        return model_wire.answer(request)

    model.script = restless
    answer = call(client, "agents/call", **agent, **saying("x"))
    assert (answer["log_status"], answer["finish_reason"]) == ("complete", "max_iterations")
    assert len(model.requests) == 3


def test_agent_whose_model_fails_is_an_error(client: TestClient, agent: dict[str, Any]) -> None:
    answer = client.post("agents/call", json=agent | saying("fail 429") | {"log_id": "a1"})
    assert (answer.status_code, answer.json()["detail"]["code"]) == (429, 429)
    assert stored(client, "a1")["error"] == "the model is tired"


def test_agent_tells_its_steps_as_events(client: TestClient, agent: dict[str, Any]) -> None:
    events = stream(client, "agents/call", **agent, **saying("use add,ask_user"))
    assert [event["type"] for event in events] == [
        "agent_turn_start",
        "agent_start",
        "agent_end",
        "tool_start",
        "tool_end",
        "agent_turn_suspend",
    ]
    log_id = events[0]["log_id"]
    assert events[3]["payload"]["function"]["name"] == "add"
    assert events[4]["payload"]["output"] == "3"
    result = {"role": "tool", "content": "yes", "tool_call_id": "call_2"}
    more = stream(client, "agents/continue", log_id=log_id, messages=[result])
    kinds = [event["type"] for event in more]
    assert kinds[:2] == ["agent_turn_continue", "agent_start"]
    assert kinds[-2:] == ["agent_end", "agent_turn_end"]
    pieces = [event["payload"]["output"] for event in more if event["type"] == "agent_update"]
    assert "".join(pieces) == more[-1]["payload"]["output"] == "so: 3, yes"


def test_turns_of_an_agent_carry_its_cost_once(client: TestClient, agent: dict[str, Any]) -> None:
    answer = call(client, "agents/call", **agent, **saying("use add"))
    logs = client.get(
        "http://localhost/api/logs", params={"q": f"id:{answer['id']} OR kind:prompt"}
    ).json()
    costs = {log["kind"]: log["cost_usd"] for log in logs["items"]}
    assert costs["agent"] is None
    assert costs["prompt"] > 0


def _everything(database: Path) -> str:
    """Return all that the database holds, text and bytes, compressed bodies inflated."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        found = []
        # Tables of the text index hold its words; the virtual one over them cannot be read.
        for name in [name for (name,) in tables if name != "log_text"]:
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                for value in row:
                    if isinstance(value, bytes):
                        with contextlib.suppress(zstandard.ZstdError):
                            value = zstandard.ZstdDecompressor().decompressobj().decompress(value)
                        value = value.decode("utf-8", "replace")
                    found.append(str(value))
    return "\n".join(found)
