"""`/v5/tools/log`: Logs of Tools that ran elsewhere, posted and changed."""

from fastapi import APIRouter

from kibitz_collector.api.v5.contract import ContractRoute, Sender
from kibitz_collector.api.v5.log_answers import answer_one
from kibitz_collector.api.v5.log_targets import find_target
from kibitz_collector.api.v5.models.logs import (
    CreateToolLogResponse,
    LogResponse,
    ToolLogRequest,
    ToolLogUpdate,
)
from kibitz_collector.api.v5.posted_logs import add_log, change_log

router = APIRouter(prefix="/v5", tags=["tools"], route_class=ContractRoute)


@router.post("/tools/log", operation_id="tools.log")
def log_tool(
    caller: Sender,
    body: ToolLogRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> CreateToolLogResponse:
    """Store a call of a Tool; `tool` makes File and Version when they are not there."""
    target = find_target(caller, "tool", body, body.tool, version_id, environment)
    log = add_log(caller, "tool", body, target)
    return CreateToolLogResponse(
        id=log.id,
        tool_id=target.file_id,
        version_id=log.version_id or target.version_id,
        session_id=log.session_id,
    )


@router.patch("/tools/{id}/log/{log_id:path}", operation_id="tools.update")
def update_tool_log(caller: Sender, id: str, log_id: str, body: ToolLogUpdate) -> LogResponse:
    """Change a Log of a Tool: what is given is set, null clears."""
    change_log(caller, "tool", log_id, body, file_id=id)
    return answer_one(caller, log_id)
