"""Values that nobody expects are refused in words or taken; none is a failure of the collector."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integrations.wire.server import WireServer

ODD: list[Any] = [10**30, -1.5e300, True, None, [], {}, [[{}]], "", "\x00", "{{x}}", {"a": 10**30}]
NOWHERE = "http://127.0.0.1:1"
SETTINGS = {
    "get_api_call": ("url", "params", "headers", "api_key_header"),
    "google": ("url", "num"),
    "pinecone_search": ("host", "embedding_model", "embedding_provider", "top_k"),
    "snippet": ("a",),
}


def refused_or_taken(client: TestClient, what: str, body: Any, *statuses: int) -> Any:
    answer = client.post(what, json=body)
    assert answer.status_code in (200, 422, *statuses), f"{body}: {answer.text}"
    return answer


@pytest.mark.parametrize("language", ["default", "jinja"])
def test_inputs_of_prompts(client: TestClient, model: WireServer, language: str) -> None:
    template = [{"role": "user", "content": "{{x}}"}]
    prompt = {"model": "gpt-4o", "template": template, "template_language": language}
    for value in ODD:
        body = {"path": "p", "prompt": prompt, "inputs": {"x": value}}
        refused_or_taken(client, "prompts/call", body)


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_of_tools(client: TestClient, kind: str) -> None:
    usual = {} if kind == "snippet" else {"url": f"{NOWHERE}/", "host": NOWHERE, "api_key": "k"}
    for name in SETTINGS[kind]:
        for value in ODD:
            tool = {"tool_type": kind, "setup_values": usual | {name: value}}
            body = {"path": "t", "tool": tool, "inputs": {"query": "x", "key": "a"}}
            refused_or_taken(client, "tools/call", body)


def test_addresses_of_tools(client: TestClient) -> None:
    for url in ("http://[::", "http://a:99999999/", "//", "{city}", "http://{city", "http://é.x/"):
        tool = {"tool_type": "get_api_call", "setup_values": {"url": url}}
        body = {"path": "t", "tool": tool, "inputs": {"city": 10**30, "b": [10**30]}}
        answer = refused_or_taken(client, "tools/call", body)
        assert answer.status_code == 422 or answer.json()["error"]


@pytest.mark.parametrize("provider", ["google", "bedrock", "cohere", "replicate"])
def test_settings_of_prompts(client: TestClient, provider: str) -> None:
    saved = {"api_key": "a:b", "base_url": NOWHERE}
    client.put(f"http://localhost/api/providers/{provider}", json=saved)
    for setting in ("seed", "stop", "reasoning_effort", "response_format", "other"):
        for value in ODD:
            prompt = {"model": "m", "provider": provider, setting: value}
            messages = [{"role": "user", "content": "x"}]
            body = {"path": "p", "prompt": prompt, "messages": messages}
            refused_or_taken(client, "prompts/call", body, 400, 503)
