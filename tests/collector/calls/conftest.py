"""A collector whose models and services are local servers; its answers are checked."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from fastapi.testclient import TestClient

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from tests.collector.api.v5 import model_wire
from tests.collector.api.v5.conftest import check_answer
from tests.integrations.wire.server import Reply, WireServer

Call = Callable[..., Any]


@pytest.fixture
def model() -> Iterator[WireServer]:
    """A model that answers `you said …` and calls the tools it is told to call."""
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.fixture
def service() -> Iterator[WireServer]:
    """A service that Tools ask; a test says what it answers."""
    server = WireServer(lambda _: Reply({"answer": 42}))
    yield server
    server.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kibitz.db"


@pytest.fixture
def settings(database: Path, model: WireServer) -> Settings:
    return Settings(
        database_url=f"sqlite:///{database}",
        alert=False,
        openai_base_url=f"{model.url}/v1",
        openai_api_key="sk-ours",
        tool_timeout_s=5,
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    def check(response: Any) -> None:
        if response.status_code < 500:  # a provider that is down is not our failure
            check_answer(response)

    with TestClient(create_app(settings), base_url="http://localhost/v5/") as client:
        client.event_hooks["response"].append(check)
        yield client


@pytest.fixture
def call(client: TestClient) -> Call:
    """Post to a route and return the answer, which must be a good one."""

    def post(what: str, **body: Any) -> Any:
        answer = client.post(what, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    return post


@pytest.fixture
def refused(client: TestClient) -> Call:
    """Post to a route that answers 422; returns why."""

    def post(what: str, **body: Any) -> str:
        answer = client.post(what, json=body)
        assert answer.status_code == 422, answer.text
        return str(answer.json()["detail"][0]["msg"])

    return post


@pytest.fixture
def everything(database: Path) -> Callable[[], str]:
    """Return all that the database holds: its tables with bodies inflated, and its raw files."""

    def read() -> str:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            names = [name for (name,) in tables if name != "log_text"]  # virtual, over the others
            rows = [row for name in names for row in connection.execute(f'SELECT * FROM "{name}"')]
        files = [path.read_bytes().decode("latin-1") for path in database.parent.glob("kibitz.db*")]
        return "\n".join([*map(_text, (value for row in rows for value in row)), *files])

    return read


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        with contextlib.suppress(zstandard.ZstdError):
            value = zstandard.ZstdDecompressor().decompressobj().decompress(value)
        value = value.decode("utf-8", "replace")
    return str(value)
