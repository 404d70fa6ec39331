"""The v5 contract as a judge of answers: status, required fields, types, enums."""

import functools
import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FILE = Path(__file__).parent / "humanloop-v5.json"
ERROR_SHAPE = {"type": "object", "required": ["detail"]}


@functools.cache
def contract() -> dict[str, Any]:
    """Return the contract's document."""
    document: dict[str, Any] = json.loads(FILE.read_text())
    return document


@functools.cache
def _operations() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    found = []
    # A path of words goes before one of parameters: /prompts/log is no /prompts/{id}.
    for path in sorted(contract()["paths"], key=lambda path: (path.count("{"), path)):
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))
        for method, operation in contract()["paths"][path].items():
            found.append((method.upper(), pattern, operation))
    return found


def find_operation(method: str, path: str) -> dict[str, Any] | None:
    """Return the operation that a request (path without `/v5`) is for."""
    for known, pattern, operation in _operations():
        if known == method and pattern.fullmatch(path):
            return operation
    return None


@functools.cache
def _validator(schema: str) -> Draft202012Validator:
    document = {**json.loads(schema), "components": contract()["components"]}
    return Draft202012Validator(document, format_checker=FormatChecker())


def violations(method: str, path: str, status: int, content_type: str, body: bytes) -> list[str]:
    """Return what is wrong with an answer; nothing: it keeps to the contract."""
    operation = find_operation(method, path)
    if operation is None:
        return [] if status >= 400 else [f"{method} {path} is no operation of the contract"]
    name = operation["operationId"]
    if status >= 500:
        return [f"{name} answered {status}"]
    if status >= 400:
        schema: Any = ERROR_SHAPE
        if status == 422:
            schema = {"$ref": "#/components/schemas/HttpValidationError"}
        return _check(name, schema, json.loads(body))
    answer = operation["responses"].get(str(status))
    if answer is None:
        return [f"{name} answered {status}, not one of {sorted(operation['responses'])}"]
    content = answer.get("content")
    if not content:
        return [f"{name} answered {status} with a body"] if body else []
    schema = next(iter(content.values()))["schema"]
    if "json" not in content_type:
        is_text = schema.get("type") == "string" or content_type.startswith("text/event-stream")
        return [] if is_text else [f"{name} answered {content_type}"]
    return _check(name, schema, json.loads(body))


def _check(name: str, schema: Any, value: Any) -> list[str]:
    problems = _validator(json.dumps(schema)).iter_errors(value)
    return [f"{name}: {'/'.join(map(str, p.absolute_path))}: {p.message[:300]}" for p in problems]
