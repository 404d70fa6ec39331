"""Which providers there are, what each needs, and where none may be."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kibitz_collector.addresses import Reach
from kibitz_collector.providers import PROVIDERS, Connection, ProviderError, call, stream, warm
from tests.collector.providers.asking import ask, read, said
from tests.integrations.wire import openai as wire
from tests.integrations.wire.server import Reply, WireServer

COMPATIBLE = ["deepseek", "groq", "mistral", "ollama", "vllm"]


@pytest.fixture
def server() -> Iterator[WireServer]:
    server = WireServer(wire.answer)
    yield server
    server.close()


def test_providers_of_the_contract_are_all_there() -> None:
    contract = {"anthropic", "bedrock", "cohere", "deepseek", "google", "groq", "mock", "openai"}
    assert contract | {"openai_azure", "replicate"} <= PROVIDERS.keys()


@pytest.mark.parametrize("provider", COMPATIBLE)
def test_compatible_services_are_called_whole_and_streamed(
    server: WireServer, provider: str
) -> None:
    if provider == "mistral":  # which tells the usage unasked
        asked = {"stream_options": {"include_usage": True}}
        server.script = lambda r: wire.answer(replace(r, body=r.body | asked))
    connection = Connection(provider=provider, api_key="sk-test", base_url=f"{server.url}/v1")
    assert call(ask(), connection).text == "Hello, world"
    pieces, reply = read(stream(ask(), connection))
    assert ("".join(pieces), reply.finish_reason) == ("Hello, world", "stop")
    assert reply.tokens is not None
    assert server.requests[0].headers["authorization"] == "Bearer sk-test"


def test_mistral_is_told_what_it_knows(server: WireServer) -> None:
    connection = Connection(provider="mistral", api_key="k", base_url=f"{server.url}/v1")
    list(stream(ask(seed=0), connection))
    body = server.requests[0].body
    assert body["random_seed"] == 0
    assert not {"seed", "stream_options"} & body.keys()


@pytest.mark.parametrize(
    ("provider", "module"),
    [
        ("openai", "openai"),
        ("groq", "openai"),
        ("anthropic", "anthropic"),
        ("google", "google.genai"),
        ("bedrock", "boto3"),
        ("cohere", "cohere"),
        ("replicate", "replicate"),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_missing_package_is_named_with_how_to_install_it(
    provider: str, module: str, is_streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = [name for name in sys.modules if name.partition(".")[0] == module.partition(".")[0]]
    for name in {*family, module, "botocore.exceptions"}:
        if not name.startswith("google.protobuf"):
            monkeypatch.setitem(sys.modules, name, None)
    warm(provider)
    extra = {"google.genai": "google", "boto3": "bedrock"}.get(module, module)
    connection = Connection(provider=provider, api_key="k", base_url="http://127.0.0.1:1")
    with pytest.raises(ProviderError, match=rf"pip install 'kibitz\[{extra}\]'") as caught:
        _ = list(stream(ask(), connection)) if is_streamed else call(ask(), connection)
    assert (caught.value.type, caught.value.origin) == ("configuration_error", "kibitz")


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "bedrock", "cohere", "mine"])
@pytest.mark.parametrize(
    "base_url",
    [
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]:80@169.254.169.254/",
        "http://2852039166/",
        "http://[::ffff:169.254.169.254]/",
        "file:///etc/passwd",
    ],
)
def test_base_url_leads_to_no_cloud_metadata(provider: str, base_url: str) -> None:
    connection = Connection(provider=provider, api_key="k", base_url=base_url)
    with pytest.raises(ProviderError, match="is refused") as caught:
        call(ask(), connection)
    assert (caught.value.type, caught.value.code) == ("configuration_error", 400)


def test_name_that_leads_to_cloud_metadata_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(2, 1, 6, "", ("169.254.169.254", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: rows)
    connection = Connection(provider="mine", base_url="http://innocent.example/v1")
    with pytest.raises(ProviderError, match="link-local"):
        call(ask(), connection)


def test_host_an_admin_allowed_is_reached(server: WireServer) -> None:
    url = f"{server.url}/v1"
    nowhere = Connection(provider="mine", base_url=url, reach=Reach(setting="KIBITZ_X"))
    with pytest.raises(ProviderError, match=r"loopback address; an admin may allow .* KIBITZ_X"):
        call(ask(), nowhere)
    allowed = Reach(hosts=frozenset({"127.0.0.1"}))
    assert call(ask(), Connection(provider="mine", base_url=url, reach=allowed)).text


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "cohere", "bedrock"])
def test_redirects_are_not_followed(server: WireServer, provider: str) -> None:
    other = WireServer(wire.answer)
    headers = {"location": f"{other.url}/elsewhere"}
    server.script = lambda _: Reply({"x": 1}, 307, headers=headers)
    connection = Connection(provider=provider, api_key="a:b", base_url=server.url)
    with pytest.raises(ProviderError):
        call(ask(messages=[said("hi")]), connection)
    other.close()
    assert (len(server.requests), other.requests) == (1, [])
