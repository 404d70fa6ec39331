"""`/v5/flows/log` and `/v5/flows/logs/{log_id}`: roots of traces, opened, changed and completed."""

from typing import cast

from fastapi import APIRouter

from kibitz_collector.api.v5.contract import ContractRoute, Sender
from kibitz_collector.api.v5.log_answers import answer_one
from kibitz_collector.api.v5.log_targets import find_target
from kibitz_collector.api.v5.models.logs import (
    CreateFlowLogResponse,
    FlowLogRequest,
    FlowLogResponse,
    FlowLogUpdate,
)
from kibitz_collector.api.v5.posted_logs import add_log, change_log

router = APIRouter(prefix="/v5", tags=["flows"], route_class=ContractRoute)


@router.post("/flows/log", operation_id="flows.log")
def log_flow(
    caller: Sender,
    body: FlowLogRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> CreateFlowLogResponse:
    """Open a Flow's Log that takes children, or store a finished one."""
    target = find_target(caller, "flow", body, body.flow, version_id, environment)
    log = add_log(caller, "flow", body, target)
    return CreateFlowLogResponse(
        id=log.id,
        flow_id=target.file_id,
        version_id=log.version_id or target.version_id,
        log_status="incomplete" if log.status == "incomplete" else "complete",
    )


@router.patch("/flows/logs/{log_id:path}", operation_id="flows.update_log")
def update_flow_log(caller: Sender, log_id: str, body: FlowLogUpdate) -> FlowLogResponse:
    """Change a Flow's Log: what is given is set, null clears; complete it, so that it is judged."""
    change_log(caller, "flow", log_id, body)
    return cast(FlowLogResponse, answer_one(caller, log_id))
