"""Calls a Tool: runs its code where code may run, asks a service, or reads a text; stores the Log.

What runs code is above this room, so it is handed in.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kibitz_collector.access.connections import Keys, tool_variables
from kibitz_collector.access.http import Context
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.targets import Target
from kibitz_collector.calls.web import WebError
from kibitz_collector.calls.web_tools import ask_web
from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import tool_type
from kibitz_collector.files.kinds.tool import WEB_TYPES, check_tool, setup_of
from kibitz_collector.files.template import as_text
from kibitz_collector.providers import ProviderError
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
    keys: Keys | None = field(default=None, repr=False)  # of providers, used for vectors
    labels: Labels = field(default_factory=Labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """How a call of a Tool came out; its Log is stored."""

    log_id: str
    start_ns: int
    end_ns: int
    outcome: ToolOutcome


def call_tool(caller: Context, call: ToolCall, run: RunTool | None) -> ToolResult:
    """Call a Tool and store the Log; an error of the Tool is part of the result.

    Raises: Invalid: it is not one that can be called. Busy: nothing can be run now.
    """
    refuse_uncallable(call.target)
    variables = tool_variables(caller, call.target.file_id)
    log_id, start_ns = call.labels.choose_id(), time.time_ns()
    outcome = _outcome(caller, call, variables, run)
    result = ToolResult(log_id=log_id, start_ns=start_ns, end_ns=time.time_ns(), outcome=outcome)
    (stored,) = caller.store.ingest(caller.workspace_id, [to_record(call, result)])
    if stored.error is not None:
        raise Invalid(f"the Log could not be stored: {stored.error}")
    return result


def refuse_uncallable(target: Target) -> None:
    """Make sure that a Tool is of a kind that is called here.

    Raises: Invalid: the caller must run it, or it is not set up.
    """
    kind = tool_type(target.content)
    if kind in ("snippet", *WEB_TYPES):
        check_tool(target.content)
    elif kind not in ("json_schema", "mock", "python"):
        raise Invalid(f"the Tool {target.path!r} is of type {kind}, which is not called here")
    elif kind != "python" or not _source(target):
        raise Invalid(
            f"the Tool {target.path!r} cannot be called: it describes a function and has no "
            "source_code; run it in your app and send its result to POST /v5/tools/log"
        )


def _outcome(
    caller: Context, call: ToolCall, variables: Mapping[str, str], run: RunTool | None
) -> ToolOutcome:
    target = call.target
    kind = tool_type(target.content)
    if kind == "snippet":
        return ToolOutcome(output=read_snippet(target, call.inputs.get("key")))
    if kind == "python":
        if run is None:
            raise Invalid(f"the Tool {target.path!r} has code, and none is run here")
        return run(_source(target), _function_name(target), call.inputs, variables)
    try:
        return ToolOutcome(output=ask_web(caller, target, call.inputs, variables, call.keys))
    except WebError as error:
        return ToolOutcome(error=str(error), error_type="web_error")
    except ProviderError as error:
        return ToolOutcome(error=error.message, error_type=error.type)


def read_snippet(target: Target, key: object) -> str:
    """Return the text of a Snippet that has this key.

    Raises: Invalid: it has none.
    """
    pairs = setup_of(target.content)
    if key is None or as_text(key) not in pairs:
        known = ", ".join(sorted(pairs)) or "none"
        raise Invalid(f"the Snippet {target.name!r} has no key {key!r}; it has: {known}")
    return as_text(pairs[as_text(key)])


def _source(target: Target) -> str:
    source = target.content.get("source_code")
    return source if isinstance(source, str) and source.strip() else ""


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
