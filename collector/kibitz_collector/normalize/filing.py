"""Which File a Log is an execution of, and what its Version is made of."""

import re
from functools import lru_cache
from typing import Any, cast

from kibitz_collector.normalize.dialects import humanloop, openinference, openllmetry
from kibitz_collector.normalize.fields import PARAMETERS, UNVERSIONED_PARAMETERS
from kibitz_collector.normalize.messages import read_tools
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import FileKind, FileReference, Json

MAX_PATH = 512
_FILE_KINDS = frozenset(("prompt", "tool", "flow", "agent", "evaluator"))
_VERSION_ID = re.compile(r"(prv|tv|flv|agv|evv)_[0-9A-Za-z]{21}\Z")
_NAMED_PARAMETERS = frozenset(PARAMETERS)
_UNKNOWN_SERVICE = "unknown_service"
# A provider's own words in `invocation_parameters` for what is named otherwise here.
_ALIASES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "maxTokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "stop_sequences": "stop",
    "stopSequences": "stop",
}
_OFFERED = frozenset(("tools", openinference.TOOLS, openllmetry.FUNCTIONS))
_NOT_PARAMETERS = frozenset(("model", "messages", "user", "tools", "input", "system", "prompt"))


def read_parameters(reading: Reading) -> Json | None:
    """Return the parameters of a model call under the names of the v5 contract."""
    found = reading.found
    parameters: Json = {}
    for name in reading.plan.parameters:
        if name in found:
            parameters[name] = found[name]
    for name, value in found["invocation"].items() if "invocation" in found else ():
        name = _ALIASES.get(name, name)
        if name not in _NOT_PARAMETERS and value is not None:
            parameters.setdefault(name, value)
    return parameters or None


def read_tool_definitions(reading: Reading) -> list[Json] | None:
    """Return the tools a model was offered."""
    if reading.may.isdisjoint(_OFFERED):
        return None
    return (
        read_tools(reading.found.get("tools"))
        or openinference.read_tools(reading)
        or openllmetry.read_tools(reading)
    )


def find_file(
    reading: Reading,
    *,
    service: str | None,
    model: str | None,
    provider: str | None,
    parameters: Json | None,
    tools: list[Json] | None,
) -> FileReference | None:
    """Return the File; a Log that names none belongs to one derived from service and name."""
    if reading.kind not in _FILE_KINDS:
        return None
    found = reading.found
    declared: Json | None = found.get("file_content")
    told = humanloop.read_content(reading)
    if told is None and reading.kind == "flow" and "humanloop.log.id" in reading.attributes:
        # A request that named File and Version opened the Log; this span names the path only.
        return None
    path = clean_path(found["file_path"]) if "file_path" in found else None
    is_derived = path is None
    if path is None:
        path = _derived_path(service, found.get("title") or reading.span.name)
    version = found.get("prompt_version")
    content: Json = {}
    if reading.kind == "prompt" or (reading.kind == "agent" and model):
        content = _prompt_content(model, provider, parameters, tools)
    elif reading.kind == "tool" and is_derived:
        content = _tool_content(reading)
    if declared:
        content = _declared(declared, content)
    elif told:
        content = {**content, **told}
    return FileReference(
        kind=cast(FileKind, reading.kind),
        path=path,
        content=content,
        version_id=version if version and _VERSION_ID.match(version) else None,
        is_derived=is_derived,
    )


def _declared(explicit: Json, seen: Json) -> Json:
    """Take a Version as its author declared it; the call only says what nobody declared at all.

    Parameters and tools of one call are not the Version's: a prompt that calls its model twice,
    once with tools, is one Version.
    """
    missing: Json = {name: seen[name] for name in ("model", "provider") if name in seen}
    return {**missing, **explicit}


def clean_path(path: str) -> str | None:
    """Return a path no directory trick works in; None when nothing is left of it."""
    parts = [part.strip() for part in path.replace("\\", "/").split("/")]
    kept = "/".join(part for part in parts if part not in ("", ".", ".."))
    return kept[:MAX_PATH] or None


@lru_cache(maxsize=1024)
def _derived_path(service: str | None, name: str) -> str:
    # A name is one element: "GET /x" or "chat org/model" must not make directories.
    element = name.strip().replace("/", "-") or "unnamed"
    return clean_path(f"{(service or _UNKNOWN_SERVICE).replace('/', '-')}/{element}") or "unnamed"


def _prompt_content(
    model: str | None, provider: str | None, parameters: Json | None, tools: list[Json] | None
) -> Json:
    """Build the kernel of a prompt Version: no template, for a span does not show one."""
    if not model:
        return {}
    content: Json = {"model": model}
    if provider:
        content["provider"] = provider
    other: Json = {}
    for name, value in (parameters or {}).items():
        if name in _NAMED_PARAMETERS:
            content[name] = value
        elif name not in UNVERSIONED_PARAMETERS:
            other[name] = value
    if other:
        content["other"] = other
    if tools:
        content["tools"] = tools
    return content


def _tool_content(reading: Reading) -> Json:
    found = reading.found
    name = found.get("title")
    if not name:
        return {}
    function: Json = {"name": name, "description": found.get("tool_description") or ""}
    schema: Any = found.get("tool_schema")
    if is_schema(schema):
        function["parameters"] = schema
    return {"function": function}


def is_schema(value: Any) -> bool:
    """Tell a JSON Schema from arguments: some senders put it where the arguments belong."""
    return isinstance(value, dict) and "type" in value and "properties" in value
