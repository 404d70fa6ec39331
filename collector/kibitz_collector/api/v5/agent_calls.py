"""`POST /v5/agents/call` and `/continue`: lets an Agent run, as far as it goes; JSON or events."""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, cast

from fastapi import APIRouter, Request

from kibitz_collector import calls
from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.chat_messages import to_chat_message, to_message
from kibitz_collector.api.v5.contract import ContractRoute, Owner, to_time
from kibitz_collector.api.v5.events import event_stream, in_thread, provider_failure
from kibitz_collector.api.v5.log_answers import answer_one
from kibitz_collector.api.v5.log_targets import read_kernel
from kibitz_collector.api.v5.models.calls import (
    AgentCallRequest,
    AgentCallResponse,
    AgentCallStreamResponse,
    AgentContinueRequest,
    AgentLogStreamResponse,
    ProviderApiKeys,
)
from kibitz_collector.api.v5.models.logs import AgentLogResponse, ToolLogResponse
from kibitz_collector.api.v5.models.shared import FunctionCall, ToolCall
from kibitz_collector.api.v5.posted_logs import refuse_complete_trace
from kibitz_collector.api.v5.prompt_calls import to_labels
from kibitz_collector.calls import AgentEvent, AgentRun, RunTool
from kibitz_collector.evaluate.tools import tool_runner

router = APIRouter(prefix="/v5", tags=["agents"], route_class=ContractRoute)
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@router.post(
    "/agents/call",
    response_model=AgentCallResponse,
    responses=_EVENTS,
    operation_id="agents.call",
)
async def call_agent(
    caller: Owner,
    request: Request,
    body: AgentCallRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> Any:
    """Call an Agent; with `stream` the answer comes as events."""
    run_tool = tool_runner(request.app.state.sandbox, caller.settings)
    return await _answer(
        caller,
        lambda: _start(caller, body, version_id, environment, run_tool),
        run_tool,
        is_streamed=body.stream,
        with_children=body.include_trace_children is True,
        with_inputs=body.return_inputs is not False,
    )


@router.post(
    "/agents/continue",
    response_model=AgentCallResponse,
    responses=_EVENTS,
    operation_id="agents.continue_call",
)
async def continue_agent(caller: Owner, request: Request, body: AgentContinueRequest) -> Any:
    """Go on with a suspended Agent; `messages` begin with the results it waits for."""
    run_tool = tool_runner(request.app.state.sandbox, caller.settings)
    messages = [to_message(message) for message in body.messages]
    keys = _keys(body.provider_api_keys)
    return await _answer(
        caller,
        lambda: calls.resume_agent(caller, body.log_id, messages, keys),
        run_tool,
        is_streamed=body.stream,
        with_children=body.include_trace_children is True,
    )


def _start(
    caller: Context,
    body: AgentCallRequest,
    version_id: str | None,
    environment: str | None,
    run_tool: RunTool,
) -> AgentRun:
    target = calls.find_target(
        caller,
        "agent",
        file_id=body.id,
        path=body.path,
        version_id=version_id,
        environment=environment,
        content=None if body.agent is None else read_kernel("agent", body.agent),
    )
    if body.trace_parent_id is not None:
        refuse_complete_trace(caller, body.trace_parent_id)
    return calls.start_agent(
        caller,
        target,
        messages=[to_message(message) for message in body.messages or []],
        inputs=body.inputs or {},
        tool_choice=body.tool_choice,
        keys=_keys(body.provider_api_keys),
        labels=to_labels(body),
        run_tool=run_tool,
    )


async def _answer(
    caller: Context,
    begin: Callable[[], AgentRun],
    run_tool: RunTool,
    *,
    is_streamed: bool,
    with_children: bool,
    with_inputs: bool = True,
) -> Any:
    run = await in_thread(begin)
    if is_streamed:
        return await event_stream(_events(caller, run, run_tool))

    def finish() -> AgentCallResponse | None:
        for _event in calls.run_agent(caller, run, run_tool):
            pass
        if run.error is not None:
            return None
        return _whole(caller, run, with_children=with_children, with_inputs=with_inputs)

    answer = await in_thread(finish)
    return provider_failure(run.error) if run.error is not None else answer


def _whole(
    caller: Context, run: AgentRun, *, with_children: bool, with_inputs: bool
) -> AgentCallResponse:
    stored = cast(AgentLogResponse, answer_one(caller, run.log_id, with_parent=False))
    answer = AgentCallResponse.model_construct(**dict(stored))
    if run.is_suspended and run.last_reply is not None:
        answer.previous_agent_message = to_chat_message(run.last_reply)
    if not with_children:
        answer.trace_children = []
    if not with_inputs:
        answer.inputs = {}
    return answer


def _events(
    caller: Context, run: AgentRun, run_tool: RunTool
) -> Generator[AgentCallStreamResponse, None, None]:
    with closing(calls.run_agent(caller, run, run_tool, is_streamed=True)) as events:
        for event in events:
            yield AgentCallStreamResponse.model_construct(
                log_id=run.log_id,
                message=event.message,
                payload=_payload(caller, run, event),
                type=event.type,
                created_at=to_time(time.time_ns()),
            )


def _payload(caller: Context, run: AgentRun, event: AgentEvent) -> Any:
    match event.type:
        case "agent_update":
            return AgentLogStreamResponse(
                output=event.text,
                id=run.log_id,
                agent_id=run.target.file_id,
                version_id=run.target.version_id,
            )
        case "tool_start":
            return _tool_call(event)
        case "tool_end" if event.log_id is not None:
            stored = answer_one(caller, event.log_id, with_parent=False)
            return stored if isinstance(stored, ToolLogResponse) else _tool_call(event)
        case "agent_turn_suspend" | "agent_turn_end":
            return answer_one(caller, run.log_id, with_parent=False)
    return None


def _tool_call(event: AgentEvent) -> ToolCall:
    called = event.tool_call or {}
    function = FunctionCall(name=called.get("name") or "", arguments=called.get("arguments"))
    return ToolCall(id=called.get("id") or "", type="function", function=function)


def _keys(given: ProviderApiKeys | None) -> dict[str, Any] | None:
    return None if given is None else given.model_dump(exclude_none=True)
