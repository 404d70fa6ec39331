"""Calls through a served collector: who leaves a stream, and what a call costs everybody else."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.collector.api.v5 import model_wire
from tests.e2e.conftest import Served
from tests.integrations.wire.server import Reply, Request, WireServer

CALL: dict[str, Any] = {
    "path": "p",
    "prompt": {"model": "gpt-4o"},
    "messages": [{"role": "user", "content": "one two three four"}],
}


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.fixture
def calling(serve: Callable[..., Served], model: WireServer) -> Served:
    return serve("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")


def wait_for_log(collector: Served) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    with collector.client() as client:
        while True:
            items = client.get("/api/logs").json()["items"]
            if items or time.monotonic() > deadline:
                found: dict[str, Any] = items[0]
                return found
            time.sleep(0.05)


def test_client_that_leaves_a_stream_leaves_an_abandoned_log(
    calling: Served, model: WireServer
) -> None:
    has_left = threading.Event()

    def slowly(request: Request) -> Reply:
        reply = model_wire.answer(request)
        reply.hold = (3, has_left)
        return reply

    model.script = slowly
    with (
        calling.client() as client,
        client.stream("POST", "/v5/prompts/call", json=CALL | {"stream": True}) as answer,
    ):
        first = next(answer.iter_lines())
        assert first.startswith('data: {"output":"you"')
    has_left.set()
    log = wait_for_log(calling)
    assert log["status"] == "abandoned"
    assert log["preview_output"].startswith("you said")


def test_slow_models_keep_nobody_else_waiting(calling: Served, model: WireServer) -> None:
    may_answer = threading.Event()
    has_begun = threading.Barrier(61)

    def hang(request: Request) -> Reply:
        has_begun.wait(60)
        may_answer.wait(60)
        return model_wire.answer(request)

    model.script = hang
    # More than the threads that serve everything else.
    with calling.client() as client, ThreadPoolExecutor(60) as pool:
        calls = [pool.submit(client.post, "/v5/prompts/call", json=CALL) for _ in range(60)]
        has_begun.wait(60)
        started = time.monotonic()
        assert client.get("/api/logs").status_code == 200
        assert time.monotonic() - started < 5
        may_answer.set()
        assert {call.result(60).status_code for call in calls} == {200}
