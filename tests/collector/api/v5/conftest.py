"""A collector without its workers, each of whose answers is held against the v5 contract."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi.testclient import TestClient

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from kibitz_collector.store import open_store
from tests.conformance.contract import violations


def check_answer(response: httpx.Response) -> None:
    """Hold one answer against the contract."""
    path = response.request.url.path
    if path.startswith("/v5/") and not path.startswith("/v5/import"):
        content_type = response.headers.get("content-type", "")
        if not content_type.startswith("text/event-stream"):
            response.read()
            found = violations(
                response.request.method,
                path.removeprefix("/v5"),
                response.status_code,
                content_type,
                response.content,
            )
            assert found == []


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite, unless a test file says that it is also about PostgreSQL."""
    return sqlite_url


@pytest.fixture
def client(database_url: str) -> Iterator[TestClient]:
    """A client whose answers are checked."""
    settings = Settings(database_url=database_url)
    store = open_store(settings.database_url)
    client = TestClient(create_app(settings, store), base_url="http://localhost/v5/")
    client.event_hooks["response"].append(check_answer)
    yield client
    store.close()
