"""Calls of Prompts at each provider: keys saved or given, answers, errors, events, Logs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.collector.providers.wire import bedrock, cohere, google, replicate
from tests.integrations.wire import anthropic
from tests.integrations.wire.server import Reply, Request, WireServer

Call = Callable[..., Any]


@dataclass
class Wire:
    model: str
    script: Callable[[Request], Reply]
    error: Callable[[int, str], Reply]
    key: str = "key-nobody-stores"
    text: str = "Hello, world"


WIRES = {
    "google": Wire("hello", google.answer, google.error),
    "bedrock": Wire("hello", bedrock.answer, bedrock.error, key="AKID:key-nobody-stores"),
    "cohere": Wire("hello", cohere.answer, cohere.error),
    "replicate": Wire("meta/llama", replicate.Predictions(), replicate.error),
    "anthropic": Wire(
        "hello",
        anthropic.answer,
        lambda status, text: Reply({"type": "error", "error": {"message": text}}, status),
    ),
}


@pytest.fixture(params=WIRES)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(provider: str) -> Iterator[WireServer]:
    script = WIRES[provider].script
    server = WireServer(replicate.Predictions() if provider == "replicate" else script)
    if isinstance(server.script, replicate.Predictions):
        server.script.url = server.url
    yield server
    server.close()


def body(provider: str, **more: Any) -> dict[str, Any]:
    prompt = {"model": WIRES[provider].model, "provider": provider}
    return {"path": "p", "prompt": prompt, "messages": [{"role": "user", "content": "hi"}], **more}


def save(client: TestClient, provider: str, **content: str) -> None:
    url = f"http://localhost/api/providers/{provider}"
    assert client.put(url, json=content).is_success


def test_saved_key_and_address_are_used_and_sealed(
    client: TestClient,
    call: Call,
    server: WireServer,
    provider: str,
    everything: Callable[[], str],
) -> None:
    save(client, provider, api_key=WIRES[provider].key, base_url=server.url)
    answer = call("prompts/call", **body(provider))
    (sample,) = answer["logs"]
    assert (sample["output"], sample["finish_reason"]) == (WIRES[provider].text, "stop")
    assert sample["output_tokens"] > 0
    log = client.get(f"logs/{answer['id']}").json()
    assert (log["output"], log["prompt"]["provider"]) == (sample["output"], provider)
    assert log["provider_response"]
    assert "key-nobody-stores" not in everything()


def test_key_of_a_call_is_used_and_kept_nowhere(
    client: TestClient,
    call: Call,
    server: WireServer,
    provider: str,
    everything: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "kibitz")
    save(client, provider, base_url=server.url)
    keys = {provider: WIRES[provider].key}
    call("prompts/call", **body(provider, provider_api_keys=keys))
    sent = str(server.requests[0].headers)
    assert ("AKID" if provider == "bedrock" else "key-nobody-stores") in sent
    assert "key-nobody-stores" not in everything()
    assert "key-nobody-stores" not in caplog.text


def test_stream_tells_pieces_and_the_rest(
    client: TestClient, server: WireServer, provider: str
) -> None:
    save(client, provider, api_key=WIRES[provider].key, base_url=server.url)
    answer = client.post("prompts/call", json=body(provider, stream=True, log_id="l1"))
    assert answer.text.endswith("data: [DONE]\n\n")
    assert answer.text.count("data: ") > 3
    log = client.get("logs/l1").json()
    assert (log["output"], log["finish_reason"]) == (WIRES[provider].text, "stop")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_error_is_told_in_the_contracts_form_and_is_a_log(
    client: TestClient, server: WireServer, provider: str, is_streamed: bool
) -> None:
    server.script = lambda _: WIRES[provider].error(429, "slow down")
    save(client, provider, api_key=WIRES[provider].key, base_url=server.url)
    answer = client.post("prompts/call", json=body(provider, stream=is_streamed, log_id="l1"))
    assert answer.status_code == 429
    assert answer.json()["detail"] == {
        "type": "rate_limit_error",
        "message": "slow down",
        "code": 429,
        "origin": provider,
    }
    log = client.get("logs/l1").json()
    assert (log["error"], log["output"]) == ("slow down", None)
    assert log["provider_request"]
    assert log["provider_response"]["status"] == 429


def test_base_url_that_leads_to_cloud_metadata_is_not_asked(
    client: TestClient, provider: str
) -> None:
    save(client, provider, api_key="a:b", base_url="http://169.254.169.254")
    answer = client.post("prompts/call", json=body(provider))
    assert answer.status_code == 400
    assert answer.json()["detail"]["origin"] == "kibitz"
    assert "link-local" in answer.json()["detail"]["message"]


def test_endpoint_of_a_call_may_not_lead_there_either(client: TestClient) -> None:
    keys = {"openai_azure": "k", "openai_azure_endpoint": "http://169.254.169.254/"}
    given = {"path": "p", "prompt": {"model": "m", "provider": "openai_azure"}}
    answer = client.post("prompts/call", json=given | {"provider_api_keys": keys})
    assert (answer.status_code, answer.json()["detail"]["origin"]) == (400, "kibitz")
