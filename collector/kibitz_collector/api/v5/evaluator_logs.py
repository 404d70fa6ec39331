"""`/v5/evaluators/log`: judgments of people and programs, each a Log of its Evaluator."""

from typing import Any

from fastapi import APIRouter

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import ContractRoute, Sender
from kibitz_collector.api.v5.log_records import new_record
from kibitz_collector.api.v5.log_targets import (
    Target,
    existing,
    find_place,
    read_kernel,
    register,
)
from kibitz_collector.api.v5.models.logs import CreateEvaluatorLogResponse, EvaluatorLogRequest
from kibitz_collector.api.v5.posted_logs import find_log, posted, store_record
from kibitz_collector.errors import Conflict, NotFound
from kibitz_collector.evaluate.feedback import content_for, typed_judgment
from kibitz_collector.records import Json, Where

router = APIRouter(prefix="/v5", tags=["evaluators"], route_class=ContractRoute)


@router.post("/evaluators/log", operation_id="evaluators.log")
def log_evaluator(
    caller: Sender,
    body: EvaluatorLogRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> CreateEvaluatorLogResponse:
    """Store what an Evaluator says about a Log; a judgment of null takes back what was said.

    Of one Evaluator's judgments by one user, the latest stands.
    """
    judged = find_log(caller, body.parent_id)
    if judged is None:
        raise NotFound(f"no Log {body.parent_id!r} to judge")
    known = find_log(caller, body.log_id) if body.log_id is not None else None
    if known is not None:
        if known.parent_id != body.parent_id:
            raise Conflict(f"log_id {body.log_id!r} is taken by another Log")
        log = posted(known)
    else:
        target = _find_target(caller, body, version_id, environment)
        record = new_record("evaluator", body, target, caller.prices)
        record.parent_id = body.parent_id
        record.end_ns = record.end_ns or record.start_ns
        record.judgment = typed_judgment(body.parent_id, target.content, body.judgment)
        record.judgment.is_error = body.error is not None
        record.judgment.made_by = body.user
        record.judgment.where = _where(target.content, body)
        log = store_record(caller, record)
    return CreateEvaluatorLogResponse(
        id=log.id,
        parent_id=body.parent_id,
        version_id=log.version_id or "",
        session_id=log.session_id,
    )


def _find_target(
    caller: Context, body: EvaluatorLogRequest, version_id: str | None, environment: str | None
) -> Target:
    """Find the Evaluator; one that nobody has described is what its first judgment looks like."""
    path, file = find_place(caller, "evaluator", body.id, body.path)
    if body.spec is not None:
        return register(caller, "evaluator", path, read_kernel("evaluator", body.spec))
    if file is None or file.version_id is None:
        return register(caller, "evaluator", path, _guess(path, body.judgment))
    return existing(caller, "evaluator", file, version_id, environment)


def _guess(path: str, judgment: Any) -> Json:
    return {"arguments_type": "target_free"} | content_for(path, judgment)


def _where(content: Json, body: EvaluatorLogRequest) -> Where:
    if body.run_id is not None:
        return "run"
    return "human" if content.get("evaluator_type") == "human" else "external"
