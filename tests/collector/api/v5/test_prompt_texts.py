"""Kernels of Prompts and Agents: templates filled, text out and in, sloppy contents shown."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from kibitz_collector.records import FileRegistration

KERNEL = {
    "model": "gpt-4o",
    "temperature": 0,
    "template": [
        {"role": "system", "content": "You are {{person}}."},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "{{found}}"},
    ],
    "tools": [{"name": "f", "description": "", "parameters": {"type": "object"}}],
    "stop": ["x"],
    "attributes": {"a": {"b": [1, None]}},
}


def save(client: TestClient, group: str = "prompts", **kernel: Any) -> Any:
    answer = client.post(group, json={"path": "p", **(kernel or KERNEL)})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("group", "field", "more"),
    [
        ("prompts", "prompt", {}),
        (
            "agents",
            "agent",
            {
                "max_iterations": 3,
                "tools": [
                    {"type": "file", "link": {"file_id": "tl_1"}, "on_agent_call": "continue"},
                    {"type": "inline", "json_schema": {"name": "f", "description": "d"}},
                ],
            },
        ),
    ],
)
def test_text_and_object_are_the_same_version(
    client: TestClient, group: str, field: str, more: dict[str, Any]
) -> None:
    kernel = {**KERNEL, **more}
    saved = save(client, group, **kernel)
    text = client.get(f"{group}/{saved['id']}/serialize")
    assert text.headers["content-type"].startswith("text/plain")
    read = client.post(f"{group}/deserialize", json={field: text.text}).json()
    assert read == kernel
    assert save(client, group, **read)["version_id"] == saved["version_id"]
    again = client.get(f"{group}/{saved['id']}/serialize", params={"environment": "production"})
    assert again.text == text.text
    for name, value in kernel.items():
        if name not in ("template", "tools"):
            assert saved[name] == value


def test_defaults_nulls_and_key_order_make_no_version(client: TestClient) -> None:
    one = save(client, model="m", template="Hi", temperature=1)
    spelled = {
        "template": "Hi", "provider": "openai", "endpoint": "chat", "model": "m", "top_p": 1.0,
        "max_tokens": -1, "presence_penalty": 0, "seed": None, "other": {}, "tools": [],
        "unknown_key": 1,
    }  # fmt: skip
    assert save(client, **spelled)["version_id"] == one["version_id"]
    tools = [{"name": name, "description": ""} for name in "ab"]
    two = save(client, model="m", tools=tools)
    strictness = [{"strict": False, **tool} for tool in tools]
    assert save(client, model="m", tools=strictness)["version_id"] == two["version_id"]
    assert save(client, model="m", tools=tools[::-1])["version_id"] != two["version_id"]


def test_a_template_is_filled_and_missing_inputs_are_named(client: TestClient) -> None:
    saved = save(client)
    assert saved["inputs"] == [{"name": "person"}, {"name": "found"}]
    url = f"prompts/{saved['id']}/populate"
    filled = client.post(url, json={"person": "Ada", "found": 42, "more": 1}).json()
    assert [m["content"] for m in filled["populated_template"]] == ["You are Ada.", None, "42"]
    assert filled["template"][0]["content"] == "You are {{person}}."
    missing = client.post(url, json={})
    assert missing.status_code == 422
    assert missing.json()["detail"][0]["msg"].endswith("not given: found, person")
    assert client.post("prompts/pr_none/populate", json={}).status_code == 404
    plain = save(
        client, model="m", template="{% if a %}{{ a }}{% endif %}", template_language="jinja"
    )
    query = {"version_id": plain["version_id"]}
    assert client.post(url, json={"a": "x"}, params=query).json()["populated_template"] == "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: m", "YAML header"),
        ("---\ntemperature: 1\n---\n", "model: Field required"),
        ("---\nmodel: m\ntemperature: hot\n---\n", "temperature"),
        ("---\nmodel: m\n---\n<message>{}</message>", "role"),
    ],
)
def test_a_text_that_is_no_kernel_is_refused(client: TestClient, text: str, words: str) -> None:
    refused = client.post("prompts/deserialize", json={"prompt": text})
    assert refused.status_code == 422
    assert words in refused.json()["detail"][0]["msg"]


def test_a_prompt_shows_the_tools_it_is_linked_to(client: TestClient) -> None:
    function = {"name": "look", "description": "Looks."}
    tool = client.post("tools", json={"path": "look", "function": function}).json()
    assert (tool["tool_type"], tool["signature"]) == ("json_schema", "look()")
    linked = save(client, model="m", linked_tools=[tool["id"], tool["version_id"], "tl_none"])
    shown = [(one["id"], one["version_id"], one["name"]) for one in linked["linked_tools"]]
    assert shown == [(tool["id"], tool["version_id"], "look")] * 2


def test_contents_of_spans_are_shown_as_far_as_the_contract_has_a_form(client: TestClient) -> None:
    app: Any = client.app
    for kind, content in {
        "prompt": {
            "model": 7,
            "temperature": "hot",
            "template": {"odd": 1},
            "tools": [{"type": "function", "function": {"name": "f"}}, "x", {"name": "g"}],
        },
        "tool": {"function": {"description": 1}, "source_code": 5},
        "flow": {"attributes": "x"},
        "agent": {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "evaluator": {
            "evaluator_type": "code",
            "code": "def f(log):\n    return 1",
            "options": ["a"],
        },
    }.items():
        registration = FileRegistration(kind=kind, path=kind, content=content)  # type: ignore[arg-type]
        app.state.store.register_file(1, registration)
    shown = {one["path"]: one for one in client.get("files").json()["records"]}
    assert (shown["prompt"]["model"], shown["prompt"]["template"]) == ("7", None)
    assert [tool["name"] for tool in shown["prompt"]["tools"]] == ["f", "g"]
    assert shown["tool"]["function"] is None
    assert shown["flow"]["attributes"] == {}
    assert shown["agent"]["tools"][0]["json_schema"]["name"] == "f"
    assert shown["evaluator"]["spec"]["evaluator_type"] == "python"
    assert shown["evaluator"]["spec"]["options"] == [{"name": "a", "valence": None}]
