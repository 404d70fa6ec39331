"""Judgments given by people and programs: a page's form, the API, an app's own check."""

import time
from typing import Any

from kibitz_collector.errors import Invalid
from kibitz_collector.evaluate.judgments import make_judgment
from kibitz_collector.evaluate.sandbox import Verdict
from kibitz_collector.evaluate.values import value_problem
from kibitz_collector.files.ids import random_id
from kibitz_collector.files.kinds.evaluator import DEFAULT_EVALUATORS, read_evaluator
from kibitz_collector.records import (
    FileReference,
    Json,
    Judgment,
    LogBody,
    LogRecord,
    ReturnType,
    Where,
)
from kibitz_collector.store import Store
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries


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
        id=random_id("log_"),
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


def typed_judgment(log_id: str, content: Json, value: Any) -> Judgment:
    """Put a plain value into the form its evaluator's return type asks for.

    Raises: Invalid, naming what is allowed.
    """
    return_type: ReturnType = content.get("return_type") or infer_return_type(value)
    said = {**content, "evaluator_type": "external", "return_type": return_type}
    spec = read_evaluator(said)
    if isinstance(value, int) and return_type == "number" and not isinstance(value, bool):
        value = float(value)
    problem = value_problem(value, spec)
    if problem is not None:
        raise Invalid(problem)
    return make_judgment(spec, Verdict(value=value), log_id, 1.0)


def infer_return_type(value: Any) -> ReturnType:
    """Guess the return type of an evaluator nobody described yet."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "multi_select" if isinstance(value, list) else "select"


def content_for(evaluator: str, value: Any) -> Json:
    """Return what an evaluator nobody described is made of, from its first judgment."""
    known = DEFAULT_EVALUATORS.get(evaluator)
    if known is not None:
        return dict(known)
    return {"evaluator_type": "human", "return_type": infer_return_type(value)}
