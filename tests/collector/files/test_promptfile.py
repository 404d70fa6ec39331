from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import content_hash
from kibitz_collector.files.promptfile import deserialize, serialize

# What JSON can say and a database can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
FRAGMENTS = ["<user>", "</user>", "<text>", "</tool>", "<image/>", "<message>", "</message>", "x"]
FRAGMENTS += ["---", "{{a}}", "&lt;", "</assistant>"]
TAGGED = st.lists(
    st.sampled_from([*FRAGMENTS, "</tool >", '<tool name="a">', "  ", "\n", "\r\n", "\t", '"']),
    max_size=8,
).map("".join)
WORDS = TEXT | TAGGED
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=3)
IMAGES = st.fixed_dictionaries(
    {"url": WORDS}, optional={"detail": st.sampled_from(["high", "low"])}
)
PARTS = st.fixed_dictionaries({"type": st.just("text"), "text": WORDS}) | st.fixed_dictionaries(
    {"type": st.just("image_url"), "image_url": IMAGES}
)
CALLS = st.fixed_dictionaries(
    {
        "id": WORDS,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": WORDS}, optional={"arguments": WORDS}),
    }
)
THINKING = st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": WORDS})
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer"])},
    optional={
        "content": WORDS | st.lists(PARTS, max_size=3),
        "name": WORDS,
        "tool_call_id": WORDS,
        "tool_calls": st.lists(CALLS, max_size=2),
        "thinking": st.lists(THINKING, min_size=1, max_size=1),
    },
)
FUNCTIONS = st.fixed_dictionaries(
    {"name": WORDS, "description": WORDS},
    optional={"strict": st.booleans(), "parameters": OBJECTS},
)
KERNELS = st.fixed_dictionaries(
    {"model": WORDS},
    optional={
        "endpoint": st.sampled_from(["chat", "complete", "edit"]),
        "template": WORDS | st.lists(MESSAGES, max_size=4),
        "template_language": st.sampled_from(["default", "jinja"]),
        "provider": WORDS,
        "max_tokens": st.integers(-1, 2**31),
        "temperature": NUMBERS,
        "top_p": NUMBERS,
        "stop": WORDS | st.lists(WORDS, max_size=2),
        "presence_penalty": NUMBERS,
        "other": OBJECTS,
        "seed": st.integers(0, 2**40),
        "response_format": st.fixed_dictionaries(
            {"type": st.just("json_schema"), "json_schema": OBJECTS}
        ),
        "reasoning_effort": st.sampled_from(["low", "high"]) | st.integers(1, 9000),
        "tools": st.lists(FUNCTIONS, max_size=2),
        "linked_tools": st.lists(WORDS, max_size=2),
        "attributes": OBJECTS,
    },
)


@given(KERNELS)
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_read_back_the_same(kernel: dict[str, Any]) -> None:
    text = serialize(kernel)
    assert deserialize(text) == kernel
    assert serialize(deserialize(text)) == text
    assert content_hash("prompt", deserialize(text)) == content_hash("prompt", kernel)


@given(TEXT | TAGGED.map("---\nmodel: m\n---\n".__add__))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        kernel = deserialize(text)
    except Invalid:
        return
    assert deserialize(serialize(kernel)) == kernel


def test_a_prompt_is_written_as_people_edit_it() -> None:
    kernel = {
        "model": "gpt-4o",
        "temperature": 0.7,
        "template": [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://a.b/c.png?d=1&e=2"}},
                ],
            },
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"a": 1}'},
                    }
                ],
            },
            {"role": "tool", "name": "look", "tool_call_id": "call_1", "content": "{{seen}}"},
        ],
        "tools": [{"name": "look", "description": "Looks.", "parameters": {"type": "object"}}],
    }
    text = """---
model: gpt-4o
temperature: 0.7
tools:
- name: look
  description: Looks.
  parameters:
    type: object
---
<system>
  Be brief.

  Be kind.
</system>

<user>
  <text>
    What is this?
  </text>
  <image url="https://a.b/c.png?d=1&e=2" />
</user>

<assistant>
  <tool name="look" id="call_1">
    {"a": 1}
  </tool>
</assistant>

<tool name="look" id="call_1">
  {{seen}}
</tool>
"""
    assert serialize(kernel) == text
    assert deserialize(text) == kernel


def test_a_file_written_by_hand_may_be_laid_out_freely() -> None:
    text = """---\r
model: gpt-4o
tools: [{"name": "look", "description": "", "strict": true}]
---

<system>Be brief &amp; kind.</system>
<user>
Hello {{name}}
</user>
<assistant><text>Look: </text><tool id="1" name="look">{}</tool></assistant>
"""
    assert deserialize(text) == {
        "model": "gpt-4o",
        "tools": [{"name": "look", "description": "", "strict": True}],
        "template": [
            {"role": "system", "content": "Be brief &amp; kind."},
            {"role": "user", "content": "Hello {{name}}"},
            {
                "role": "assistant",
                "content": "Look: ",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
                ],
            },
        ],
    }


def test_a_completion_template_is_the_plain_body() -> None:
    assert deserialize("---\nmodel: m\nendpoint: complete\n---\nSay {{it}}\n") == {
        "model": "m",
        "endpoint": "complete",
        "template": "Say {{it}}",
    }
    assert deserialize("---\nmodel: x\n---\n") == {"model": "x"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: m", "must begin with a YAML header"),
        ("---\nmodel: [\n---\n", "not YAML"),
        ("---\n- a\n---\n", "`name: value`"),
        ("---\nmodel: m\ntemprature: 1\n---\n", "unknown fields: temprature"),
        ("---\nmodel: m\nother: {a: &x [1], b: *x}\n---\n", "aliases"),
        ("---\nmodel: m\n---\n<user>Hi\n", "<user> is never closed"),
        ("---\nmodel: m\n---\n<user>Hi</user> and more", "line 1 of the messages"),
        ("---\nmodel: m\n---\n<message>{</message>", "holds JSON"),
        ("---\nmodel: m\n---\n<user><image /></user>", "needs its address"),
        ("---\nmodel: " + "[" * 3000 + "\n---\n", "the header"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words.replace("[", r"\[")):
        deserialize(text)
