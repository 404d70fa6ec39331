"""Messages of every form become pieces a page can draw."""

from kibitz_collector.records import LogBody
from kibitz_collector.ui.messages import Piece, Shown, shown_messages


def test_openai_form_with_image_tool_call_and_result() -> None:
    body = LogBody(
        messages=[
            {"role": "system", "content": "Be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "name": "look", "arguments": '{"x":1}'}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
        output_message={"role": "assistant", "content": "A cat.", "reasoning": "It has whiskers"},
    )
    assert shown_messages(body) == [
        Shown("system", "", [Piece("text", "Be brief")]),
        Shown(
            "user",
            "",
            [Piece("text", "What is this?"), Piece("image", "data:image/png;base64,AAAA")],
        ),
        Shown("assistant", "", [Piece("call", '{\n  "x": 1\n}', "look", "c1")]),
        Shown("tool", "", [Piece("result", "a cat", id="c1")]),
        Shown(
            "assistant",
            "",
            [Piece("reasoning", "It has whiskers"), Piece("text", "A cat.")],
            is_output=True,
        ),
    ]


def test_parts_of_the_standard_form_are_drawn_when_there_is_no_other() -> None:
    parts = [
        {"type": "blob", "mime_type": "image/png", "content": "AAAA"},
        {"type": "uri", "modality": "image", "uri": "javascript:alert(1)"},
        {"type": "compaction", "content": "…"},
    ]
    (message,) = shown_messages(LogBody(messages=[{"role": "user", "parts": parts}]))
    assert [piece.type for piece in message.pieces] == ["image", "other", "other"]


def test_malformed_messages_are_shown_not_refused() -> None:
    body = LogBody(messages=[{}, {"role": None, "content": 5, "tool_calls": ["x"]}])
    assert [message.role for message in shown_messages(body)] == ["unknown", "unknown"]
