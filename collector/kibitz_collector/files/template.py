"""Fills templates of Prompts and Agents with inputs, for calls, for `populate`, and for pages.

Source: Humanloop Python SDK 0.8.38, `prompt_utils.py` (what a variable and a tool call look like).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from jinja2 import Environment, StrictUndefined, TemplateError, meta
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kibitz_collector.errors import Invalid
from kibitz_collector.records import Json, Message

Template = str | list[Message]
CallTool = Callable[["ToolCall"], str]
MAX_RENDERED_CHARS = 4_000_000

_PLACE = re.compile(
    r"\{\{\s?(?:(?P<name>[\w.\[\]]+)|(?P<tool>[\w\-]+)\((?P<arguments>[\w\-,\s\"]*)\))\s?\}\}",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call written in a template: `{{ tool(arg, "literal") }}`."""

    name: str
    arguments: list[str]  # as written: a quoted one is a literal, any other names an input

    @property
    def inputs(self) -> list[str]:
        """Return the inputs that this call needs."""
        return [one for one in self.arguments if not one.startswith('"')]


def find_inputs(template: Template | None, language: str | None = None) -> list[str]:
    """Return the names of the inputs a template asks for, in order of appearance."""
    names: dict[str, None] = {}
    for text in _texts(template):
        for name in _jinja_names(text) if language == "jinja" else _names(text):
            names[name] = None
    return list(names)


def find_tool_calls(template: Template | None) -> list[ToolCall]:
    """Return the tool calls written in a template, in order of appearance."""
    found = (_read_call(m) for text in _texts(template) for m in _PLACE.finditer(text) if m["tool"])
    return list(found)


def populate(
    template: Template,
    inputs: Mapping[str, Any],
    *,
    language: str | None = None,
    call_tool: CallTool | None = None,
) -> Template:
    """Return the template with every variable replaced by its input.

    Values go in as they are: braces inside them mean nothing. Without `call_tool`, tool calls stay
    as written. Raises: Invalid: inputs are missing (all are named, sorted), or a Jinja template
    does not parse or does what the sandbox forbids.
    """
    if language == "jinja":
        return _each_text(template, lambda text: _render_jinja(text, inputs))
    missing = sorted(
        name
        for name in set(find_inputs(template))
        if inputs.get(name) is None
        and not (call_tool is None and _is_only_in_calls(template, name))
    )
    if missing:
        raise Invalid(f"the template needs inputs that were not given: {', '.join(missing)}")

    def fill(match: re.Match[str]) -> str:
        if match["name"]:
            return as_text(inputs[match["name"]])
        return match[0] if call_tool is None else call_tool(_read_call(match))

    return _each_text(template, lambda text: _PLACE.sub(fill, text))


def as_text(value: Any) -> str:
    """Return an input as it stands in a text: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _is_only_in_calls(template: Template, name: str) -> bool:
    return not any(m["name"] == name for t in _texts(template) for m in _PLACE.finditer(t))


def _names(text: str) -> Iterator[str]:
    for match in _PLACE.finditer(text):
        if match["name"]:
            yield match["name"]
        else:
            yield from _read_call(match).inputs


def _read_call(match: re.Match[str]) -> ToolCall:
    arguments = [part.strip() for part in match["arguments"].split(",")]
    return ToolCall(match["tool"], [part for part in arguments if part])


def _texts(template: Template | None) -> Iterator[str]:
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
            for part in content:
                text = _part_text(part)
                if text is not None:
                    yield text


def _part_text(part: Any) -> str | None:
    match part:
        case {"type": "text", "text": str(text)} | {
            "type": "image_url",
            "image_url": {"url": str(text)},
        }:
            return text
    return None


def _each_text(template: Template, change: Callable[[str], str]) -> Template:
    if isinstance(template, str):
        return change(template)
    return [_change_message(message, change) for message in template]


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
    changed: Json = dict(part)
    if part["type"] == "text":
        changed["text"] = change(text)
    else:
        changed["image_url"] = {**part["image_url"], "url": change(text)}
    return changed


def _jinja() -> Environment:
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


def _jinja_names(text: str) -> list[str]:
    try:
        return sorted(meta.find_undeclared_variables(_jinja().parse(text)))
    except (TemplateError, RecursionError):
        return []


def _render_jinja(text: str, inputs: Mapping[str, Any]) -> str:
    environment = _jinja()
    try:
        missing = sorted(
            name
            for name in meta.find_undeclared_variables(environment.parse(text))
            if name not in inputs and name not in environment.globals
        )
        pieces: list[str] = []
        size = 0
        for piece in environment.from_string(text).generate(**inputs):
            size += len(piece)
            if size > MAX_RENDERED_CHARS:
                raise Invalid(f"the filled template is longer than {MAX_RENDERED_CHARS} characters")
            pieces.append(piece)
    except UndefinedError as error:
        raise Invalid(
            f"the template needs inputs that were not given: {', '.join(missing) or error.message}"
        ) from None
    except SecurityError as error:
        raise Invalid(f"the template does what no template may: {error}") from None
    except TemplateError as error:
        raise Invalid(f"the template is not Jinja: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"the template fails on these inputs: {error}") from None
    return "".join(pieces)
