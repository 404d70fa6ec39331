"""What a template's places are and how they are filled: the SDK and the collector do it alike.

Source: Humanloop Python SDK 0.8.38, `prompt_utils.py` (what a variable and a tool call look like).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

Message = dict[str, Any]
Template = str | list[Message]

PLACE = re.compile(
    r"\{\{\s?(?:(?P<name>[\w.\[\]]+)|(?P<tool>[\w\-]+)\((?P<arguments>[\w\-,\s\"]*)\))\s?\}\}",
    re.ASCII,
)
_ARGUMENT = re.compile(r'(?:"[^"]*"?|[^,"])+')
_NUMBER = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call written in a template: `{{ tool(arg, "literal") }}`."""

    name: str
    arguments: list[str]  # as written: quoted ones and numbers are literals, others name inputs

    @property
    def inputs(self) -> list[str]:
        """Return the inputs that this call needs."""
        return [one for one in self.arguments if not _is_literal(one)]

    def values(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the arguments: what literals say, and the inputs that others name."""
        return [_value(one) if _is_literal(one) else inputs[one] for one in self.arguments]


def find_names(template: Template | None) -> list[str]:
    """Return the names of the inputs a template asks for, in order of appearance."""
    names: dict[str, None] = {}
    for text in texts_of(template):
        for match in PLACE.finditer(text):
            for name in [match["name"]] if match["name"] else read_call(match).inputs:
                names[name] = None
    return list(names)


def find_tool_calls(template: Template | None) -> list[ToolCall]:
    """Return the tool calls written in a template, in order of appearance."""
    found = (read_call(m) for text in texts_of(template) for m in PLACE.finditer(text) if m["tool"])
    return list(found)


def missing_names(template: Template, inputs: Mapping[str, Any]) -> list[str]:
    """Return the names of the inputs that are asked for and not given, sorted."""
    return sorted(name for name in find_names(template) if inputs.get(name) is None)


def fill(
    template: Template,
    inputs: Mapping[str, Any],
    call_tool: Callable[[ToolCall], str] | None = None,
) -> Template:
    """Return the template with every variable replaced by its input; all must be there.

    Values go in as they are: braces inside them mean nothing. Without `call_tool`, tool calls stay
    as written.
    """

    def replace(match: re.Match[str]) -> str:
        if match["name"]:
            return as_text(inputs[match["name"]])
        return match[0] if call_tool is None else call_tool(read_call(match))

    return each_text(template, lambda text: PLACE.sub(replace, text))


def as_text(value: Any) -> str:
    """Return an input as it stands in a text: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def read_call(match: re.Match[str]) -> ToolCall:
    """Read the tool call in a match of `PLACE`."""
    arguments = [part.strip() for part in _ARGUMENT.findall(match["arguments"])]
    return ToolCall(match["tool"], [part for part in arguments if part])


def literal(value: Any) -> str:
    """Return a value as an argument of a tool call is written."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else f'"{as_text(value)}"'


def _is_literal(argument: str) -> bool:
    return argument.startswith('"') or _NUMBER.fullmatch(argument) is not None


def _value(argument: str) -> str | int:
    return argument[1:].removesuffix('"') if argument.startswith('"') else int(argument)


def texts_of(template: Template | None) -> Iterator[str]:
    """Return the texts of a template that places may be in."""
    if template is None:
        return
    if isinstance(template, str):
        yield template
        return
    for message in template:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            yield from (text for text in map(_part_text, content) if text is not None)


def each_text(template: Template, change: Callable[[str], str]) -> Template:
    """Return the template with each of its texts changed."""
    if isinstance(template, str):
        return change(template)
    return [_change_message(message, change) for message in template]


def _part_text(part: Any) -> str | None:
    match part:
        case {"type": "text", "text": str(text)} | {
            "type": "image_url",
            "image_url": {"url": str(text)},
        }:
            return text
    return None


def _change_message(message: Message, change: Callable[[str], str]) -> Message:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": change(content)}
    if isinstance(content, list):
        return {**message, "content": [_change_part(part, change) for part in content]}
    return message


def _change_part(part: Any, change: Callable[[str], str]) -> Any:
    text = _part_text(part)
    if text is None:
        return part
    if part["type"] == "text":
        return {**part, "text": change(text)}
    return {**part, "image_url": {**part["image_url"], "url": change(text)}}
