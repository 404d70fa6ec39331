"""`/v5/agents/log`: Logs of Agents that ran elsewhere, posted and changed."""

from typing import cast

from fastapi import APIRouter

from kibitz_collector.api.v5.contract import ContractRoute, Sender
from kibitz_collector.api.v5.log_answers import answer_one
from kibitz_collector.api.v5.log_targets import find_target
from kibitz_collector.api.v5.models.logs import (
    AgentLogRequest,
    AgentLogResponse,
    AgentLogUpdate,
    CreateAgentLogResponse,
)
from kibitz_collector.api.v5.posted_logs import add_log, change_log

router = APIRouter(prefix="/v5", tags=["agents"], route_class=ContractRoute)


@router.post("/agents/log", operation_id="agents.log")
def log_agent(
    caller: Sender,
    body: AgentLogRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> CreateAgentLogResponse:
    """Store a call of an Agent; `agent` makes File and Version when they are not there."""
    target = find_target(caller, "agent", body, body.agent, version_id, environment)
    log = add_log(caller, "agent", body, target)
    return CreateAgentLogResponse(
        id=log.id,
        agent_id=target.file_id,
        version_id=log.version_id or target.version_id,
        log_status="incomplete" if log.status == "incomplete" else "complete",
    )


@router.patch("/agents/{id}/log/{log_id:path}", operation_id="agents.update_log")
def update_agent_log(
    caller: Sender, id: str, log_id: str, body: AgentLogUpdate
) -> AgentLogResponse:
    """Change a Log of an Agent: what is given is set, null clears."""
    change_log(caller, "agent", log_id, body, file_id=id)
    return cast(AgentLogResponse, answer_one(caller, log_id))
