"""call: Prompts, Agents and Tools through a served collector and a local model."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kibitz
from kibitz import ApiError, KibitzError
from tests.collector.api.v5 import model_wire
from tests.e2e.conftest import Served
from tests.integrations.wire.server import WireServer
from tests.kibitz.client.conftest import said, upsert

SAY = {"model": "gpt-4o", "template": [{"role": "user", "content": "{{word}}"}]}


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(model_wire.answer)
    yield server
    server.close()


@pytest.fixture
def collector(serve: Callable[..., Served], model: WireServer) -> Served:
    return serve("--openai-base-url", f"{model.url}/v1", "--openai-api-key", "sk-test")


def log_of(collector: Served, log_id: str) -> dict[str, Any]:
    with collector.client() as client:
        return said(client.get(f"/v5/logs/{log_id}"))


def test_a_prompt_is_called_whole_and_streamed(app: Served) -> None:
    made = upsert(app, "prompts", path="p", **SAY)
    whole = kibitz.call("p", inputs={"word": "hi"}, metadata={"plan": "pro"})
    assert (whole.output, whole.version_id) == ("you said hi", made["version_id"])
    assert str(whole) == "you said hi"
    assert whole.output_message is not None
    assert whole.output_message["role"] == "assistant"
    assert log_of(app, whole.log_id)["metadata"] == {"plan": "pro"}
    with kibitz.call("p", inputs={"word": "a b"}, stream=True) as stream:
        assert list(stream) == ["you", " said", " a", " b"]
    assert stream.output == "you said a b"
    assert stream.version_id == made["version_id"]
    assert stream.log_id is not None
    assert log_of(app, stream.log_id)["output"] == "you said a b"


def test_messages_follow_the_template_and_an_environment_chooses(app: Served) -> None:
    made = upsert(app, "prompts", path="p", **SAY)
    upsert(app, "prompts", path="p", **SAY, temperature=0)
    more = [{"role": "assistant", "content": "x"}, {"role": "user", "content": "last"}]
    called = kibitz.call("p", inputs={"word": "hi"}, messages=more, environment="production")
    assert (called.output, called.version_id) == ("you said last", made["version_id"])
    with pytest.raises(ApiError, match="moon") as caught:
        kibitz.call("p", inputs={"word": "hi"}, environment="moon")
    assert caught.value.status == 404


def test_calls_nest_under_the_flow_that_makes_them(app: Served) -> None:
    upsert(app, "prompts", path="p", **SAY)

    @kibitz.flow(path="a/flow")
    def answer() -> tuple[str, str]:
        return kibitz.current().id, kibitz.call("p", inputs={"word": "hi"}).log_id

    with kibitz.session("s", user="u1"):
        outer, inner = answer()
    kibitz.flush(10)
    found = log_of(app, inner)
    assert (found["trace_parent_id"], found["user"]) == (outer, "u1")
    flow = log_of(app, outer)
    assert [child["id"] for child in flow["trace_children"]] == [inner]


def test_an_agent_says_what_it_waits_for(app: Served) -> None:
    function = {"name": "ask_user", "description": "", "parameters": {"type": "object"}}
    tool = {"type": "inline", "json_schema": function, "on_agent_call": "stop"}
    upsert(app, "agents", path="ag", model="gpt-4o", tools=[tool])
    asked = kibitz.call("ag", messages=[{"role": "user", "content": "use ask_user"}])
    assert not asked.is_complete
    assert asked.output_message is not None
    assert asked.output_message["tool_calls"][0]["function"]["name"] == "ask_user"
    stream = kibitz.call("ag", messages=[{"role": "user", "content": "a b"}], stream=True)
    assert "".join(stream) == "you said a b"


def test_a_tool_answers_whole(app: Served) -> None:
    code = "def double(n: int) -> int:\n    return 2 * n\n"
    function = {
        "name": "double",
        "description": "",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
    }
    upsert(app, "tools", path="t", source_code=code, function=function)
    assert kibitz.call("t", inputs={"n": 21}).output == "42"
    with pytest.raises(KibitzError, match="its answer comes whole"):
        kibitz.call("t", inputs={"n": 21}, stream=True)


def test_failures_say_who_failed(app: Served, tmp_path: Path) -> None:
    upsert(app, "prompts", path="p", **SAY)
    upsert(app, "flows", path="f", attributes={})
    with pytest.raises(ApiError, match="the model is tired") as caught:
        kibitz.call("p", inputs={"word": "fail 429"})
    assert caught.value.status == 429
    with pytest.raises(ApiError, match="the model is tired"):
        list(kibitz.call("p", inputs={"word": "fail 500"}, stream=True))
    with pytest.raises(ApiError, match="not given: word"):
        kibitz.call("p")
    with pytest.raises(ApiError, match="no File at 'nowhere'"):
        kibitz.call("nowhere")
    with pytest.raises(KibitzError, match="type flow, which cannot be called"):
        kibitz.call("f")
    app.process.kill()
    app.process.wait()
    with pytest.raises(ApiError, match="`kibitz serve`") as gone:
        kibitz.call("p", inputs={"word": "hi"})
    assert gone.value.status is None


def test_a_stream_left_early_ends_the_call(app: Served) -> None:
    upsert(app, "prompts", path="p", **SAY)
    stream = kibitz.call("p", inputs={"word": "one two three"}, stream=True)
    assert next(iter(stream)) == "you"
    stream.close()
    assert stream.log_id is not None
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with app.client() as client:
            if client.get(f"/v5/logs/{stream.log_id}").is_success:
                return
        time.sleep(0.05)
    pytest.fail("the Log of a stream left early never came")
