"""`/v5/flows/log`, `/v5/flows/logs/{id}`, `DELETE /v5/logs`: what Humanloop's decorators call.

`@flow` opens its Log here, incomplete, and completes it with a span that carries the Log's id; when
the SDK itself breaks, it takes the open Log back.
"""

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from kibitz_collector.access.http import Context, context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.errors import Conflict, Invalid
from kibitz_collector.files.ids import random_id
from kibitz_collector.normalize import clean_path, message_text
from kibitz_collector.records import (
    FileReference,
    FileRegistration,
    IngestOutcome,
    LogBody,
    LogDetail,
    LogError,
    LogRecord,
    Message,
)
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries

router = APIRouter(prefix="/v5", tags=["flows"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(context)]
LogStatus = Literal["complete", "incomplete"]


class FlowKernel(BaseModel):
    """What a Flow's Version is made of."""

    attributes: dict[str, Any] = {}


class FlowLogUpdate(BaseModel):
    """What may be said of an open Flow Log later."""

    model_config = ConfigDict(extra="ignore")

    messages: list[Message] | None = None
    output_message: Message | None = None
    inputs: dict[str, Any] | None = None
    output: str | None = None
    error: str | None = None
    log_status: LogStatus | None = None


class FlowLogRequest(FlowLogUpdate):
    """A new Flow Log."""

    path: str | None = None
    id: str | None = None  # of the Flow
    flow: FlowKernel | None = None
    log_id: str | None = None
    trace_parent_id: str | None = None
    run_id: str | None = None
    source_datapoint_id: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    created_at: datetime | None = None
    stdout: str | None = None
    provider_request: dict[str, Any] | None = None
    provider_response: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    environment: str | None = None
    save: bool | None = True


class FlowLogCreated(BaseModel):
    """Ids of what was made."""

    id: str
    flow_id: str
    version_id: str
    log_status: LogStatus


class FlowLog(BaseModel):
    """A Flow Log as it stands."""

    id: str
    trace_id: str | None
    trace_parent_id: str | None
    log_status: LogStatus
    start_time: datetime
    end_time: datetime | None
    inputs: dict[str, Any] | None
    messages: list[Message] | None
    output: str | None
    output_message: Message | None
    error: str | None
    evaluator_logs: list[dict[str, Any]] = []
    flow: dict[str, Any]


@router.post("/flows/log")
def create_flow_log(
    caller: Caller, body: FlowLogRequest, version_id: str | None = None
) -> FlowLogCreated:
    """Open a Flow Log that takes children, or store a finished one."""
    path = _find_path(caller, body)
    content = {"attributes": body.flow.attributes} if body.flow else {}
    file_id, made_version = caller.store.register_file(
        caller.workspace_id, FileRegistration(kind="flow", path=path, content=content)
    )
    version = version_id or made_version
    file = FileReference(kind="flow", path=path, content=content, version_id=version)
    record = _to_record(body, file)
    return FlowLogCreated(
        id=_ingest(caller, record).log_id,
        flow_id=file_id,
        version_id=version,
        log_status=body.log_status or "incomplete",
    )


@router.patch("/flows/logs/{log_id:path}")
def update_flow_log(caller: Caller, log_id: str, body: FlowLogUpdate) -> FlowLog:
    """Add to an open Flow Log, or complete it."""
    detail = _get_open(caller, log_id)
    summary = detail.summary
    is_complete = body.log_status == "complete"
    record = LogRecord(
        id=log_id,
        kind="flow",
        name=summary.name,
        start_ns=summary.start_ns,
        end_ns=time.time_ns() if is_complete else None,
        source="humanloop",
        status=_status(body),
        is_start=not is_complete,
        body=_to_body(body),
    )
    _ingest(caller, record)
    with caller.store.read() as session:
        return _to_answer(log_queries.get_log(session, caller.workspace_id, log_id))


@router.delete("/logs", status_code=204)
def delete_logs(caller: Caller, id: Annotated[list[str], Query()]) -> None:
    """Take open Logs back: they stay, marked as lost, so that no trace seems to be running."""
    for log_id in id:
        summary = _get_open(caller, log_id).summary
        record = LogRecord(
            id=log_id,
            kind=summary.kind,
            name=summary.name,
            start_ns=summary.start_ns,
            source="humanloop",
            status="lost",
            is_start=True,
        )
        _ingest(caller, record)


def _find_path(caller: Context, body: FlowLogRequest) -> str:
    if body.id is not None:
        with caller.store.read() as session:
            return file_queries.get_file(session, caller.workspace_id, body.id).path
    path = clean_path(body.path or "")
    if path is None:
        raise Invalid("path or id must say which Flow this Log belongs to")
    return path


def _get_open(caller: Context, log_id: str) -> LogDetail:
    with caller.store.read() as session:
        detail = log_queries.get_log(session, caller.workspace_id, log_id)
    if detail.summary.status != "incomplete":
        raise Conflict(f"Log {log_id} is {detail.summary.status}; only open Logs can be changed")
    return detail


def _to_record(body: FlowLogRequest, file: FileReference) -> LogRecord:
    """Make the record of a new Log; an open one is a start record, which its span completes."""
    is_complete = body.log_status == "complete"
    start_ns = _to_ns(body.start_time or body.created_at) or time.time_ns()
    end_ns = _to_ns(body.end_time)
    if is_complete and end_ns is None:
        end_ns = time.time_ns()
    return LogRecord(
        id=body.log_id or random_id("log_"),
        kind="flow",
        name=file.path.rpartition("/")[2],
        start_ns=start_ns,
        end_ns=end_ns if is_complete else None,
        trace_parent_id=body.trace_parent_id,
        file=file,
        environment=body.environment,
        source="humanloop",
        user=body.user,
        status=_status(body),
        run_id=body.run_id,
        datapoint_id=body.source_datapoint_id,
        is_start=not is_complete,
        body=_to_body(body) if body.save is not False else LogBody(),
    )


def _to_body(body: FlowLogUpdate) -> LogBody:
    output = body.output
    if output is None and body.output_message is not None:
        output = message_text(body.output_message)
    filled = LogBody(
        inputs=body.inputs or None,
        messages=body.messages or None,
        output=output,
        output_message=body.output_message,
        error=LogError(message=body.error) if body.error is not None else None,
    )
    if isinstance(body, FlowLogRequest):
        filled.metadata = body.metadata or None
        filled.stdout = body.stdout
        filled.provider_request = body.provider_request
        filled.provider_response = body.provider_response
    return filled


def _status(body: FlowLogUpdate) -> Literal["incomplete", "error", "complete"]:
    if body.log_status != "complete":
        return "incomplete"
    return "error" if body.error is not None else "complete"


def _ingest(caller: Context, record: LogRecord) -> IngestOutcome:
    (outcome,) = caller.store.ingest(caller.workspace_id, [record])
    if outcome.error is not None:
        raise Invalid(f"the Log could not be stored: {outcome.error}")
    return outcome


def _to_answer(detail: LogDetail) -> FlowLog:
    summary, body = detail.summary, detail.body
    return FlowLog(
        id=summary.id,
        trace_id=summary.trace_id,
        trace_parent_id=summary.trace_parent_id,
        log_status="incomplete" if summary.status == "incomplete" else "complete",
        start_time=_to_time(summary.start_ns),
        end_time=None if summary.end_ns is None else _to_time(summary.end_ns),
        inputs=body.inputs,
        messages=body.messages,
        output=body.output,
        output_message=body.output_message,
        error=body.error.message if body.error else None,
        flow={
            "id": summary.file_id,
            "path": summary.file_path,
            "version_id": summary.version_id,
            "type": "flow",
        },
    )


def _to_ns(when: datetime | None) -> int | None:
    if when is None:
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000_000) * 1000


def _to_time(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
