"""Calls a Tool: runs its code where code may run, stores the Log.

What runs code is above this room, so it is handed in.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kibitz_collector.access.connections import tool_variables
from kibitz_collector.access.http import Context
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.targets import Target
from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import tool_type
from kibitz_collector.records import Json, LogBody, LogError, LogRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutcome:
    """What a Tool gave: a text, or an error."""

    output: str | None = None
    error: str | None = None
    error_type: str | None = None
    stdout: str | None = None


class RunTool(Protocol):
    """Runs the source of a Tool, isolated."""

    def __call__(
        self, source: str, name: str | None, inputs: Json, variables: Mapping[str, str]
    ) -> ToolOutcome:
        """Call the function `name`, else the last one that the source defines.

        Raises: Invalid: there is no function. Busy: nothing can be run now.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call of a Tool."""

    target: Target
    inputs: Json = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """How a call of a Tool came out; its Log is stored."""

    log_id: str
    start_ns: int
    end_ns: int
    outcome: ToolOutcome


def call_tool(caller: Context, call: ToolCall, run: RunTool) -> ToolResult:
    """Call a Tool and store the Log; an error of the Tool is part of the result.

    Raises: Invalid: it is not one that can be called. Busy: nothing can be run now.
    """
    source = source_of(call.target)
    variables = tool_variables(caller, call.target.file_id)
    log_id, start_ns = call.labels.choose_id(), time.time_ns()
    outcome = run(source, _function_name(call.target), call.inputs, variables)
    result = ToolResult(log_id=log_id, start_ns=start_ns, end_ns=time.time_ns(), outcome=outcome)
    (stored,) = caller.store.ingest(caller.workspace_id, [to_record(call, result)])
    if stored.error is not None:
        raise Invalid(f"the Log could not be stored: {stored.error}")
    return result


def source_of(target: Target) -> str:
    """Return the code that a call of this Tool runs.

    Raises: Invalid: it has none, or is of a type that is not called here.
    """
    kind, source = tool_type(target.content), target.content.get("source_code")
    if kind == "python" and isinstance(source, str) and source.strip():
        return source
    if kind in ("json_schema", "mock", "python"):
        raise Invalid(
            f"the Tool {target.path!r} cannot be called: it describes a function and has no "
            "source_code; run it in your app and send its result to POST /v5/tools/log"
        )
    raise Invalid(f"the Tool {target.path!r} is of type {kind}, which is not called here")


def to_record(call: ToolCall, result: ToolResult) -> LogRecord:
    """Return the Log of a call."""
    labels, outcome = call.labels, result.outcome
    told = {"provider_latency": (result.end_ns - result.start_ns) / 1e9, "source": labels.source}
    error = None
    if outcome.error is not None:
        error = LogError(type=outcome.error_type, message=outcome.error)
    body = LogBody(
        inputs=call.inputs,
        output=outcome.output,
        stdout=outcome.stdout,
        metadata=labels.metadata,
        error=error,
        api_fields={name: value for name, value in told.items() if value is not None},
    )
    if not labels.is_saved:
        error = None if error is None else LogError(type=error.type)
        body = LogBody(error=error, api_fields={"save": False})
    return LogRecord(
        id=result.log_id,
        is_named=labels.log_id is not None,
        kind="tool",
        name=call.target.name,
        start_ns=labels.start_ns or result.start_ns,
        end_ns=labels.end_ns or result.end_ns,
        trace_parent_id=labels.trace_parent_id,
        session_id=labels.session_id,
        file=call.target.reference,
        environment=labels.environment,
        source="api",
        user=labels.user,
        status="error" if error is not None else "complete",
        error_type=outcome.error_type,
        run_id=labels.run_id,
        datapoint_id=labels.datapoint_id,
        body=body,
    )


def _function_name(target: Target) -> str | None:
    function = target.content.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None
