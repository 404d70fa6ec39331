"""Messages made ready to be shown: one flat list of typed pieces, whatever form they came in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from kibitz_collector.records import LogBody, Message

_IMAGE_SCHEMES = ("https://", "data:image/")


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing a message holds."""

    type: Literal["text", "reasoning", "image", "call", "result", "other"]
    text: str = ""
    name: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as the page draws it."""

    role: str
    name: str
    pieces: list[Piece] = field(default_factory=list)
    is_output: bool = False


def shown_messages(body: LogBody) -> list[Shown]:
    """Return the input messages, then the output message."""
    shown = [_shown(message) for message in body.messages or []]
    if body.output_message is not None:
        shown.append(_shown(body.output_message, is_output=True))
    return shown


def _shown(message: Message, *, is_output: bool = False) -> Shown:
    pieces = [*_reasoning(message), *_content(message.get("content")), *_calls(message)]
    if not pieces:
        pieces = [_otel_part(part) for part in message.get("parts") or [] if isinstance(part, dict)]
    role = str(message.get("role") or "unknown")
    if role == "tool" and message.get("tool_call_id"):
        pieces = [
            Piece("result", piece.text, id=str(message["tool_call_id"]))
            if piece.type == "text"
            else piece
            for piece in pieces
        ]
    return Shown(role, str(message.get("name") or ""), pieces, is_output)


def _reasoning(message: Message) -> Iterable[Piece]:
    reasoning = message.get("reasoning") or message.get("thinking")
    if isinstance(reasoning, str):
        yield Piece("reasoning", reasoning)
    elif reasoning:
        yield Piece("reasoning", _text(reasoning))


def _content(content: Any) -> Iterable[Piece]:
    if isinstance(content, str):
        if content:
            yield Piece("text", content)
    elif isinstance(content, list):
        for part in content:
            yield _openai_part(part) if isinstance(part, dict) else Piece("text", _text(part))
    elif content is not None:
        yield Piece("other", _text(content))


def _openai_part(part: dict[str, Any]) -> Piece:
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return Piece("text", _text(part.get("text", "")))
        case "image_url" | "input_image":
            image = part.get("image_url")
            return _image(image.get("url") if isinstance(image, dict) else image)
        case _:
            return _otel_part(part)


def _otel_part(part: dict[str, Any]) -> Piece:
    match part.get("type"):
        case "text":
            return Piece("text", _text(part.get("content", "")))
        case "reasoning":
            return Piece("reasoning", _text(part.get("content", "")))
        case "blob" if str(part.get("mime_type", "")).startswith("image/"):
            return _image(f"data:{part['mime_type']};base64,{part.get('content', '')}")
        case "uri" if part.get("modality") in (None, "image"):
            return _image(part.get("uri"))
        case "tool_call":
            return Piece(
                "call",
                _text(part.get("arguments", "")),
                str(part.get("name", "")),
                str(part.get("id", "")),
            )
        case "tool_call_response":
            return Piece("result", _text(part.get("response", "")), id=str(part.get("id", "")))
        case _:
            return Piece("other", _text(part))


def _calls(message: Message) -> Iterable[Piece]:
    for call in message.get("tool_calls") or []:
        if not isinstance(call, dict):
            continue
        nested = call.get("function")
        function = nested if isinstance(nested, dict) else call
        yield Piece(
            "call",
            _pretty_json(function.get("arguments", "")),
            str(function.get("name", "")),
            str(call.get("id", "")),
        )


def _image(url: Any) -> Piece:
    # Only what the page's CSP lets load; anything else is shown as text.
    if isinstance(url, str) and url.startswith(_IMAGE_SCHEMES):
        return Piece("image", url)
    return Piece("other", _text(url))


def _pretty_json(text: Any) -> str:
    if not isinstance(text, str):
        return _text(text)
    try:
        return _text(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
