"""Writes and reads `.prompt` and `.agent` files: a kernel as text that people edit.

A YAML header holds every field but the template; after it come the messages as elements, or a plain
text. Whatever the elements cannot hold without loss (a closing tag inside a text, thinking blocks)
is written as `<message>` with the message as JSON; so reading what was written always gives the
same kernel, and nothing in a text is ever escaped.
Source: Humanloop documentation, .prompt file format, 2025-06.
"""

import json
import re
from typing import Any

import yaml

from kibitz_collector.errors import Invalid
from kibitz_collector.records import Json, Message

FIELDS = (
    "model",
    "provider",
    "endpoint",
    "template_language",
    "temperature",
    "max_tokens",
    "top_p",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "response_format",
    "reasoning_effort",
    "other",
    "max_iterations",
    "linked_tools",
    "attributes",
    "tools",
)
ROLES = ("system", "user", "assistant", "tool", "developer")
INDENT = "  "

_ATTRIBUTES = r'(?P<attributes>(?:\s+[\w-]+\s*=\s*"[^"\r\n]*")*)\s*(?P<end>/?)>'
_MESSAGE = re.compile(rf"<(?P<tag>{'|'.join(ROLES)}|message)(?=[\s/>]){_ATTRIBUTES}")
_PART = re.compile(rf"<(?P<tag>text|image|tool)(?=[\s/>]){_ATTRIBUTES}")
_ATTRIBUTE = re.compile(r'([\w-]+)\s*=\s*"([^"\r\n]*)"')
_ODD = re.compile(
    "[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SPACE = re.compile(r"\s*")
_HEADER = re.compile(r"---[ \t]*\n(?P<yaml>(?:.*\n)*?)---[ \t]*(?:\n|$)")


def serialize(kernel: Json) -> str:
    """Return a kernel as the text of its file; nulls are left out."""
    header = {name: kernel[name] for name in FIELDS if kernel.get(name) is not None}
    template = kernel.get("template")
    body = ""
    if isinstance(template, str) and not _MESSAGE.match(template.lstrip()):
        body = template + "\n"
    elif isinstance(template, list) and template:
        body = "\n".join(_write_message(message) for message in template)
    elif template is not None:
        header["template"] = template  # would be read back as something else
    dumped = yaml.dump(header, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{dumped}---\n{body}"


def deserialize(text: str) -> Json:
    """Return the kernel that a file's text describes.

    Raises: Invalid, naming the place.
    """
    if text.startswith("\ufeff"):
        text = text[1:]
    if re.match(r"---[ \t]*\r\n", text):  # saved on Windows
        text = text.replace("\r\n", "\n")
    match = _HEADER.match(text)
    if match is None:
        raise Invalid("the file must begin with a YAML header between two lines of ---")
    kernel = _read_header(match["yaml"])
    body = text[match.end() :]
    if not body or "template" in kernel:
        return kernel
    is_chat = _MESSAGE.match(body.lstrip())
    kernel["template"] = _read_messages(body) if is_chat else body.removesuffix("\n")
    return kernel


class _Dumper(yaml.SafeDumper):
    """Writes values in full: an anchor is nothing a person edits."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Only in double quotes are all characters written so that they are read the same.
    style = '"' if _ODD.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class _Loader(yaml.SafeLoader):
    """Reads plain values: an alias can make little text mean very much."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read here")
        return super().compose_node(parent, index)


# Dates stay texts: a kernel is JSON.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _read_header(text: str) -> Json:
    try:
        header = yaml.load(text, Loader=_Loader) or {}
        if not isinstance(header, dict):
            raise Invalid("the header must be a list of `name: value` lines")
        json.dumps(header, allow_nan=False)
    except yaml.YAMLError as error:
        raise Invalid(f"the header is not YAML: {' '.join(str(error).split())}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"the header holds what JSON cannot: {error}") from None
    unknown = sorted(str(name) for name in header if name not in (*FIELDS, "template"))
    if unknown:
        raise Invalid(f"the header has unknown fields: {', '.join(unknown)}")
    return {name: value for name, value in header.items() if value is not None}


# --- messages


def _write_message(given: Message) -> str:
    message = {name: value for name, value in given.items() if value is not None}
    for write in (_plain, _with_parts):
        text = write(message)
        if text is not None:
            return text
    # JSON may escape a slash, so no closing tag can stand in it.
    body = json.dumps(message, ensure_ascii=False).replace("</", "<\\/")
    return f"<message>\n{INDENT}{body}\n</message>\n"


def _plain(message: Message) -> str | None:
    role, content = message.get("role"), message.get("content")
    opening = _opening(message)
    if opening is None or message.get("tool_calls") is not None:
        return None
    if content is None:
        return f"<{opening} />\n"
    if not isinstance(content, str) or _PART.match(content.lstrip()):
        return None
    return _element(opening, str(role), content)


def _with_parts(message: Message) -> str | None:
    opening, content = _opening(message), message.get("content")
    calls = message.get("tool_calls")
    if opening is None:
        return None
    parts: list[str | None] = []
    if isinstance(content, list) and content and calls is None:
        parts = [_write_part(part) for part in content]
    elif isinstance(calls, list) and calls and (content is None or isinstance(content, str)):
        if content is not None:
            parts.append(_element("text", "text", content))
        parts += [_write_call(call) for call in calls]
    written = [part for part in parts if part is not None]
    if not parts or len(written) < len(parts):
        return None
    return _element(opening, str(message["role"]), "".join(written).removesuffix("\n"))


def _opening(message: Message) -> str | None:
    """Return `role name="…" id="…"`; None when the message has more than an element can say."""
    known = {"role", "content", "name", "tool_call_id", "tool_calls"}
    role = message.get("role")
    if role not in ROLES or not message.keys() <= known:
        return None
    return _with_attributes(role, name=message.get("name"), id=message.get("tool_call_id"))


def _write_part(part: Any) -> str | None:
    match part:
        case {"type": "text", "text": str(text)} if len(part) == 2:
            return _element("text", "text", text)
        case {"type": "image_url", "image_url": {"url": url, **more}} if len(part) == 2:
            if more.keys() <= {"detail"} and None not in more.values():
                opening = _with_attributes("image", url=url, detail=more.get("detail"))
                return None if opening is None else f"<{opening} />\n"
    return None


def _write_call(call: Any) -> str | None:
    match call:
        case {"id": id_, "type": "function", "function": {"name": name, **more}} if len(call) == 3:
            opening = _with_attributes("tool", name=name, id=id_)
            if opening is None or not more.keys() <= {"arguments"}:
                return None
            if not more:
                return f"<{opening} />\n"
            arguments = more["arguments"]
            return _element(opening, "tool", arguments) if isinstance(arguments, str) else None
    return None


def _with_attributes(tag: str, **attributes: Any) -> str | None:
    text = tag
    for name, value in attributes.items():
        if value is None:
            continue
        if not isinstance(value, str) or re.search(r'["\r\n]', value):
            return None
        text += f' {name}="{value}"'
    return text


def _element(opening: str, tag: str, text: str) -> str | None:
    """Write a text as an element, each line indented; None when it holds the closing tag."""
    if re.search(rf"</{tag}\s*>", text):
        return None
    lines = [INDENT + line if line else "" for line in text.split("\n")]
    return "\n".join([f"<{opening}>", *lines, f"</{tag}>\n"])


# --- and back


def _read_messages(body: str) -> list[Message]:
    messages = []
    for tag, attributes, text in _elements(body, _MESSAGE, "messages"):
        if tag == "message":
            messages.append(_read_json_message(text or ""))
        else:
            messages.append(_read_message(tag, attributes, text))
    return messages


def _read_json_message(text: str) -> Message:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"a <message> holds JSON, and this is none: {error}") from None
    if not isinstance(message, dict):
        raise Invalid("a <message> holds a JSON object with a role")
    return message


def _read_message(role: str, attributes: dict[str, str], text: str | None) -> Message:
    message: Message = {"role": role}
    if text is not None and _PART.match(text.lstrip()):
        _read_parts(message, text)
    elif text is not None:
        message["content"] = text
    for name, field in (("name", "name"), ("id", "tool_call_id")):
        if name in attributes:
            message[field] = attributes[name]
    return message


def _read_parts(message: Message, text: str) -> None:
    parts: list[Json] = []
    calls: list[Json] = []
    for tag, attributes, inner in _elements(text, _PART, f"parts of <{message['role']}>"):
        if tag == "tool":
            calls.append(_read_call(attributes, inner))
        elif tag == "image":
            parts.append({"type": "image_url", "image_url": _read_image(attributes)})
        else:
            parts.append({"type": "text", "text": inner or ""})
    if calls:
        texts = [part["text"] for part in parts if part["type"] == "text"]
        if len(texts) < len(parts) or len(texts) > 1:
            raise Invalid("a message with tool calls may hold one text beside them")
        if texts:
            message["content"] = texts[0]
        message["tool_calls"] = calls
    else:
        message["content"] = parts


def _read_call(attributes: dict[str, str], arguments: str | None) -> Json:
    if "name" not in attributes:
        raise Invalid('a tool call needs its name: <tool name="…" id="…">')
    function: Json = {"name": attributes["name"]}
    if arguments is not None:
        function["arguments"] = arguments
    return {"id": attributes.get("id", ""), "type": "function", "function": function}


def _read_image(attributes: dict[str, str]) -> Json:
    if "url" not in attributes:
        raise Invalid('an image needs its address: <image url="https://…" />')
    return {name: attributes[name] for name in ("url", "detail") if name in attributes}


def _elements(
    text: str, opening: re.Pattern[str], what: str
) -> list[tuple[str, dict[str, str], str | None]]:
    """Split a text into elements: (tag, attributes, inner text; None when it closes itself)."""
    found: list[tuple[str, dict[str, str], str | None]] = []
    position = _skip_space(text, 0)
    while position < len(text):
        match = opening.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise Invalid(
                f"line {line} of the {what}: {text[position : position + 40]!r} is in none"
            )
        tag, inner, position = match["tag"], None, match.end()
        if not match["end"]:
            closing = re.compile(rf"</{tag}\s*>").search(text, position)
            if closing is None:
                raise Invalid(f"<{tag}> is never closed in the {what}")
            inner = _without_indent(text[position : closing.start()])
            position = closing.end()
        found.append((tag, dict(_ATTRIBUTE.findall(match["attributes"])), inner))
        position = _skip_space(text, position)
    return found


def _skip_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _without_indent(inner: str) -> str:
    """Undo the layout of an element whose text has lines of its own."""
    lines = inner.split("\n")
    if len(lines) < 2 or lines[0].strip(" \t"):
        return inner
    middle, last = lines[1:-1], lines[-1]
    if last.strip(" \t"):  # the closing tag stands behind the text
        middle.append(last.rstrip(" \t"))
    if all(line.startswith(INDENT) for line in middle if line):
        middle = [line[len(INDENT) :] for line in middle]
    return "\n".join(middle)
