"""What a Prompt's content and a call say reaches the model, and what is not to be kept is not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integrations.wire import openai as wire
from tests.integrations.wire.server import Reply, WireServer

Call = Callable[..., Any]
USER = [{"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def prompt(**more: Any) -> dict[str, Any]:
    return {"path": "p", "prompt": {"model": "gpt-4o", **more}, "messages": USER}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ({"seed": 0}, {"seed": 0}),
        ({"stop": "END"}, {"stop": "END"}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"max_tokens": 7, "top_p": 0.5}, {"max_tokens": 7, "top_p": 0.5}),
        ({"presence_penalty": 0.5, "frequency_penalty": 0.25}, None),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"response_format": {"type": "json_object"}}, None),
        ({"other": {"service_tier": "flex"}}, {"service_tier": "flex"}),
    ],
    ids=["seed", "stop", "stops", "limits", "penalties", "effort", "json", "other"],
)
def test_settings_of_a_prompt_reach_the_model_and_the_log(
    client: TestClient,
    call: Call,
    model: WireServer,
    content: dict[str, Any],
    sent: dict[str, Any] | None,
) -> None:
    answer = call("prompts/call", **prompt(**content))
    body = model.requests[0].body
    wanted = content if sent is None else sent
    assert {name: body.get(name) for name in wanted} == wanted
    log = client.get(f"logs/{answer['id']}").json()
    assert {name: log["provider_request"].get(name) for name in wanted} == wanted
    stored = {name: _said(answer["prompt"][name]) for name in content}
    assert stored == content


def test_schema_of_the_answer_reaches_the_model(call: Call, model: WireServer) -> None:
    wanted = {"type": "json_schema", "json_schema": SCHEMA}
    call("prompts/call", **prompt(response_format=wanted))
    wrapped = {"name": "response", "schema": SCHEMA}
    asked = model.requests[0].body["response_format"]
    assert asked == {"type": "json_schema", "json_schema": wrapped}


def test_json_mode_and_seed_are_another_version(call: Call) -> None:
    ids = [
        call("prompts/call", **prompt(**content))["prompt"]["version_id"]
        for content in ({}, {"seed": 1}, {"response_format": {"type": "json_object"}}, {})
    ]
    assert ids[0] == ids[3]
    assert len(set(ids)) == 3


def test_pictures_of_template_and_call_reach_the_model(call: Call, model: WireServer) -> None:
    far = {"type": "image_url", "image_url": {"url": "{{picture}}", "detail": "low"}}
    content = [{"type": "text", "text": "What is {{it}}?"}, far]
    body = prompt(template=[{"role": "user", "content": content}])
    body["messages"] = [{"role": "user", "content": [PICTURE]}]
    call("prompts/call", **body, inputs={"it": "this", "picture": "https://a.example/b.png"})
    first, second = (message["content"] for message in model.requests[0].body["messages"])
    assert first[0] == {"type": "text", "text": "What is this?"}
    assert first[1]["image_url"] == {"url": "https://a.example/b.png", "detail": "low"}
    assert second == [PICTURE]


def test_logprobs_are_asked_and_stay_in_the_providers_answer(
    client: TestClient, call: Call, model: WireServer
) -> None:
    told = wire.chat("gpt-4o", {"content": "x"})
    told["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": -0.5}]}
    model.script = lambda _: Reply(told)
    answer = call("prompts/call", **prompt(), logprobs=2)
    asked = model.requests[0].body
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)
    log = client.get(f"logs/{answer['id']}").json()
    logprobs = log["provider_response"]["choices"][0]["logprobs"]
    assert logprobs["content"][0]["logprob"] == -0.5


def test_suffix_and_text_are_for_completion_models(call: Call, model: WireServer) -> None:
    choice = {"index": 0, "text": " b", "finish_reason": "stop", "logprobs": None}
    model.script = lambda _: Reply(
        {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
    )
    content = {"model": "gpt-i", "endpoint": "complete", "template": "a {{x}}"}
    answer = call("prompts/call", path="p", prompt=content, inputs={"x": "1"}, suffix=" c")
    (request,) = model.requests
    assert request.path == "/v1/completions"
    assert (request.body["prompt"], request.body["suffix"]) == ("a 1", " c")
    assert answer["logs"][0]["output"] == " b"


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("text", ["secret-of-a-call", "fail 429 secret-of-a-call"])
def test_nothing_of_a_call_that_is_not_saved_is_kept(
    client: TestClient,
    call: Call,
    everything: Callable[[], str],
    is_streamed: bool,
    text: str,
) -> None:
    """Inputs, messages, what Tools in the template got and said, answers and errors."""
    source = "def shout(word):\n    print(word)\n    return word + '-shouted'\n"
    call("tools", path="shout", source_code=source)
    body = prompt(template=[{"role": "system", "content": "{{ shout(word) }} {{word}}"}])
    body |= {"inputs": {"word": "secret-of-a-call"}, "metadata": {"m": "secret-of-a-call"}}
    body |= {"messages": [{"role": "user", "content": text}], "save": False, "log_id": "l1"}
    answer = client.post("prompts/call", json=body | {"stream": is_streamed})
    assert answer.status_code == (429 if text.startswith("fail") else 200)
    log = client.get("logs/l1").json()
    assert (log["output"], log["inputs"], log["save"]) == (None, {}, False)
    assert [child["tool"]["path"] for child in log["trace_children"]] == ["shout"]
    assert "secret-of-a-call" not in everything()


def test_nothing_of_a_tools_call_that_is_not_saved_is_kept(
    client: TestClient, call: Call, everything: Callable[[], str]
) -> None:
    source = "def f(word):\n    print(word)\n    raise ValueError(word)\n"
    call("tools", path="f", source_code=source)
    answer = call("tools/call", path="f", inputs={"word": "secret-of-a-call"}, save=False)
    assert "secret-of-a-call" in answer["error"]
    assert "secret-of-a-call" not in everything()
    assert client.get(f"logs/{answer['id']}").json()["save"] is False


def test_saved_calls_are_found_by_the_same_search(
    call: Call, everything: Callable[[], str]
) -> None:
    """Else the tests above would prove nothing."""
    body = prompt() | {"messages": [{"role": "user", "content": "secret-of-a-call"}]}
    call("prompts/call", **body)
    assert "secret-of-a-call" in everything()


def test_inputs_come_back_unless_they_are_not_wanted(call: Call) -> None:
    body = prompt(template=[{"role": "user", "content": "{{a}}"}]) | {"inputs": {"a": "1"}}
    assert call("prompts/call", **body)["inputs"] == {"a": "1"}
    assert call("prompts/call", **body, return_inputs=False)["inputs"] == {}


def test_linked_tools_of_every_kind_are_told_to_the_model(call: Call, model: WireServer) -> None:
    google = call("tools", path="web/google", tool_type="google", setup_values={"api_key": "k"})
    call("prompts/call", **prompt(linked_tools=[google["id"]]))
    (tool,) = model.requests[0].body["tools"]
    assert json.loads(json.dumps(tool["function"])) == {
        "name": "google",
        "description": "Search Google.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
        },
    }


def _said(value: Any) -> Any:
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
