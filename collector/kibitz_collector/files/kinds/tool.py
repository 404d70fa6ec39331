"""What a Tool's content says: of which kind it is, what it takes, how it is set up.

`setup_values`, by `tool_type`:
snippet          {key: text}, at most ten
get_api_call     {url, params?, headers?, api_key_header?, api_key?}
google           {api_key?, engine?, num?, url?}
pinecone_search  {host | index, namespace?, embedding_model?, embedding_provider?, top_k?,
                 text_field?, filter?, api_key?, url?}
A `{name}` in the url is an input; a `{NAME}` in a header is an environment variable of the Tool.
"""

import re
from collections.abc import Mapping
from typing import Any

from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import tool_type
from kibitz_collector.records import Json

MAX_PAIRS = 10
WEB_TYPES = ("get_api_call", "google", "pinecone_search")
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_SIGNATURE = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer"}


def check_tool(content: Mapping[str, Any]) -> None:
    """Make sure a Tool is set up as its kind must be.

    Raises: Invalid.
    """
    kind, setup = tool_type(content), setup_of(content)
    if kind == "snippet":
        if len(setup) > MAX_PAIRS:
            raise Invalid(f"a Snippet has at most {MAX_PAIRS} pairs, and this one has {len(setup)}")
        if not all(isinstance(text, str) for text in setup.values()):
            raise Invalid("the pairs of a Snippet are texts: setup_values is {key: text}")
    if kind == "get_api_call":
        if not isinstance(setup.get("url"), str):
            raise Invalid("a Tool of type get_api_call needs setup_values.url")
        if not isinstance(setup.get("headers") or {}, dict):
            raise Invalid("setup_values.headers must be {name: value}")
        if not isinstance(setup.get("params") or {}, dict | list):
            raise Invalid("setup_values.params must be {name: value} or a list of names")
    if kind == "pinecone_search" and not (setup.get("host") or setup.get("index")):
        raise Invalid("a Tool of type pinecone_search needs setup_values.host or .index")


def setup_of(content: Mapping[str, Any]) -> Json:
    """Return the values a Tool is set up with."""
    setup = content.get("setup_values")
    return setup if isinstance(setup, dict) else {}


def function_of(content: Mapping[str, Any], name: str) -> Json | None:
    """Return the function that a model is told of; None: the Tool has none."""
    function = content.get("function")
    if isinstance(function, dict):
        return function
    properties = _properties(content)
    if properties is None:
        return None
    required = [one for one in properties if one != "top_k"]
    return {
        "name": _NOT_IN_NAMES.sub("_", name)[:64],
        "description": _DESCRIPTIONS[tool_type(content)],
        "parameters": {"type": "object", "properties": properties, "required": required},
    }


def parameter_names(content: Mapping[str, Any]) -> list[str]:
    """Return what the arguments of a call in a template are called, in their order.

    Code knows best; else it is what the model is told.
    """
    function = content.get("function")
    told = function if isinstance(function, dict) else {}
    written = _signature(str(content.get("source_code") or ""), told.get("name"))
    if written:
        return written
    parameters = told.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if isinstance(properties, dict) and properties:
        return list(properties)
    return list(_properties(content) or {})


_DESCRIPTIONS = {
    "google": "Search Google.",
    "pinecone_search": "Search the documents by meaning.",
    "get_api_call": "Call an API.",
    "snippet": "Read a text.",
}


def _properties(content: Mapping[str, Any]) -> Json | None:
    setup = setup_of(content)
    match tool_type(content):
        case "google":
            return {"query": _TEXT}
        case "pinecone_search":
            return {"query": _TEXT, "top_k": _WHOLE}
        case "snippet":
            return {"key": {"type": "string", "enum": list(setup)}}
        case "get_api_call":
            params = setup.get("params")
            named = PLACEHOLDER.findall(str(setup.get("url") or ""))
            open_params = [name for name in params if _is_open(params, name)] if params else []
            return {name: _TEXT for name in [*named, *open_params]}
    return None


def _is_open(params: Any, name: str) -> bool:
    """Tell whether a query parameter is left to the caller: listed, or without a value."""
    return not isinstance(params, dict) or params[name] in (None, "")


def _signature(source: str, name: Any) -> list[str]:
    """Return the parameters of the function `name`, else of the last one; nothing is compiled."""
    found = {match[1]: match.end() for match in _SIGNATURE.finditer(source)}
    if not found:
        return []
    start = found[name] if name in found else list(found.values())[-1]
    depth, written, inner = 0, list[str](), ""
    for character in _QUOTED.sub("", source[start:]):
        if character == ")" and depth == 0:
            break
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            written.append(inner)
            inner = ""
        else:
            inner += character
    names = [re.match(r"\s*([A-Za-z_]\w*)", part) for part in [*written, inner]]
    return [name[1] for name in names if name is not None]
