"""Messages of every vendor come out in the one normal form."""

from typing import Any

import pytest

from kibitz_collector.normalize.messages import (
    message_text,
    read_messages,
    read_output,
    read_tools,
)

CALL = {"id": "c1", "name": "f", "arguments": '{"a":1}'}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"role": "user", "content": "hi"}, {"role": "user", "content": "hi"}),
        ({"role": "human", "content": "hi"}, {"role": "user", "content": "hi"}),
        ({"role": "model", "parts": [{"text": "hi"}]}, {"role": "assistant", "content": "hi"}),
        ({"role": "developer", "content": "hi"}, {"role": "system", "content": "hi"}),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
        ),
        (
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hmm"},
                    {"type": "text", "text": "yes"},
                    {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
                ],
            },
            {"role": "assistant", "content": "yes", "tool_calls": [CALL], "reasoning": "hmm"},
        ),
        (
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [{"type": "text", "text": "21C"}],
                    }
                ],
            },
            {"role": "tool", "content": "21C", "tool_call_id": "c1"},
        ),
        (
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "AA"},
                    }
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
                ],
            },
        ),
        (
            {
                "role": "user",
                "parts": [{"type": "uri", "modality": "image", "uri": "https://x/y.png"}],
            },
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
            },
        ),
        (
            {
                "role": "user",
                "parts": [
                    {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "AA"}
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
                ],
            },
        ),
    ],
)
def test_message(raw: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_messages([raw]) == [expected]


def test_part_without_an_openai_form_is_kept_as_it_came() -> None:
    parts = [{"type": "compaction", "id": "x", "content": "…"}]
    (message,) = read_messages([{"role": "assistant", "parts": parts}])
    assert message == {"role": "assistant", "content": parts, "parts": parts}


def test_results_come_before_what_the_user_says_with_them() -> None:
    raw = {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "1"},
            {"type": "tool_result", "tool_use_id": "b", "content": {"x": 2}},
            {"type": "text", "text": "go on"},
        ],
    }
    assert read_messages([raw]) == [
        {"role": "tool", "content": "1", "tool_call_id": "a"},
        {"role": "tool", "content": '{"x":2}', "tool_call_id": "b"},
        {"role": "user", "content": "go on"},
    ]


def test_last_message_that_says_something_is_the_output() -> None:
    said = {"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}
    assert read_output([said, {"role": "assistant", "parts": []}]) == {
        "role": "assistant",
        "content": "yes",
    }


def test_text_of_several_parts_is_joined() -> None:
    parts = [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}]
    (message,) = read_messages([{"role": "user", "parts": parts}])
    assert message_text(message) == "a\nb"


def test_tools_of_openai_anthropic_and_otel_look_alike() -> None:
    schema = {"type": "object"}
    expected = [{"name": "f", "description": "d", "parameters": schema}]
    openai = {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": schema},
    }
    anthropic = {"name": "f", "description": "d", "input_schema": schema}
    otel = {"type": "function", "name": "f", "description": "d", "parameters": schema}
    for tool in (openai, anthropic, otel):
        assert read_tools([tool]) == expected
    assert read_tools('[{"type": "web_search"}]') == [{"type": "web_search"}]
