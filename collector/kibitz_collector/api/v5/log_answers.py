"""Stored Logs in the contract's form: nested, each with the Version it is an execution of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

import orjson
from pydantic import TypeAdapter, ValidationError

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.chat_messages import to_chat_message
from kibitz_collector.api.v5.contract import to_time
from kibitz_collector.api.v5.file_answers import answer_files
from kibitz_collector.api.v5.models.files import FileResponse
from kibitz_collector.api.v5.models.logs import (
    AgentLogResponse,
    AnyLogResponse,
    EvaluatorLogResponse,
    FlowLogResponse,
    LogResponse,
    PromptLogResponse,
    ToolChoice,
    ToolLogResponse,
)
from kibitz_collector.errors import NotFound
from kibitz_collector.records import JudgmentView, LogDetail, LogSummary, Tokens
from kibitz_collector.store.queries import log_pages
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.evaluations_logs import added_to

MAX_DEPTH = 40
"""Logs deeper down are shown on this level: JSON nests only so far."""
MAX_TREE_LOGS = 2_000
_TOOL_CHOICE: TypeAdapter[ToolChoice | None] = TypeAdapter(ToolChoice | None)
_MODELS: dict[str, type[AnyLogResponse]] = {
    "prompt": PromptLogResponse,
    "tool": ToolLogResponse,
    "evaluator": EvaluatorLogResponse,
    "flow": FlowLogResponse,
    "agent": AgentLogResponse,
}


def answer_one(caller: Context, log_id: str, *, with_parent: bool = True) -> LogResponse:
    """Return one Log with its judgments and the Logs below it.

    Raises: NotFound.
    """
    with caller.store.read() as session:
        detail = log_queries.get_log(session, caller.workspace_id, log_id)
    answers = answer_many(caller, [detail], with_children=True, with_parents=with_parent)
    if not answers:
        raise NotFound(f"Log {log_id!r} belongs to no File; see /api/logs/{log_id}")
    return answers[0]


def answer_many(
    caller: Context,
    details: Sequence[LogDetail],
    *,
    with_children: bool = False,
    with_parents: bool = False,
) -> list[LogResponse]:
    """Return Logs with their judgments, in the order given; those of no File are left out."""
    gathered = _gather(caller, details, with_children, with_parents)
    return [
        answer
        for detail in details
        if (answer := gathered.answer(detail, with_children, with_parents)) is not None
    ]


class _Gathered:
    """Everything the answers are made of, read at once."""

    def __init__(self) -> None:
        self.below: dict[str, list[LogDetail]] = {}  # by parent, in order of start
        self.judging: dict[str, list[LogDetail]] = {}  # by judged Log
        self.judged: dict[str, LogDetail] = {}  # by id
        self.verdicts: dict[str, JudgmentView] = {}  # by evaluator Log
        self.files: dict[tuple[str, str], FileResponse] = {}  # by File and Version
        self.flows: dict[str, str] = {}  # by trace
        self.runs: dict[str, list[str]] = {}  # by Log that was added to some
        self.left = MAX_TREE_LOGS

    def answer(
        self, detail: LogDetail, with_children: bool, with_parents: bool, depth: int = 0
    ) -> LogResponse | None:
        """Return one Log in the contract's form; None: it is of no File."""
        summary = detail.summary
        file = self.files.get((summary.file_id or "", summary.version_id or ""))
        if file is None or file.type not in _MODELS:
            return None
        values = _common(detail) | {file.type: file}
        values["trace_flow_id"] = self.flows.get(summary.trace_id or "")
        values["batches"] = self._batches(summary)
        values["evaluator_logs"] = [
            answer
            for one in self.judging.get(summary.id, ())
            if (answer := self.answer(one, False, False)) is not None
        ]
        if file.type in ("prompt", "agent"):
            values |= _model_fields(detail)
        if file.type in ("prompt", "agent", "flow"):
            messages = detail.body.messages
            values["messages"] = messages and [to_chat_message(one) for one in messages]
        if file.type == "evaluator":
            values |= self._judgment(detail, with_parents)
        if with_children:
            values["trace_children"] = self._children(summary.id, depth)
        # Each part has been checked when it was made.
        return cast(LogResponse, _MODELS[file.type].model_construct(**values))

    def _batches(self, summary: LogSummary) -> list[str]:
        """Return the runs a Log is one of: the one it names first."""
        named = [summary.run_id] if summary.run_id is not None else []
        return named + [one for one in self.runs.get(summary.id, ()) if one not in named]

    def _judgment(self, detail: LogDetail, with_parents: bool) -> dict[str, Any]:
        verdict = self.verdicts.get(detail.summary.id)
        values: dict[str, Any] = {
            "parent_id": detail.summary.parent_id,
            "judgment": None if verdict is None or verdict.is_error else verdict.value,
            "marked_completed": (detail.body.api_fields or {}).get("marked_completed"),
        }
        judged = self.judged.get(detail.summary.parent_id or "")
        if with_parents and judged is not None:
            values["parent"] = self.answer(judged, False, False)
        return values

    def _children(self, log_id: str, depth: int) -> list[LogResponse]:
        """Return what is below a Log; a Log of no File gives its place to what is below it."""
        children: list[LogResponse] = []
        # Taken out, so that a cycle ends.
        for detail in self.below.pop(log_id, ()):
            if self.left <= 0:
                break
            self.left -= 1
            is_deep = depth + 1 >= MAX_DEPTH
            answer = self.answer(detail, not is_deep, False, depth + 1)
            if answer is not None:
                children.append(answer)
            if answer is None or is_deep:
                children += self._children(detail.summary.id, depth)
        return children


def _gather(
    caller: Context, details: Sequence[LogDetail], with_children: bool, with_parents: bool
) -> _Gathered:
    found = _Gathered()
    everything = list(details)
    workspace_id = caller.workspace_id
    with caller.store.read() as session:
        if with_children:
            for trace_id in dict.fromkeys(d.summary.trace_id for d in details):
                if trace_id is not None:
                    trace = log_queries.get_trace_details(session, workspace_id, trace_id)
                    _hang(found, trace)
                    everything += trace
        if with_parents:
            wanted = sorted({d.summary.parent_id for d in details if d.summary.parent_id})
            found.judged = log_queries.get_logs(session, workspace_id, wanted)
            everything += found.judged.values()
        level = {detail.summary.id for detail in everything}
        for _depth in range(log_pages.MAX_JUDGMENT_DEPTH):
            judging = log_pages.logs_judging(session, workspace_id, level)
            found.judging |= judging
            above = [one for group in judging.values() for one in group]
            everything += above
            level = {one.summary.id for one in above}
        found.verdicts = dict(
            log_pages.verdicts_of(
                session,
                workspace_id,
                (d.summary.id for d in everything if d.summary.kind == "evaluator"),
            )
        )
        found.flows = log_pages.trace_flows(
            session,
            workspace_id,
            (d.summary.trace_id for d in everything if d.summary.trace_id is not None),
        )
        found.runs = added_to(session, workspace_id, [d.summary.id for d in everything])
        files = answer_files(session, workspace_id, _pairs(everything))
        found.files = {(file.id, file.version_id): file for file in files}
    return found


def _hang(found: _Gathered, trace: Iterable[LogDetail]) -> None:
    for detail in trace:
        summary = detail.summary
        if summary.trace_parent_id is not None and summary.parent_id is None:
            found.below.setdefault(summary.trace_parent_id, []).append(detail)


def _pairs(details: Iterable[LogDetail]) -> list[tuple[str, str]]:
    pairs = ((d.summary.file_id, d.summary.version_id) for d in details)
    return sorted({(f, v) for f, v in pairs if f is not None and v is not None})


def _common(detail: LogDetail) -> dict[str, Any]:
    summary, body = detail.summary, detail.body
    told = body.api_fields or {}
    is_saved = told.get("save") is not False
    message = body.output_message
    return {
        "id": summary.id,
        "log_id": summary.id,
        "start_time": to_time(summary.start_ns),
        "end_time": None if summary.end_ns is None else to_time(summary.end_ns),
        "created_at": _created(told.get("created_at"), summary),
        "inputs": body.inputs if is_saved else {},
        "output": _output(body.output),
        "output_message": None if message is None else to_chat_message(message),
        "error": _error(detail),
        "provider_latency": told.get("provider_latency", _latency(summary)),
        "stdout": body.stdout,
        "provider_request": body.provider_request,
        "provider_response": body.provider_response,
        "source": told.get("source") or (None if summary.source == "api" else summary.source),
        "metadata": body.metadata,
        "log_status": "incomplete" if summary.status == "incomplete" else "complete",
        "source_datapoint_id": summary.datapoint_id,
        "trace_parent_id": summary.trace_parent_id,
        "user": summary.user,
        "environment": summary.environment,
        "save": is_saved,
        "trace_id": summary.trace_id,
        "trace_children": [],
    }


def _model_fields(detail: LogDetail) -> dict[str, Any]:
    summary, told = detail.summary, detail.body.api_fields or {}
    tokens: Tokens = summary.tokens
    return {
        "prompt_tokens": told.get(
            "prompt_tokens", _sum(tokens.input_uncached, tokens.cache_read, tokens.cache_write)
        ),
        "reasoning_tokens": told.get("reasoning_tokens", tokens.reasoning),
        "output_tokens": told.get("output_tokens", _sum(tokens.output, tokens.reasoning)),
        "prompt_cost": told.get("prompt_cost"),
        "output_cost": told.get("output_cost"),
        "finish_reason": summary.finish_reason,
        "tool_choice": _tool_choice(told.get("tool_choice")),
    }


def _tool_choice(told: Any) -> ToolChoice | None:
    """Return what a model was told of tools; a provider's own form is none of the contract's."""
    try:
        return _TOOL_CHOICE.validate_python(told)
    except ValidationError:
        return None


def _created(told: str | None, summary: LogSummary) -> datetime:
    return to_time(summary.start_ns) if told is None else datetime.fromisoformat(told)


def _output(output: Any) -> str | None:
    if output is None or isinstance(output, str):
        return output
    return orjson.dumps(output, default=str).decode()


def _error(detail: LogDetail) -> str | None:
    error = detail.body.error
    if error is not None and (error.message or error.type):
        return error.message or error.type
    if detail.summary.status == "error":
        return detail.summary.error_type or "error"
    return None


def _latency(summary: LogSummary) -> float | None:
    return None if summary.duration_ms is None else summary.duration_ms / 1000


def _sum(*parts: int | None) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
