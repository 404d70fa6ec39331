"""A served collector, and an app set up to use it."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import kibitz
from kibitz.client import calls, prompts
from tests.e2e.conftest import Served, serve, serving

__all__ = ["serve"]

CHAT = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "template": [
        {"role": "system", "content": "You are {{tone}}."},
        {"role": "user", "content": "{{ question }}"},
    ],
}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test has asked of its collector, the next one asks again."""
    monkeypatch.setattr(prompts, "_state", prompts._Prompts())
    monkeypatch.setattr(calls, "_kinds", {})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One collector for all tests of a module: starting one takes longer than most of them."""
    with serving(tmp_path_factory.mktemp("collector")) as start:
        yield start()


@pytest.fixture
def collector(shared: Served) -> Served:
    """The module's collector, without what the test before has made of Files."""
    with shared.client() as client:
        while files := client.get("/v5/files", params={"size": 100}).json()["records"]:
            for file in files:
                gone = client.delete(f"/v5/{file['type']}s/{file['id']}")
                assert gone.status_code == 204, gone.text
    return shared


@pytest.fixture
def app(collector: Served, tmp_path: Path) -> Iterator[Served]:
    """An app that records to, and asks, this collector."""
    kibitz.init(collector.url, spool_dir=tmp_path / "spool", service="svc")
    yield collector
    kibitz.shutdown(5.0)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """An address where connections are taken and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def upsert(collector: Served, group: str, **body: Any) -> dict[str, Any]:
    with collector.client() as client:
        return said(client.post(f"/v5/{group}", json=body))


def said(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer
