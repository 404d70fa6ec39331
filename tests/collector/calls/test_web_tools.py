"""Tools that ask a service: an API by GET, Google's search, Pinecone's; none reaches the inside."""

import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from kibitz_collector.config import Settings
from tests.integrations.wire.server import Reply, Request, WireServer

Call = Callable[..., Any]


def api_tool(url: str, **setup: Any) -> dict[str, Any]:
    return {"tool_type": "get_api_call", "setup_values": {"url": url, **setup}}


def give_key(client: TestClient, tool_id: str, name: str, value: str) -> None:
    variables = [{"name": name, "value": value}]
    assert client.post(f"tools/{tool_id}/environment-variables", json=variables).is_success


def query_of(request: Request) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.path).query)


# --- an API


def test_api_is_asked_with_inputs_fixed_values_and_its_key(
    client: TestClient, call: Call, service: WireServer, everything: Callable[[], str]
) -> None:
    tool = call(
        "tools",
        path="weather",
        **api_tool(
            f"{service.url}/v1/{{city}}/now?a=1",
            params={"units": "si", "day": None},
            headers={"X-Token": "Token {API_KEY}"},
            api_key_header="X-Key",
        ),
    )
    give_key(client, tool["id"], "API_KEY", "sealed-key")
    answer = call("tools/call", path="weather", inputs={"city": "São/Paulo?", "day": "today"})
    assert (answer["output"], answer["error"]) == ('{"answer": 42}', None)
    (request,) = service.requests
    assert request.path.startswith("/v1/S%C3%A3o%2FPaulo%3F/now?")
    assert query_of(request) == {"a": ["1"], "units": ["si"], "day": ["today"]}
    assert (request.headers["x-key"], request.headers["x-token"]) == (
        "sealed-key",
        "Token sealed-key",
    )
    log = client.get(f"logs/{answer['id']}").json()
    assert (log["output"], log["inputs"]["day"]) == ('{"answer": 42}', "today")
    assert "sealed-key" not in everything()


def test_key_that_came_with_the_tool_is_used(call: Call, service: WireServer) -> None:
    call("tools", path="w", **api_tool(service.url, api_key_header="X-Key", api_key="old"))
    call("tools/call", path="w")
    assert service.requests[0].headers["x-key"] == "old"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply({"why": "gone"}, 404), 'it answered 404: {"why": "gone"}'),
        (Reply(None, 302, headers={"location": "http://169.254.169.254/"}), "redirect"),
        (Reply(raw=("text/plain", b"x" * 1_000_001)), "more than 1000000 bytes"),
    ],
    ids=["refusal", "redirect", "too much"],
)
def test_refusals_are_errors_of_the_tool(
    call: Call, service: WireServer, reply: Reply, words: str
) -> None:
    service.script = lambda _: reply
    call("tools", path="w", **api_tool(service.url))
    answer = call("tools/call", path="w")
    assert words in answer["error"]
    assert answer["output"] is None
    assert len(service.requests) == 1


def test_silent_service_is_an_error(
    call: Call, service: WireServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.__dict__, "tool_timeout_s", 0.2)

    is_over = threading.Event()
    service.script = lambda _: Reply(events=[(None, {})] * 2, hold=(1, is_over))
    call("tools", path="w", **api_tool(service.url))
    assert "no answer within 0.2 s" in call("tools/call", path="w")["error"]
    is_over.set()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://10.0.0.1/",
        "http://user:pass@example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ],
)
def test_tool_reaches_nothing_of_the_inside(call: Call, url: str) -> None:
    call("tools", path="w", **api_tool(url))
    answer = call("tools/call", path="w")
    assert answer["output"] is None
    assert answer["error"]


def test_name_that_leads_inside_is_refused_when_connecting(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("tools", path="w", **api_tool("http://innocent.example/"))
    rows = [(2, 1, 6, "", ("169.254.169.254", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: rows)
    assert "link-local" in call("tools/call", path="w")["error"]


def test_loopback_is_reached_only_while_there_are_no_keys(
    client: TestClient, call: Call, service: WireServer, settings: Settings
) -> None:
    call("tools", path="w", **api_tool(service.url))
    assert call("tools/call", path="w")["output"]
    made = client.post("http://localhost/api/keys", json={"name": "k", "role": "full"}).json()
    client.headers["x-api-key"] = made["key"]
    answer = call("tools/call", path="w")
    assert "KIBITZ_ALLOWED_HOSTS" in answer["error"]
    settings.__dict__["allowed_hosts"] = "127.0.0.1"
    assert call("tools/call", path="w")["output"]


@pytest.mark.parametrize(
    ("url", "inputs", "words"),
    [
        ("http://{host}/", {"host": "169.254.169.254"}, "may not stand in the host"),
        ("http://example.com/{a}/{b}", {"a": "x"}, "not given: b"),
        ("http://example.com/{a}", {"a": ".."}, "may not be"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    call: Call, refused: Call, url: str, inputs: dict[str, str], words: str
) -> None:
    call("tools", path="w", **api_tool(url))
    assert words in refused("tools/call", path="w", inputs=inputs)


def test_header_that_is_none_does_not_show_its_key(client: TestClient, call: Call) -> None:
    tool = call("tools", path="w", **api_tool("http://127.0.0.1:1/", api_key_header="X-Key"))
    give_key(client, tool["id"], "API_KEY", "secret\r\nX-Other: 1")
    answer = call("tools/call", path="w")
    assert "secret" not in answer["error"]


def test_missing_key_says_where_it_goes(call: Call, refused: Call, service: WireServer) -> None:
    call("tools", path="w", **api_tool(service.url, api_key_header="X-Key"))
    assert "environment variable API_KEY" in refused("tools/call", path="w")
    assert service.requests == []


@pytest.mark.parametrize(
    ("kind", "setup", "words"),
    [
        ("get_api_call", {}, "setup_values.url"),
        ("get_api_call", {"url": "http://x", "headers": "a"}, "headers must be"),
        ("get_api_call", {"url": "http://x", "params": "a"}, "params must be"),
        ("pinecone_search", {}, "host or .index"),
        ("snippet", {str(n): "x" for n in range(11)}, "at most 10 pairs"),
        ("snippet", {"a": 1}, "texts"),
    ],
)
def test_tool_that_is_not_set_up_is_refused_when_it_is_made(
    refused: Call, kind: str, setup: dict[str, Any], words: str
) -> None:
    assert words in refused("tools", path="t", tool_type=kind, setup_values=setup)


# --- Google


FOUND = {
    "answer_box": {"answer": "about 700,000"},
    "organic_results": [
        {"title": "Oslo", "snippet": "The capital.", "link": "https://a.example"},
        {"title": "Oslo again", "link": "https://b.example"},
    ],
}


def test_google_is_searched_and_told_as_text(
    client: TestClient, call: Call, service: WireServer, everything: Callable[[], str]
) -> None:
    service.script = lambda _: Reply(FOUND)
    setup = {"url": f"{service.url}/search.json", "num": 5}
    tool = call("tools", path="google", tool_type="google", setup_values=setup)
    give_key(client, tool["id"], "SERPAPI_API_KEY", "serp-secret")
    answer = call("tools/call", path="google", inputs={"query": "people of Oslo"})
    assert answer["output"] == (
        "about 700,000\n\nOslo\nThe capital.\nhttps://a.example\n\nOslo again\nhttps://b.example"
    )
    assert query_of(service.requests[0]) == {
        "engine": ["google"],
        "q": ["people of Oslo"],
        "num": ["5"],
        "api_key": ["serp-secret"],
    }
    assert "serp-secret" not in everything()


def test_error_of_google_is_told_without_the_key(
    client: TestClient, call: Call, refused: Call, service: WireServer
) -> None:
    service.script = lambda _: Reply({"error": "Invalid API key"}, 401)
    setup = {"url": service.url}
    tool = call("tools", path="google", tool_type="google", setup_values=setup)
    assert "SERPAPI_API_KEY" in refused("tools/call", path="google", inputs={"query": "x"})
    give_key(client, tool["id"], "SERPAPI_API_KEY", "serp-secret")
    assert "not given: query" in refused("tools/call", path="google")
    answer = call("tools/call", path="google", inputs={"query": "x"})
    assert "401" in answer["error"]
    assert "serp-secret" not in json.dumps(answer)


# --- Pinecone


@pytest.fixture
def pinecone(client: TestClient, call: Call) -> Call:
    def make(**setup: Any) -> None:
        tool = call("tools", path="docs", tool_type="pinecone_search", setup_values=setup)
        give_key(client, tool["id"], "PINECONE_API_KEY", "pc-secret")

    return make


def test_pinecone_is_asked_by_the_vector_of_the_query(
    call: Call, service: WireServer, model: WireServer, pinecone: Call
) -> None:
    vector = {"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}
    model.script = lambda _: Reply(
        {"object": "list", "data": [vector], "model": "e", "usage": {"prompt_tokens": 1}}
    )
    hot = {"text": "tea is hot", "page": 1}
    matches: list[dict[str, Any]] = [{"id": "1", "score": 0.9, "metadata": hot}]
    matches.append({"id": "2", "metadata": {"page": 2}})
    service.script = lambda _: Reply({"matches": matches})
    pinecone(host=service.url, embedding_model="small", namespace="n", filter={"lang": "en"})
    answer = call("tools/call", path="docs", inputs={"query": "tea", "top_k": 3})
    assert answer["output"] == 'tea is hot\n\n{"page":2}'
    (asked,) = model.requests
    assert (asked.path, asked.body["input"]) == ("/v1/embeddings", "tea")
    (request,) = service.requests
    assert request.path == "/query"
    assert request.headers["api-key"] == "pc-secret"
    assert request.body == {
        "vector": [0.25, 0.5],
        "topK": 3,
        "includeMetadata": True,
        "namespace": "n",
        "filter": {"lang": "en"},
    }


def test_pinecone_that_embeds_itself_is_asked_by_text(
    call: Call, service: WireServer, pinecone: Call
) -> None:
    hits = [{"_id": "1", "_score": 0.9, "fields": {"body": "tea is hot"}}]

    def script(request: Request) -> Reply:
        if request.path == "/indexes/facts":
            return Reply({"host": service.url})
        return Reply({"result": {"hits": hits}})

    service.script = script
    pinecone(index="facts", url=service.url, text_field="body", top_k=2)
    assert call("tools/call", path="docs", inputs={"query": "tea"})["output"] == "tea is hot"
    search = service.requests[1]
    assert search.path == "/records/namespaces/__default__/search"
    assert search.body == {"query": {"inputs": {"text": "tea"}, "top_k": 2}}


def test_failure_to_embed_is_an_error_of_the_tool(
    call: Call, service: WireServer, model: WireServer, pinecone: Call
) -> None:
    model.script = lambda _: Reply({"error": {"message": "no such model"}}, 404)
    pinecone(host=service.url, embedding_model="none")
    answer = call("tools/call", path="docs", inputs={"query": "tea"})
    assert (answer["error"], service.requests) == ("no such model", [])


def test_index_that_lies_inside_is_not_reached(
    call: Call, service: WireServer, pinecone: Call
) -> None:
    service.script = lambda _: Reply({"host": "http://169.254.169.254"})
    pinecone(index="facts", url=service.url)
    assert "link-local" in call("tools/call", path="docs", inputs={"query": "x"})["error"]
