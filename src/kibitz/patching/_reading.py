"""Reading what a provider's library takes and gives, whether a dict or an object; for integrations.

Nothing here iterates, copies or prints a value that is not a dict, a list, a tuple or a string:
reading must not run the host's code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson

Attributes = dict[
    str, Any
]  # attribute name -> text, number, flag, list of texts, or content for JSON

# Sentinels of the generated clients (openai, anthropic, groq, ...) for "argument not given".
_NOT_GIVEN = frozenset({"NotGiven", "Omit"})

Part = dict[str, Any]
Message = dict[str, Any]


def field(value: Any, name: str) -> Any:
    """The field of a dict or of an object, None if it has none."""
    if isinstance(value, dict):
        return value.get(name)
    known = getattr(value, "__dict__", None)
    if known is not None and name in known:
        return known[name]
    # A pydantic object asked for what it lacks raises inside, 2 µs: look where it keeps the rest.
    extra = getattr(value, "__pydantic_extra__", None)
    return getattr(value, name, None) if extra is None else extra.get(name)


def getter(value: Any) -> Callable[[str], Any]:
    """How to ask a dict or an object for several fields: as `field`, which looks each time anew."""
    if isinstance(value, dict):
        return value.get
    known, extra = getattr(value, "__dict__", None), getattr(value, "__pydantic_extra__", None)
    if known is None or extra is None:
        return partial(field, value)
    found: dict[str, Any] = {**extra, **known} if extra else known
    return found.get


def given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that say something, with `extra_body` laid over them."""
    told = {
        name: value
        for name, value in kwargs.items()
        if value is not None and type(value).__name__ not in _NOT_GIVEN
    }
    extra = told.pop("extra_body", None)
    return {**told, **extra} if isinstance(extra, dict) else told


def items(value: Any) -> Sequence[Any]:
    """The elements of a list or tuple; nothing for what can be read only once, as a generator."""
    return value if isinstance(value, (list, tuple)) else ()


def rename(source: Any, names: Mapping[str, str]) -> Attributes:
    """Attributes for the fields present in a dict or object. Zero and False are values."""
    read: Attributes = {}
    if source is None:
        return read
    get = getter(source)
    for name, attribute in names.items():
        value = get(name)
        if value is not None:
            read[attribute] = value
    return read


def text_part(text: str) -> Part:
    """A message part of plain text."""
    return {"type": "text", "content": text}


def tool_call(call_id: Any, name: Any, arguments: Any) -> Part:
    """A message part asking for a tool; arguments as an object if they are one, else as text."""
    return {
        "type": "tool_call",
        "id": call_id,
        "name": name,
        "arguments": parse_json(arguments) if isinstance(arguments, str) else arguments,
    }


def tool_result(call_id: Any, response: Any) -> Part:
    """A message part with what a tool answered."""
    return {"type": "tool_call_response", "id": call_id, "response": response}


def media_part(modality: str, url: str, mime_type: str | None = None) -> Part:
    """A message part for an image, sound or file: `blob` from a data URI, `uri` from any other."""
    if not url.startswith("data:"):
        return {"type": "uri", "modality": modality, "mime_type": mime_type, "uri": url}
    head, _, content = url[5:].partition(",")
    return blob_part(modality, head.partition(";")[0] or mime_type, content)


def blob_part(modality: str, mime_type: str | None, content: Any) -> Part:
    """A message part that holds its base64 bytes itself."""
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": content}


def parse_json(text: str) -> Any:
    """The value of a JSON text, or the text itself: a model may write what is no JSON."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text


class View(dict[str, Any]):
    """Decoded JSON read like the client's objects: `reply.choices`; None for what is absent."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def view(value: Any) -> Any:
    """The same JSON value, with dicts readable by attribute."""
    if type(value) is dict:
        return View((name, view(held)) for name, held in value.items())
    if type(value) is list:
        return [view(item) for item in value]
    return value
