"""Log bodies as compressed documents; values many Logs share are kept once, by hash.

A document is zstd(JSON [format, {field: value}, [[path, hash], …]]): at each path the value was
taken out and is stored in the `content` table.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import orjson
import zstandard
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.records import LogBody, LogError
from kibitz_collector.store import dictionary
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.sharing import SeenHashes as SeenHashes
from kibitz_collector.store.sharing import Sharing
from kibitz_collector.store.tables.content import Content

FORMAT = 1
_HEAD = b"[%d," % FORMAT
PREVIEW_CHARS = 200
MAX_DEPTH = 64
BODY_FIELDS = tuple(f.name for f in fields(LogBody))
CONTENT = table(Content)
Values = dict[str, Any]
"""A body as a dict: the fields that are not None; `error` as a dict."""

_local = threading.local()


@dataclass(slots=True)
class EncodedBody:
    """One body ready to be stored. `document` is None when there is nothing to store."""

    document: bytes | None
    contents: dict[bytes, bytes] = field(default_factory=dict)  # hash -> JSON
    size_bytes: int = 0  # uncompressed
    preview_input: str = ""
    preview_output: str = ""
    is_as_given: bool = True  # False: values were cleaned before they could be written


def to_values(body: LogBody) -> Values:
    """Return the fields of a body that say something."""
    values: Values = {}  # one by one: a loop over the fields takes five times as long
    if body.inputs is not None:
        values["inputs"] = body.inputs
    if body.output is not None:
        values["output"] = body.output
    if body.output_message is not None:
        values["output_message"] = body.output_message
    if body.messages is not None:
        values["messages"] = body.messages
    if body.parameters is not None:
        values["parameters"] = body.parameters
    if body.tools is not None:
        values["tools"] = body.tools
    if body.metadata is not None:
        values["metadata"] = body.metadata
    if body.tags is not None:
        values["tags"] = body.tags
    if body.error is not None:
        values["error"] = {
            key: text
            for key in ("type", "message", "traceback")
            if (text := getattr(body.error, key)) is not None
        }
    if body.stdout is not None:
        values["stdout"] = body.stdout
    if body.provider_request is not None:
        values["provider_request"] = body.provider_request
    if body.provider_response is not None:
        values["provider_response"] = body.provider_response
    if body.attributes is not None:
        values["attributes"] = body.attributes
    if body.events is not None:
        values["events"] = body.events
    if body.resource is not None:
        values["resource"] = body.resource
    if body.scope is not None:
        values["scope"] = body.scope
    if body.api_fields is not None:
        values["api_fields"] = body.api_fields
    return values


def to_body(values: Values) -> LogBody:
    """Return the body these fields make; unknown ones (of a newer version) are left out."""
    known = {name: values[name] for name in BODY_FIELDS if name in values}
    if "error" in known:
        known["error"] = LogError(**known["error"])
    return LogBody(**known)


def encode_body(body: LogBody, seen: SeenHashes) -> EncodedBody:
    """Make the document of a body."""
    return encode_values(to_values(body), seen)


def encode_values(values: Values, seen: SeenHashes) -> EncodedBody:
    """Make the document of a body given as a dict; the dict is not changed."""
    if not values:
        return EncodedBody(None)
    is_as_given = True
    sharing = Sharing(seen)
    try:
        kept = orjson.dumps(sharing.take_out(values))
    except (TypeError, ValueError):  # orjson.JSONEncodeError is a TypeError
        is_as_given = False
        seen.forget(sharing.fresh)
        sharing = Sharing(seen)
        values = clean_json(values)
        kept = orjson.dumps(sharing.take_out(values))
    shared = orjson.dumps(sharing.references) if sharing.references else b"[]"
    return EncodedBody(
        _compress(b"".join((_HEAD, kept, b",", shared, b"]"))),
        sharing.contents,
        len(kept) + sharing.saved_bytes,
        preview_input(values),
        preview_output(values),
        is_as_given,
    )


def decode_body(document: bytes, contents: Mapping[bytes, bytes]) -> LogBody:
    """Read a document; `contents` holds the JSON of (at least) the hashes it refers to."""
    return to_body(decode_values(document, contents))


def decode_values(document: bytes, contents: Mapping[bytes, bytes]) -> Values:
    """Read a document as a dict. A shared value that is gone is None."""
    _format, values, references = _read(document)
    for path, value_hash in references:
        holder = values
        for step in path[:-1]:
            holder = holder[step]
        data = contents.get(bytes.fromhex(value_hash))
        holder[path[-1]] = None if data is None else orjson.loads(data)
    return dict(values)


def references(documents: Iterable[bytes | None]) -> set[bytes]:
    """Return the hashes these documents refer to."""
    return {
        bytes.fromhex(value_hash)
        for document in documents
        if document is not None
        for _path, value_hash in _read(document)[2]
    }


def decode_bodies(
    session: Session, workspace_id: int, documents: Sequence[bytes | None]
) -> list[LogBody]:
    """Read many documents with one look at the shared values; None gives an empty body."""
    contents = load_contents(session.connection(), workspace_id, references(documents))
    return [
        LogBody() if document is None else decode_body(document, contents) for document in documents
    ]


def load_contents(
    connection: Connection, workspace_id: int, hashes: set[bytes]
) -> dict[bytes, bytes]:
    """Return the JSON of shared values."""
    wanted = sorted(hashes)
    found: dict[bytes, bytes] = {}
    for start in range(0, len(wanted), 400):
        rows = connection.execute(
            select(CONTENT.c.hash, CONTENT.c.value).where(
                CONTENT.c.workspace_id == workspace_id,
                CONTENT.c.hash.in_(wanted[start : start + 400]),
            )
        )
        found.update({value_hash: decompress(value) for value_hash, value in rows})
    return found


def compress(data: bytes) -> bytes:
    """Compress what is stored in the `content` table."""
    return _compress(data)


def decompress(data: bytes) -> bytes:
    """Undo `compress`."""
    decompressor = getattr(_local, "decompressor", None)
    if decompressor is None:  # neither direction is safe to share between threads
        decompressor = _local.decompressor = zstandard.ZstdDecompressor(dict_data=dictionary.load())
    plain: bytes = decompressor.decompress(data)
    return plain


def clean_json(value: Any, depth: int = 0) -> Any:
    """Return the value as JSON can carry it: valid text, 64-bit integers, bounded depth."""
    match value:
        case None | bool() | float():
            return value
        case str():
            return storable(value)
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case LogError():
            return clean_json(
                {"type": value.type, "message": value.message, "traceback": value.traceback}
            )
    if depth > MAX_DEPTH:
        return "…"
    match value:
        case Mapping():
            return {storable(str(k)): clean_json(v, depth + 1) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [clean_json(item, depth + 1) for item in value]
        case bytes():
            return value.decode("utf-8", "replace")
    return f"<{type(value).__qualname__}>"


def preview_input(values: Values) -> str:
    """Return a short text to recognise the input by: the last user message, else the inputs."""
    for message in reversed(values.get("messages") or ()):
        if message.get("role") == "user":
            return _short(message_text(message))
    inputs = values.get("inputs")
    if isinstance(inputs, dict) and inputs:
        if len(inputs) == 1:
            return _short(_text_of(next(iter(inputs.values()))))
        parts, length = [], 0
        for key, value in inputs.items():
            parts.append(f"{key}: {_short(_text_of(value))}")
            length += len(parts[-1])
            if length > PREVIEW_CHARS:
                break
        return _short(", ".join(parts))
    return ""


def preview_output(values: Values) -> str:
    """Return a short text to recognise the output by."""
    message = values.get("output_message")
    if isinstance(message, dict):
        text = message_text(message)
        if text:
            return _short(text)
        calls = message.get("tool_calls") or ()
        if calls:
            return _short(
                ", ".join(f"{call.get('name')}({call.get('arguments')})" for call in calls)
            )
    return _short(_text_of(values.get("output")))


def message_text(message: Mapping[str, Any]) -> str:
    """Return the text of a message, whatever parts it is made of."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else message.get("parts") or ()
    texts = [
        text
        for part in parts
        if isinstance(part, dict)
        and isinstance(text := part.get("text") or part.get("content"), str)
    ]
    return " ".join(texts)


def _text_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()


def _short(text: str) -> str:
    head = text[:PREVIEW_CHARS]
    is_tidy = head.isprintable() and "  " not in head and head[:1] != " "
    if is_tidy and (head[-1:] != " " or text[PREVIEW_CHARS : PREVIEW_CHARS + 1].strip()):
        return head  # as most texts are: no white space to fold, nor to take off the end
    words = " ".join(text[: 3 * PREVIEW_CHARS // 2].split())
    if len(words) < PREVIEW_CHARS < len(text):  # much white space
        words = " ".join(text[: 4 * PREVIEW_CHARS].split())
    return storable(words[:PREVIEW_CHARS])


def _compress(data: bytes) -> bytes:
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(
            level=dictionary.LEVEL, dict_data=dictionary.load()
        )
    compressed: bytes = compressor.compress(data)
    return compressed


def _read(document: bytes) -> tuple[int, Values, list[tuple[list[Any], str]]]:
    format_, values, references_ = orjson.loads(decompress(document))
    return format_, values, references_
