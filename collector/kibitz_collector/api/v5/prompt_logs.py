"""`/v5/prompts/log`: Logs of Prompts that ran elsewhere, posted and changed."""

from fastapi import APIRouter

from kibitz_collector.api.v5.contract import ContractRoute, Sender
from kibitz_collector.api.v5.log_answers import answer_one
from kibitz_collector.api.v5.log_targets import find_target
from kibitz_collector.api.v5.models.logs import (
    CreatePromptLogResponse,
    LogResponse,
    PromptLogRequest,
    PromptLogUpdate,
)
from kibitz_collector.api.v5.posted_logs import add_log, change_log

router = APIRouter(prefix="/v5", tags=["prompts"], route_class=ContractRoute)


@router.post("/prompts/log", operation_id="prompts.log")
def log_prompt(
    caller: Sender,
    body: PromptLogRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> CreatePromptLogResponse:
    """Store a call of a Prompt; `prompt` makes File and Version when they are not there."""
    target = find_target(caller, "prompt", body, body.prompt, version_id, environment)
    log = add_log(caller, "prompt", body, target)
    return CreatePromptLogResponse(
        id=log.id,
        prompt_id=target.file_id,
        version_id=log.version_id or target.version_id,
        session_id=log.session_id,
    )


@router.patch("/prompts/{id}/log/{log_id:path}", operation_id="prompts.update_log")
def update_prompt_log(caller: Sender, id: str, log_id: str, body: PromptLogUpdate) -> LogResponse:
    """Change a Log of a Prompt: what is given is set, null clears."""
    change_log(caller, "prompt", log_id, body, file_id=id)
    return answer_one(caller, log_id)
