"""Agents that call Files: Tools of every kind, Prompts, and other Agents."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integrations.wire import openai as wire
from tests.integrations.wire.server import Reply, Request, WireServer

Call = Callable[..., Any]
WAITING = {
    "type": "inline",
    "json_schema": {"name": "ask_user", "description": "Ask."},
    "on_agent_call": "stop",
}


def linked(*ids: str) -> list[dict[str, Any]]:
    return [{"type": "file", "link": {"file_id": one}} for one in ids]


def made(call: Call, path: str, tools: list[dict[str, Any]], **more: Any) -> str:
    """Make an Agent whose system prompt is its path; returns its id."""
    template = [{"role": "system", "content": f"I am {path}. {more.pop('text', '')}"}]
    body = {"model": "gpt-4o", "template": template, "tools": tools, **more}
    return str(call("agents", path=path, **body)["id"])


def script(plan: dict[str, list[dict[str, Any]]]) -> Callable[[Request], Reply]:
    """Answer each Agent, known by its system prompt, with the messages planned for it."""

    def answer(request: Request) -> Reply:
        name = request.body["messages"][0]["content"].split()[2].removesuffix(".")
        message = plan[name].pop(0)
        reason = "tool_calls" if "tool_calls" in message else "stop"
        return Reply(wire.chat("gpt-4o", message, reason))

    return answer


def calls(name: str, call_id: str = "c1", **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"id": call_id, "type": "function", "function": function}]}


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_agent_calls_an_agent_and_goes_on_with_its_answer(
    client: TestClient, call: Call, model: WireServer
) -> None:
    inner = made(call, "inner", [], text="For {{who}}.")
    made(call, "outer", linked(inner))
    model.script = script(
        {
            "outer": [calls("inner", who="Ada", message="find it"), {"content": "done: found"}],
            "inner": [{"content": "found"}],
        }
    )
    answer = call("agents/call", path="outer", messages=user("go"), include_trace_children=True)
    assert (answer["output"], answer["log_status"]) == ("done: found", "complete")
    told = model.requests[0].body["tools"][0]["function"]
    assert told["name"] == "inner"
    assert set(told["parameters"]["required"]) == {"who", "message"}
    asked = [message["content"] for message in model.requests[1].body["messages"]]
    assert asked == ["I am inner. For Ada.", "find it"]
    assert model.requests[2].body["messages"][-1]["content"] == "found"
    (child,) = [one for one in answer["trace_children"] if "agent" in one]
    assert (child["output"], child["trace_parent_id"]) == ("found", answer["id"])


def test_agent_that_waits_makes_the_one_above_wait(
    client: TestClient, call: Call, model: WireServer
) -> None:
    inner = made(call, "inner", [WAITING])
    made(call, "outer", linked(inner))
    model.script = script(
        {
            "outer": [calls("inner", message="find it"), {"content": "done"}],
            "inner": [calls("ask_user", "c9"), {"content": "he said yes"}],
        }
    )
    answer = call("agents/call", path="outer", messages=user("go"), include_trace_children=True)
    assert (answer["log_status"], answer["output"]) == ("incomplete", None)
    (child,) = [one for one in answer["trace_children"] if "agent" in one]
    assert child["log_status"] == "incomplete"
    result = {"role": "tool", "content": "yes", "tool_call_id": "c9"}
    below = call("agents/continue", log_id=child["id"], messages=[result])
    assert (below["log_status"], below["output"]) == ("complete", "he said yes")
    result = {"role": "tool", "content": below["output"], "tool_call_id": "c1"}
    done = call("agents/continue", log_id=answer["id"], messages=[result])
    assert (done["log_status"], done["output"]) == ("complete", "done")


def test_agents_in_a_circle_are_stopped(client: TestClient, call: Call, model: WireServer) -> None:
    first = made(call, "first", [])
    second = made(call, "second", linked(first))
    made(call, "first", linked(second))
    versions = client.get(f"agents/{first}/versions").json()["records"]
    newest = versions[0]["version_id"]
    model.script = script(
        {
            "first": [calls("second", message="a"), {"content": "enough"}],
            "second": [calls("first", message="b"), {"content": "I cannot"}],
        }
    )
    made_call = {"messages": user("go"), "id": first}
    answer = client.post(f"agents/call?version_id={newest}", json=made_call)
    assert answer.status_code == 200, answer.text
    assert answer.json()["output"] == "enough"
    told = model.requests[2].body["messages"][-1]["content"]
    assert told == "error: 'first' would be called by itself"


def test_failure_of_an_agent_is_told_to_the_one_above(
    call: Call, client: TestClient, model: WireServer
) -> None:
    inner = made(call, "inner", [])
    made(call, "outer", linked(inner))
    planned = script({"outer": [calls("inner", message="x"), {"content": "sorry"}]})

    def answer(request: Request) -> Reply:
        is_inner = "inner" in request.body["messages"][0]["content"]
        return wire.error(429, "tired") if is_inner else planned(request)

    model.script = answer
    done = call("agents/call", path="outer", messages=user("go"), include_trace_children=True)
    assert done["output"] == "sorry"
    assert model.requests[-1].body["messages"][-1]["content"] == "error: tired"
    (child,) = [one for one in done["trace_children"] if "agent" in one]
    assert child["error"] == "tired"


def test_what_a_model_asks_wrongly_is_told_to_it(call: Call, model: WireServer) -> None:
    inner = made(call, "inner", [], text="For {{who}}.")
    made(call, "outer", linked(inner))
    model.script = script({"outer": [calls("inner", message="x"), {"content": "sorry"}]})
    assert call("agents/call", path="outer", messages=user("go"))["output"] == "sorry"
    told = model.requests[-1].body["messages"][-1]["content"]
    assert told == "error: the template needs inputs that were not given: who"


@pytest.mark.parametrize(
    ("kind", "setup", "arguments", "expected"),
    [
        ("snippet", {"a": "Ah."}, {"key": "a"}, "Ah."),
        ("get_api_call", {"url": "URL/{city}"}, {"city": "Oslo"}, "/Oslo"),
        ("google", {"url": "URL", "api_key": "k"}, {"query": "tea"}, "nothing was found"),
    ],
    ids=["snippet", "api", "google"],
)
def test_agents_call_tools_of_every_kind(
    call: Call,
    model: WireServer,
    service: WireServer,
    kind: str,
    setup: dict[str, str],
    arguments: dict[str, str],
    expected: str,
) -> None:
    is_api = kind == "get_api_call"
    service.script = lambda r: Reply(
        raw=("text/plain", r.path.encode()) if is_api else None, body={}
    )
    setup = {name: value.replace("URL", service.url) for name, value in setup.items()}
    tool = call("tools", path="helper", tool_type=kind, setup_values=setup)
    made(call, "outer", linked(tool["id"]))
    model.script = script({"outer": [calls("helper", **arguments), {"content": "done"}]})
    assert call("agents/call", path="outer", messages=user("go"))["output"] == "done"
    assert model.requests[-1].body["messages"][-1]["content"] == expected
    parameters = model.requests[0].body["tools"][0]["function"]["parameters"]
    assert parameters["required"] == list(arguments)


def test_agent_that_is_not_to_be_saved_leaves_nothing(
    call: Call, model: WireServer, everything: Callable[[], str]
) -> None:
    tool = call(
        "tools",
        path="echo",
        source_code="def echo(text):\n    print(text)\n    return text\n",
        function={"name": "echo", "description": "e", "parameters": {"type": "object"}},
    )
    inner = made(call, "inner", [], text="For {{who}}.")
    made(call, "outer", linked(inner, tool["id"]))
    secret = "payload-nobody-keeps"
    model.script = script(
        {
            "outer": [
                calls("inner", who=f"{secret}-1", message=f"{secret}-2"),
                calls("echo", text=f"{secret}-3"),
                {"content": f"{secret}-4"},
            ],
            "inner": [{"content": f"{secret}-5"}],
        }
    )
    body = {
        "messages": user(f"{secret}-6"),
        "inputs": {"a": f"{secret}-7"},
        "metadata": {"m": secret},
    }
    answer = call("agents/call", path="outer", **body, save=False)
    assert answer["log_status"] == "complete"
    assert len(model.requests) == 4
    assert secret not in everything()
