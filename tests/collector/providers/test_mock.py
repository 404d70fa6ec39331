"""The provider without a model."""

import pytest

from kibitz_collector.providers import Connection, ModelRequest, ProviderError, call, stream

MOCK = Connection(provider="mock")
HI = [{"role": "user", "content": "say  this"}]
TOOLS = [{"name": "first"}, {"name": "second"}]


def test_it_repeats_the_user_or_says_what_it_is_told() -> None:
    assert call(ModelRequest(model="m", messages=HI), MOCK).text == "say  this"
    told = ModelRequest(model="m", messages=HI, other={"reply": "yes"})
    assert call(told, MOCK).text == "yes"


def test_stream_is_the_same_word_by_word() -> None:
    *words, reply = stream(ModelRequest(model="m", messages=HI), MOCK)
    assert "".join(getattr(word, "text", "") for word in words) == "say  this"
    assert reply == call(ModelRequest(model="m", messages=HI), MOCK)


def test_it_calls_a_tool_when_it_must_and_answers_after_its_result() -> None:
    asked = ModelRequest(model="m", messages=HI, tools=TOOLS, tool_choice="required")
    assert call(asked, MOCK).message["tool_calls"][0]["name"] == "first"
    chosen = {"type": "function", "function": {"name": "second"}}
    asked = ModelRequest(model="m", messages=HI, tools=TOOLS, tool_choice=chosen)
    assert call(asked, MOCK).message["tool_calls"][0]["name"] == "second"
    done = [*HI, {"role": "tool", "content": "42", "tool_call_id": "call_mock"}]
    asked = ModelRequest(model="m", messages=done, tools=TOOLS, tool_choice="required")
    assert call(asked, MOCK).text == "42"


def test_it_fails_when_told() -> None:
    told = {"error": {"code": 429, "message": "slow down"}}
    with pytest.raises(ProviderError, match="slow down") as caught:
        call(ModelRequest(model="m", messages=HI, other=told), MOCK)
    assert (caught.value.type, caught.value.code) == ("rate_limit_error", 429)
