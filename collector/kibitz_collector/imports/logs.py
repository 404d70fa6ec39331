"""From the v5 API's answers about Logs to records, with all that is nested in them."""

from collections.abc import Iterator
from dataclasses import replace

from pydantic import ValidationError

from kibitz_collector.api.v5.log_records import new_record
from kibitz_collector.api.v5.log_targets import Target
from kibitz_collector.api.v5.models.logs import (
    AgentLogRequest,
    EvaluatorLogRequest,
    FlowLogRequest,
    NewLog,
    PromptLogRequest,
    ToolLogRequest,
)
from kibitz_collector.errors import Invalid
from kibitz_collector.evaluate.feedback import typed_judgment
from kibitz_collector.imports.contents import problems, text
from kibitz_collector.normalize import UserPrices
from kibitz_collector.records import FileKind, Json, Judgment, LogRecord

_REQUESTS: dict[FileKind, type[NewLog]] = {
    "prompt": PromptLogRequest,
    "tool": ToolLogRequest,
    "evaluator": EvaluatorLogRequest,
    "flow": FlowLogRequest,
    "agent": AgentLogRequest,
}
_MAX_DEPTH = 200


def all_logs(answer: Json, depth: int = 0) -> Iterator[Json]:
    """Return a Log, the judgments of it and the Logs below it, each as an answer of its own."""
    yield answer
    if depth >= _MAX_DEPTH:
        return
    log_id = answer.get("id")
    for judgment in _objects(answer, "evaluator_logs"):
        yield from all_logs({"parent_id": log_id, **_said(judgment)}, depth + 1)
    for child in _objects(answer, "trace_children"):
        yield from all_logs({"trace_parent_id": log_id, **_said(child)}, depth + 1)


def kind_of_log(answer: Json) -> FileKind:
    """Return of what type of File a Log is.

    Raises: Invalid: it does not say of which File it is.
    """
    for kind in _REQUESTS:
        if isinstance(answer.get(kind), dict):
            return kind
    raise Invalid("the Log belongs to no File")


def record_of(answer: Json, target: Target, prices: UserPrices) -> tuple[LogRecord, str]:
    """Make the record of one Log; what it says of times, tokens, costs and state stays so.

    Returns it, and what of it had to be left out: nothing, most often.
    Raises: Invalid: too little of it can be read.
    """
    kind = kind_of_log(answer)
    said = {key: value for key, value in answer.items() if key not in (*_REQUESTS, "id", "path")}
    said["log_id"] = text(answer, "id")
    said.pop("run_id", None)
    body, left_out = _read(_REQUESTS[kind], said)
    is_open = body.log_status == "incomplete"
    # Made as an open one: what a complete Log needs, nobody asked of these.
    made = body.model_copy(update={"log_status": "incomplete"})
    record = new_record(kind, made, target, prices)
    if not is_open:
        record = replace(
            record, status="complete" if body.error is None else "error", is_start=False
        )
        if kind in ("flow", "evaluator"):
            record.end_ns = record.end_ns or record.start_ns
    batches = [one for one in answer.get("batches") or () if isinstance(one, str)]
    record.run_id = batches[0] if batches else None
    if kind == "evaluator":
        _add_judgment(record, answer, target.content)
    return record, left_out


def _read(request: type[NewLog], said: Json) -> tuple[NewLog, str]:
    """Read what can be read: a field of odd form costs no Log."""
    try:
        return request.model_validate(said), ""
    except ValidationError as error:
        odd = {str(one["loc"][0]) for one in error.errors()}
        left_out = f"left out {', '.join(sorted(odd))} ({problems(error)})"
    try:
        kept = {key: value for key, value in said.items() if key not in odd}
        return request.model_validate(kept), left_out
    except ValidationError as error:
        raise Invalid(problems(error)) from None


def _add_judgment(record: LogRecord, answer: Json, content: Json) -> None:
    record.parent_id = text(answer, "parent_id")
    value = answer.get("judgment")
    record.judgment = _judgment(record.parent_id, content, value)
    record.judgment.is_error = answer.get("error") is not None
    record.judgment.made_by = record.user
    if record.run_id is not None:
        record.judgment.where = "run"
    elif content.get("evaluator_type") == "human":
        record.judgment.where = "human"


def _judgment(parent_id: str, content: Json, value: object) -> Judgment:
    try:
        return typed_judgment(parent_id, content, value)
    except Invalid:  # the Evaluator was another one then
        return typed_judgment(parent_id, {}, value)


def _objects(answer: Json, name: str) -> list[Json]:
    value = answer.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _said(answer: Json) -> Json:
    """Return an answer without its nulls at the two places that nesting fills in."""
    keys = ("parent_id", "trace_parent_id")
    return {k: v for k, v in answer.items() if not (k in keys and v is None)}
