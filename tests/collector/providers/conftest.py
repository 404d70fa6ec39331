"""The official packages on local servers that speak each provider's wire."""

from collections.abc import Iterator

import pytest

from kibitz_collector.providers import Connection
from tests.integrations.wire import anthropic, openai
from tests.integrations.wire.server import WireServer


@pytest.fixture
def openai_wire() -> Iterator[WireServer]:
    server = WireServer(openai.answer)
    yield server
    server.close()


@pytest.fixture
def anthropic_wire() -> Iterator[WireServer]:
    server = WireServer(anthropic.answer)
    yield server
    server.close()


def reach(server: WireServer, provider: str = "openai", **more: object) -> Connection:
    base_url = server.url if provider == "anthropic" else f"{server.url}/v1"
    given: dict[str, object] = {"provider": provider, "api_key": "sk-test", "base_url": base_url}
    return Connection(**(given | more))  # type: ignore[arg-type]  # a test's own keywords
