"""`POST /v5/tools/call`: runs a Tool's code in the sandbox, with its environment variables."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, Request

from kibitz_collector import calls
from kibitz_collector.access import connections
from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import ContractRoute, Owner, to_time
from kibitz_collector.api.v5.events import in_thread
from kibitz_collector.api.v5.log_answers import answer_one
from kibitz_collector.api.v5.log_targets import read_kernel
from kibitz_collector.api.v5.models.calls import (
    EnvironmentVariable,
    ToolCallRequest,
    ToolCallResponse,
)
from kibitz_collector.api.v5.models.files import ToolResponse
from kibitz_collector.api.v5.posted_logs import refuse_complete_trace
from kibitz_collector.api.v5.prompt_calls import file_of, to_labels
from kibitz_collector.calls import RunTool, ToolCall
from kibitz_collector.errors import Invalid
from kibitz_collector.evaluate.tools import tool_runner
from kibitz_collector.store.queries import files as file_queries

router = APIRouter(prefix="/v5", tags=["tools"], route_class=ContractRoute)
Variables = Annotated[list[EnvironmentVariable], Body(max_length=100)]


@router.post("/tools/call", response_model=ToolCallResponse, operation_id="tools.call")
async def call_tool(
    caller: Owner,
    request: Request,
    body: ToolCallRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> Any:
    """Call a Tool that has code; an error of the code is part of the answer."""
    run = tool_runner(request.app.state.sandbox, caller.settings)
    return await in_thread(lambda: _answer(caller, body, version_id, environment, run))


@router.get("/tools/{id}/environment-variables", operation_id="tools.get_environment_variables")
def list_environment_variables(caller: Owner, id: str) -> list[EnvironmentVariable]:
    """List a Tool's environment variables."""
    _check_tool(caller, id)
    return _variables(caller, id)


@router.post("/tools/{id}/environment-variables", operation_id="tools.add_environment_variable")
def add_environment_variables(caller: Owner, id: str, body: Variables) -> list[EnvironmentVariable]:
    """Add environment variables; one of the same name is replaced."""
    _check_tool(caller, id)
    connections.keep_tool_variables(caller, id, {one.name: one.value for one in body})
    return _variables(caller, id)


@router.delete(
    "/tools/{id}/environment-variables/{name}",
    operation_id="tools.delete_environment_variable",
)
def delete_environment_variable(caller: Owner, id: str, name: str) -> list[EnvironmentVariable]:
    """Delete an environment variable; answers those that are left."""
    _check_tool(caller, id)
    connections.forget_tool_variable(caller, id, name)
    return _variables(caller, id)


def _answer(
    caller: Context,
    body: ToolCallRequest,
    version_id: str | None,
    environment: str | None,
    run: RunTool,
) -> ToolCallResponse:
    target = calls.find_target(
        caller,
        "tool",
        file_id=body.id,
        path=body.path,
        version_id=version_id,
        environment=environment,
        content=None if body.tool is None else read_kernel("tool", body.tool),
    )
    if body.trace_parent_id is not None:
        refuse_complete_trace(caller, body.trace_parent_id)
    call = ToolCall(target=target, inputs=body.inputs or {}, labels=to_labels(body))
    result = calls.call_tool(caller, call, run)
    stored = answer_one(caller, result.log_id)
    given = body.model_dump(exclude={"tool", "id", "path", "start_time", "end_time", "log_status"})
    return ToolCallResponse.model_validate(
        given
        | {
            "id": result.log_id,
            "log_id": result.log_id,
            "tool": cast(ToolResponse, file_of(caller, target)),
            "start_time": body.start_time or to_time(result.start_ns),
            "end_time": body.end_time or to_time(result.end_ns),
            "created_at": to_time(result.start_ns),
            "log_status": body.log_status or "complete",
            "output": result.outcome.output,
            "error": result.outcome.error,
            "stdout": result.outcome.stdout,
            "provider_latency": (result.end_ns - result.start_ns) / 1e9,
            "batches": [],
            "evaluator_logs": [],
            "trace_id": stored.trace_id,
            "trace_flow_id": stored.trace_flow_id,
            "trace_children": [],
        }
    )


def _variables(caller: Context, tool_id: str) -> list[EnvironmentVariable]:
    found = connections.tool_variables(caller, tool_id)
    return [EnvironmentVariable(name=name, value=value) for name, value in found.items()]


def _check_tool(caller: Context, tool_id: str) -> None:
    with caller.store.read() as session:
        file = file_queries.get_file(session, caller.workspace_id, tool_id)
    if file.kind != "tool":
        raise Invalid(f"{file.path!r} is a {file.kind.title()}; only Tools have variables")
