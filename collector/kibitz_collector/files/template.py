"""Fills templates of Prompts and Agents with inputs, for calls, for `populate`, and for pages.

What a template's places are, the SDK and the collector have in common: `kibitz.templates`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kibitz.templates import (
    PLACE,
    Template,
    ToolCall,
    as_text,
    each_text,
    fill,
    find_names,
    find_tool_calls,
    literal,
    missing_names,
    texts_of,
)
from kibitz_collector.errors import Invalid
from kibitz_collector.files import jinja

__all__ = [
    "CallTool",
    "Template",
    "ToolCall",
    "as_text",
    "find_inputs",
    "find_tool_calls",
    "populate",
]

CallTool = Callable[[ToolCall], str]


def find_inputs(template: Template | None, language: str | None = None) -> list[str]:
    """Return the names of the inputs a template asks for, in order of appearance."""
    if language != "jinja":
        return find_names(template)
    return list(
        dict.fromkeys(name for text in texts_of(template) for name in jinja.find_names(text))
    )


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
        way = None if call_tool is None else _by_values(call_tool)
        return each_text(template, jinja.renderer(inputs, way))
    missing = [
        name
        for name in missing_names(template, inputs)
        if call_tool is not None or not _is_only_in_calls(template, name)
    ]
    if missing:
        raise Invalid(f"the template needs inputs that were not given: {', '.join(missing)}")
    return fill(template, inputs, call_tool)


def _is_only_in_calls(template: Template, name: str) -> bool:
    return not any(m["name"] == name for t in texts_of(template) for m in PLACE.finditer(t))


def _by_values(call_tool: CallTool) -> jinja.CallTool:
    """Return the same way of calling, for a language that has worked its arguments out."""

    def call(name: str, values: list[Any]) -> str:
        return call_tool(ToolCall(name, [literal(value) for value in values]))

    return call
