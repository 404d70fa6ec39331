"""Provider calls inside decorated functions: who is whose parent, and whose Log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

import kibitz
from kibitz_integrations.openai import instrument, uninstrument
from tests.integrations.conftest import RecordedSpans
from tests.integrations.wire.server import WireServer

HI: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    instrument()
    yield
    uninstrument()


@pytest.fixture
def client(openai_server: WireServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{openai_server.url}/v1", max_retries=0) as client:
        yield client


def test_call_in_a_flow_is_its_child_and_carries_the_session(
    client: openai.OpenAI, spans: RecordedSpans
) -> None:
    @kibitz.flow(path="support/answer")
    def answer(question: str) -> str | None:
        reply = client.chat.completions.create(model="hello", messages=HI)
        return reply.choices[0].message.content

    with kibitz.session("chat-42", user="u1"):
        assert answer("hi") == "Hello, world"
    call, flow = spans.spans.as_dicts()
    assert call["parent_id"] == flow["span_id"]
    assert call["trace_id"] == flow["trace_id"]
    assert call["attributes"]["gen_ai.conversation.id"] == "chat-42"
    assert call["attributes"]["user.id"] == "u1"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_call_in_a_prompt_is_the_prompt_s_only_log(
    client: openai.OpenAI, spans: RecordedSpans, is_streamed: bool
) -> None:
    ids: list[str] = []

    @kibitz.prompt(path="support/reply", template=HI, model="hello", temperature=0.2)
    def reply(question: str) -> Any:
        current = kibitz.current()
        assert current is not None
        ids.append(current.id)
        return client.chat.completions.create(model="hello", messages=HI, stream=is_streamed)

    result = reply("hi")
    if is_streamed:
        list(result)
    (span,) = spans.spans.as_dicts()
    attributes = span["attributes"]
    assert attributes["kibitz.file.path"] == "support/reply"
    assert attributes["kibitz.file.type"] == "prompt"
    assert attributes["gen_ai.prompt.name"] == "support/reply"
    assert json.loads(attributes["kibitz.log.inputs"]) == {"question": "hi"}
    assert json.loads(attributes["gen_ai.output.messages"])[0]["parts"][0]["content"]
    assert ids == [kibitz.ids.log_id_from_hex(span["trace_id"], span["span_id"])]


def test_calls_of_threads_are_children_of_the_flow_that_started_them(
    client: openai.OpenAI, spans: RecordedSpans
) -> None:
    @kibitz.flow(path="support/many")
    def many() -> None:
        def call(_: int) -> None:
            client.chat.completions.create(model="hello", messages=HI)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(call, range(8)))

    many()
    *calls, flow = spans.spans.as_dicts()
    assert {call["parent_id"] for call in calls} == {flow["span_id"]}
    assert len(calls) == 8


def test_capture_metadata_keeps_no_content(
    client: openai.OpenAI, openai_server: WireServer
) -> None:
    from kibitz.testing import capture

    with capture(capture="metadata") as recorded:
        list(client.chat.completions.create(model="hello", messages=HI, stream=True))
    (span,) = recorded.as_dicts()
    assert span["attributes"]["gen_ai.usage.input_tokens"] == 20
    assert "Hello" not in json.dumps(span)
    assert '"hi' not in json.dumps(span)


def test_call_outside_the_sample_is_made_and_not_recorded(client: openai.OpenAI) -> None:
    from kibitz.testing import capture

    with capture(sample_rate=0) as recorded:
        assert (
            len(list(client.chat.completions.create(model="hello", messages=HI, stream=True))) == 5
        )
    assert len(recorded) == 0


def test_what_runs_inside_a_prompt_s_call_is_its_child(
    openai_server: WireServer, spans: RecordedSpans
) -> None:
    @kibitz.tool(path="support/sign")
    def sign(request: Any) -> None:
        request.headers["x-signed"] = "yes"

    url = f"{openai_server.url}/v1"
    http = openai.DefaultHttpxClient(event_hooks={"request": [sign]})

    @kibitz.prompt(path="support/reply", template=HI)
    def reply() -> None:
        with openai.OpenAI(api_key="k", base_url=url, http_client=http) as client:
            client.chat.completions.create(model="hello", messages=HI)

    reply()
    tool, call = spans.spans.as_dicts()
    assert tool["attributes"]["kibitz.file.path"] == "support/sign"
    assert tool["parent_id"] == call["span_id"]
