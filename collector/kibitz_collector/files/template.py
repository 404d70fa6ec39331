"""Fills templates of Prompts and Agents with inputs, for calls, for `populate`, and for pages.

What a template's places are, the SDK and the collector have in common: `kibitz.templates`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError, meta
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kibitz.templates import (
    PLACE,
    Template,
    ToolCall,
    as_text,
    each_text,
    fill,
    find_names,
    find_tool_calls,
    missing_names,
    texts_of,
)
from kibitz_collector.errors import Invalid

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
MAX_RENDERED_CHARS = 4_000_000


def find_inputs(template: Template | None, language: str | None = None) -> list[str]:
    """Return the names of the inputs a template asks for, in order of appearance."""
    if language != "jinja":
        return find_names(template)
    return list(dict.fromkeys(name for text in texts_of(template) for name in _jinja_names(text)))


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
        return each_text(template, lambda text: _render_jinja(text, inputs))
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
