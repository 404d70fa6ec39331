"""Judgments given by people and programs: a page's form, the API, an app's own check."""

import secrets
import string
import time
from typing import Any

from kibitz_collector.errors import Invalid
from kibitz_collector.records import (
    FileReference,
    Judgment,
    LogBody,
    LogRecord,
    ReturnType,
    Where,
)
from kibitz_collector.store import Store
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Every workspace has these two from the start; others come into being with their first judgment.
KNOWN: dict[str, tuple[ReturnType, list[str]]] = {
    "rating": ("select", ["good", "bad"]),
    "correction": ("text", []),
}


def give_judgment(
    store: Store,
    workspace_id: int,
    log_id: str,
    evaluator: str,
    value: Any,
    *,
    where: Where = "human",
    user: str | None = None,
    explanation: str | None = None,
) -> str:
    """Store one judgment of a Log and return its Log id; None takes back what was said.

    Raises: NotFound: no such Log. Invalid: the value is not one the evaluator may give.
    """
    with store.read() as session:
        log_queries.get_log(session, workspace_id, log_id)
        known = file_queries.find_file(session, workspace_id, evaluator)
        version = (
            file_queries.get_version(session, workspace_id, known.version_id)
            if known is not None and known.version_id
            else None
        )
    content = version.content if version is not None else {}
    if not content:
        content = content_for(evaluator, value)
    judgment = typed_judgment(log_id, content, value)
    judgment.where = where
    judgment.made_by = user
    now_ns = time.time_ns()
    record = LogRecord(
        id="log_" + "".join(secrets.choice(_BASE62) for _ in range(21)),
        kind="evaluator",
        name=evaluator,
        start_ns=now_ns,
        end_ns=now_ns,
        parent_id=log_id,
        file=FileReference(kind="evaluator", path=evaluator, content=content),
        source="api",
        user=user,
        body=LogBody(output=explanation),
        judgment=judgment,
    )
    store.ingest(workspace_id, [record])
    return record.id


def typed_judgment(log_id: str, content: dict[str, Any], value: Any) -> Judgment:
    """Put a plain value into the form its evaluator's return type asks for.

    Raises: Invalid, naming what is allowed.
    """
    return_type: ReturnType = content.get("return_type") or infer_return_type(value)
    judgment = Judgment(judged_log_id=log_id, return_type=return_type)
    if value is None:
        return judgment
    match return_type:
        case "boolean" if isinstance(value, bool):
            judgment.number = float(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            judgment.number = float(value)
        case "select" if isinstance(value, str):
            judgment.labels = [_option(value, content)]
        case "multi_select" if isinstance(value, list):
            judgment.labels = [_option(one, content) for one in value]
        case "text" if isinstance(value, str):
            judgment.text = value
        case _:
            raise Invalid(
                f"this evaluator gives a {return_type}, not {type(value).__name__} {value!r}"
            )
    return judgment


def infer_return_type(value: Any) -> ReturnType:
    """Guess the return type of an evaluator nobody described yet."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "multi_select" if isinstance(value, list) else "select"


def _option(value: Any, content: dict[str, Any]) -> str:
    options = content.get("options") or []
    names = [option["name"] if isinstance(option, dict) else option for option in options]
    if names and value not in names:
        raise Invalid(f"{value!r} is not an option; allowed: {', '.join(names)}")
    return str(value)


def content_for(evaluator: str, value: Any) -> dict[str, Any]:
    """Return what an evaluator nobody described is made of, from its first judgment."""
    return_type, options = KNOWN.get(evaluator, (infer_return_type(value), []))
    content: dict[str, Any] = {"evaluator_type": "human", "return_type": return_type}
    return content | ({"options": options} if options else {})
