"""Tool calls written in templates: Snippets, code, services; filled before the model is asked."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integrations.wire.server import Reply, WireServer

Call = Callable[..., Any]
LOOKUP = {
    "function": {
        "name": "lookup",
        "description": "Look up.",
        "parameters": {"type": "object", "properties": {"city": {}, "day": {}}},
    },
    "source_code": "def lookup(city, day='now'):\n    return f'{city} is fine {day}'\n",
}


def prompt(text: str, **more: Any) -> dict[str, Any]:
    return {
        "path": "p",
        "prompt": {"model": "gpt-4o", "template": [{"role": "user", "content": text}], **more},
    }


def asked(model: WireServer) -> str:
    return str(model.requests[-1].body["messages"][0]["content"])


def test_code_is_run_with_inputs_and_literals(call: Call, model: WireServer) -> None:
    call("tools", path="facts/lookup", **LOOKUP)
    text = 'Now: {{ lookup(where, "to day") }}. {{ lookup("Rome") }}.'
    call("prompts/call", **prompt(text), inputs={"where": "Oslo"})
    assert asked(model) == "Now: Oslo is fine to day. Rome is fine now."


def test_tools_in_a_template_are_logs_below_the_prompts(client: TestClient, call: Call) -> None:
    call("tools", path="lookup", **LOOKUP)
    text = "{{ lookup(where) }} {{ lookup(where) }}"
    answer = call("prompts/call", **prompt(text), inputs={"where": "Oslo"}, log_id="mine")
    log = client.get("logs/mine").json()
    (child,) = log["trace_children"]  # equal calls are made once
    assert (child["output"], child["trace_parent_id"]) == ("Oslo is fine now", "mine")
    assert child["tool"]["path"] == "lookup"
    assert answer["id"] == "mine"


def test_code_without_a_schema_takes_arguments_in_its_own_order(
    call: Call, model: WireServer
) -> None:
    source = (
        "def helper(x):\n    return x\n\n"
        "def join(a: str, sep: str = ', (', *, b: dict[str, int] | None = None):\n"
        "    return helper(a) + sep + str(b)\n"
    )
    call("tools", path="join", source_code=source)
    call("prompts/call", **prompt('{{ join("x", "-", 3) }}'))
    assert asked(model) == "x-3"


def test_service_is_asked_from_a_template(
    call: Call, model: WireServer, service: WireServer
) -> None:
    setup = {"url": f"{service.url}/{{city}}", "params": ["day"]}
    call("tools", path="weather", tool_type="get_api_call", setup_values=setup)
    service.script = lambda request: Reply(raw=("text/plain", request.path.encode()))
    call("prompts/call", **prompt('{{ weather(city, "may") }}'), inputs={"city": "Oslo"})
    assert asked(model) == "/Oslo?day=may"


def test_snippets_are_read_by_key_or_literal(call: Call, model: WireServer) -> None:
    pairs = {"formal": "Be formal.", "short": "Be short."}
    call("tools", path="tone", tool_type="snippet", setup_values=pairs)
    text = '{{ tone(how) }} {{ tone("short") }}'
    call("prompts/call", **prompt(text), inputs={"how": "formal"})
    assert asked(model) == "Be formal. Be short."
    assert call("tools/call", path="tone", inputs={"key": "short"})["output"] == "Be short."


def test_ten_pairs_are_a_snippet(call: Call) -> None:
    pairs = {str(number): "x" for number in range(10)}
    call("tools", path="tone", tool_type="snippet", setup_values=pairs)


def test_jinja_calls_tools_too(call: Call, model: WireServer) -> None:
    call("tools", path="lookup", **LOOKUP)
    call("tools", path="tone", tool_type="snippet", setup_values={"a": "Ah."})
    text = "{{ tone('a') }}{% for c in cities %} {{ lookup(c, 7) }}{% endfor %}"
    body = prompt(text, template_language="jinja")
    call("prompts/call", **body, inputs={"cities": ["Oslo", "Rome"]})
    assert asked(model) == "Ah. Oslo is fine 7 Rome is fine 7"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ nothing(a) }}", "there is none of this name"),
        ("{{ twice(a) }}", "there are several: x/twice, y/twice"),
        ("{{ lookup(a, a, a) }}", "takes city, day"),
        ('{{ lookup(a, "boom") }}', "lookup' in the template failed: TypeError"),
        ("{{ schema(a) }}", "cannot be called"),
        ("{{ tone(a) }}", "has no key 'A'; it has: k"),
        ("{{ tone(a, a) }}", "takes one key"),
        ("{{ lookup(b) }}", "not given: b"),
    ],
)
def test_what_cannot_be_called_is_said_and_no_model_is_asked(
    call: Call, refused: Call, model: WireServer, text: str, words: str
) -> None:
    for path in ("x/twice", "y/twice"):
        call("tools", path=path, **LOOKUP)
    source = "def lookup(city, day=1):\n    return day + 1\n"
    call("tools", path="lookup", **{**LOOKUP, "source_code": source})
    call("tools", path="schema", function=LOOKUP["function"])
    call("tools", path="tone", tool_type="snippet", setup_values={"k": "v"})
    assert words in refused("prompts/call", **prompt(text), inputs={"a": "A"})
    assert model.requests == []


def test_a_template_makes_so_many_different_calls(
    call: Call, refused: Call, model: WireServer
) -> None:
    call("tools", path="lookup", **LOOKUP)
    text = "{% for n in range(1000) %}{{ lookup(n) }}{% endfor %}"
    body = prompt(text, template_language="jinja")
    assert "at most 20 different tool calls" in refused("prompts/call", **body)


def test_agents_ask_the_tools_of_their_template_once(
    client: TestClient, call: Call, model: WireServer
) -> None:
    call("tools", path="lookup", **LOOKUP)
    add = {
        "function": {"name": "add", "description": "Add.", "parameters": {"type": "object"}},
        "source_code": "def add(a, b):\n    return a + b\n",
    }
    tool = call("tools", path="add", **add)
    template = [{"role": "system", "content": "{{ lookup(city) }}"}]
    tools = [{"type": "file", "link": {"file_id": tool["id"]}}]
    answer = call(
        "agents/call",
        path="agent",
        agent={"model": "gpt-4o", "template": template, "tools": tools},
        inputs={"city": "Oslo"},
        messages=[{"role": "user", "content": "use add"}],
        include_trace_children=True,
    )
    assert answer["output"] == "so: 3"
    assert len(model.requests) == 2
    assert {r.body["messages"][0]["content"] for r in model.requests} == {"Oslo is fine now"}
    outputs = [child["output"] for child in answer["trace_children"] if "tool" in child]
    assert outputs == ["Oslo is fine now", "3"]
