"""Calls of Prompts, Tools and Agents through the unmodified Humanloop SDK, every answer checked."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.collector.api.v5 import model_wire
from tests.conformance.contract import contract
from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy, Exchange
from tests.conformance.rigs import NEW, Rig, turns
from tests.conformance.runner import Runner
from tests.e2e.conftest import clean_environment
from tests.integrations.wire.server import Reply, Request, WireServer

PROGRAM = Path(__file__).parent / "programs" / "calls.py"
SCENARIOS = {
    "13": "a Prompt's call",
    "17": "the query's environment and the body's",
    "23": "an Agent that waits",
    "agents": "an Agent that calls an Agent",
    "failures": "a provider's errors",
    "settings": "all that a call can say",
    "templates": "Tools and Jinja in templates",
    "tools": "a Tool's code and variables",
}
EVENTS = {
    "/prompts/call": "PromptCallStreamResponse",
    "/agents/call": "AgentCallStreamResponse",
    "/agents/continue": "AgentContinueCallStreamResponse",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.fixture
def calling(host: Callable[..., Hosted], model: WireServer) -> Hosted:
    """A collector that calls the local model; the variables are those of the official package."""
    flags = ("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")
    collector = host(*flags, "--provider-timeout-s", "30")
    with collector.client() as client:
        assert client.post("/api/environments", json={"name": "staging"}).is_success
    return collector


def problems(exchange: Exchange) -> list[str]:
    """Return what the contract says against an answer, each event of a stream on its own."""
    if not exchange.content_type.startswith("text/event-stream"):
        return exchange.problems
    name = EVENTS[exchange.path.partition("?")[0]]
    schema = {"$ref": f"#/components/schemas/{name}", "components": contract()["components"]}
    frames = exchange.answer.decode().removesuffix("\n\n").split("\n\n")
    found = [] if frames.pop() == "data: [DONE]" else ["the stream has no end"]
    for frame in frames:
        event = json.loads(frame.removeprefix("data: "))
        found += [e.message for e in Draft202012Validator(schema).iter_errors(event)]
    return found


@pytest.mark.parametrize(("rig", "database", "scenario"), turns(SCENARIOS, few=("13", "23")))
def test_calls_through_the_sdk(
    rig: Rig, database: str, scenario: str, calling: Hosted, model: WireServer, runner: Runner
) -> None:
    with CheckingProxy(calling.url) as proxy:
        done = runner.run(rig, PROGRAM, scenario, proxy.url)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert proxy.exchanges
    assert [problem for one in proxy.exchanges for problem in problems(one)] == []
    if scenario == "13":
        asked = model.requests[0].body
        assert [m["content"] for m in asked["messages"]] == ["You are Ada.", "hi"]
        assert asked["temperature"] == 0.5
        assert len(model.requests) == 3
    if scenario == "settings":
        asked, key = model.requests[0].body, model.requests[0].headers["authorization"]
        assert key == "Bearer sk-of-the-caller"
        assert (asked["seed"], asked["stop"], asked["top_logprobs"]) == (7, ["END"], 2)
        assert asked["tool_choice"]["function"] == {"name": "add"}
        assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
        _text, picture = asked["messages"][0]["content"]
        assert picture["image_url"]["url"] == "https://a.example/this.png"


def test_stream_begins_before_the_model_has_ended(calling: Hosted, model: WireServer) -> None:
    is_read = threading.Event()

    def slowly(request: Request) -> Reply:
        reply = model_wire.answer(request)
        reply.hold = (3, is_read)
        return reply

    model.script = slowly
    with CheckingProxy(calling.url) as proxy:
        process = subprocess.Popen(
            [NEW.python, PROGRAM, "14", proxy.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        is_read.set()  # also when the first piece never came: the program then says what it saw
        _out, errors = process.communicate(timeout=60)
    assert first == "first\n", errors
    assert process.returncode == 0, errors
    assert [problem for one in proxy.exchanges for problem in problems(one)] == []
