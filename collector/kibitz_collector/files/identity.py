"""What makes two contents of a File the same Version: canonical form, hash and id."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from kibitz_collector.files.ids import base62

VERSION_PREFIXES = {
    "prompt": "prv_",
    "tool": "tv_",
    "flow": "flv_",
    "agent": "agv_",
    "evaluator": "evv_",
    "dataset": "dsv_",
}
FILE_PREFIXES = {
    "prompt": "pr_",
    "tool": "tl_",
    "flow": "fl_",
    "agent": "ag_",
    "evaluator": "ev_",
    "dataset": "ds_",
}

# Part of a call, not of what is called.
_NOT_IDENTITY = {
    "prompt": {"inputs", "messages", "metadata", "tool_choice"},
    "agent": {"inputs", "messages", "metadata", "tool_choice"},
    "tool": {"inputs", "metadata"},
    "flow": {"inputs", "metadata"},
    "evaluator": {"metadata", "on", "sample_rate"},  # where it runs: a monitor's business
    "dataset": {"metadata", "datapoints_count"},
}
# Saying the default and saying nothing is the same content.
# Source: Humanloop API v5, prompt kernel request, 2025-07.
_MODEL_DEFAULTS: dict[str, Any] = {
    "provider": "openai",
    "endpoint": "chat",
    "max_tokens": -1,
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "other": {},
    "tools": [],
    "linked_tools": [],
    "attributes": {},
    "template_language": "default",
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "prompt": _MODEL_DEFAULTS,
    "agent": _MODEL_DEFAULTS,
    "tool": {"attributes": {}, "setup_values": {}},
    "flow": {"attributes": {}},
    "dataset": {"attributes": {}},
}
_FUNCTIONS = ("function", "tools")
_INT64 = range(-(2**63), 2**63)


def canonical_content(kind: str, content: Mapping[str, Any]) -> bytes:
    """Return the JSON that is equal exactly when two contents are the same Version.

    Keys sorted, defaults filled in, nulls dropped, numbers normalised; text byte for byte, order of
    lists kept.
    """
    ignored = _NOT_IDENTITY.get(kind, set())
    given = {k: v for k, v in content.items() if v is not None and k not in ignored}
    filled = {**_DEFAULTS.get(kind, {}), **given}
    if kind == "tool":
        filled.setdefault("tool_type", tool_type(given))
    if kind == "evaluator" and isinstance(filled.get("prompt"), Mapping):
        filled["prompt"] = _fill_prompt(filled["prompt"])
    for name in _FUNCTIONS:
        if name in filled:
            filled[name] = _fill_functions(filled[name])
    return orjson.dumps(_normal(filled), option=orjson.OPT_SORT_KEYS)


def tool_type(content: Mapping[str, Any]) -> str:
    """Return what kind of Tool this content is, as said or as can be told from it."""
    if content.get("tool_type"):
        return str(content["tool_type"])
    if content.get("source_code"):
        return "python"
    return "json_schema" if content.get("function") else "mock"


def canonical_datapoint(datapoint: Mapping[str, Any]) -> str:
    """Return the JSON that is equal exactly when two datapoints are the same test case."""
    return orjson.dumps(_normal(datapoint), option=orjson.OPT_SORT_KEYS).decode()


def content_hash(kind: str, content: Mapping[str, Any]) -> str:
    """Return the hash that decides equality: 32 hex characters."""
    return hashlib.blake2b(canonical_content(kind, content), digest_size=16).hexdigest()


def version_id(kind: str, file_id: str, hashed_content: str) -> str:
    """Return the id this content has in this File."""
    digest = hashlib.blake2b(f"{file_id}\n{hashed_content}".encode(), digest_size=16).digest()
    return VERSION_PREFIXES[kind] + base62(int.from_bytes(digest, "big"))


def _fill_prompt(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """Write out the settings of a judge's model that are not said."""
    filled = {**_MODEL_DEFAULTS, **{k: v for k, v in prompt.items() if v is not None}}
    return {**filled, "tools": _fill_functions(filled["tools"])}


def _fill_functions(value: Any) -> Any:
    """Write out that a function is not strict, where it is not said."""
    if isinstance(value, list):
        return [_fill_functions(item) for item in value]
    if isinstance(value, Mapping) and isinstance(value.get("json_schema"), Mapping):
        return {**value, "json_schema": _fill_functions(value["json_schema"])}
    if isinstance(value, Mapping) and "name" in value and value.get("strict") is None:
        return {**value, "strict": False}
    return value


def _normal(value: Any) -> Any:
    match value:
        case bool() | str() | None:
            return value
        case int():
            return value if value in _INT64 else str(value)
        case float():
            # 1.0 and 1 are the same setting.
            return int(value) if value.is_integer() and int(value) in _INT64 else value
        case Mapping():
            return {str(k): _normal(v) for k, v in value.items() if v is not None}
        case list() | tuple():
            return [_normal(item) for item in value]
    return str(value)
