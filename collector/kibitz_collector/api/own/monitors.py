"""`/api/monitors`: which evaluators judge what arrives, and how they are doing."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.evaluate.sandbox import Sandbox
from kibitz_collector.records import Scope
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.writes import evaluation as writes

router = APIRouter(prefix="/api/monitors", tags=["monitors"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]


class MonitorIn(BaseModel):
    """An evaluator to attach."""

    evaluator: str = Field(description="id or path")
    version_id: str | None = Field(None, description="null: follows the evaluator's newest version")
    on: str = Field(
        min_length=1, max_length=4000, description="a File (id or path), or a filter text"
    )
    scope: Scope = Field("log", description="trace: once per trace, when its root is complete")
    sample_rate: float = Field(1.0, gt=0, le=1, description="share of the Logs, chosen by their id")


class MonitorChange(BaseModel):
    """What can be changed about a monitor."""

    is_active: bool


class MonitorOut(BaseModel):
    """One monitor."""

    id: str
    evaluator_id: str
    evaluator_path: str
    version_id: str = Field(description="the version in use")
    is_pinned: bool = Field(description="to that version; else it follows the newest")
    file_id: str | None
    file_path: str | None
    filter: str | None
    scope: Scope
    sample_rate: float
    origin: str = Field(description="api, or registered by the SDK")
    state: str = Field(description="active, inactive or suspended")
    reason: str | None = Field(description="why its evaluator is suspended")
    suspended_ns: int | None
    last_error: str | None
    waiting: int = Field(description="jobs waiting")
    running: int
    dead: int = Field(description="jobs given up")
    created_ns: int


class EvaluationOut(BaseModel):
    """How evaluation is doing in this collector."""

    sandbox: str | None = Field(description="engine: jail, monty or local-unsafe; null: not here")
    sandbox_reason: str | None
    waiting: int
    later: int = Field(description="put off, or waiting for the rest of a trace")
    suspended: int = Field(description="their evaluator is suspended")
    running: int
    dead: int
    lag_ms: float = Field(description="how long the oldest job has waited")


@router.get("")
def list_monitors(caller: Caller) -> list[MonitorOut]:
    """List all monitors, oldest first."""
    with caller.store.read() as session:
        return [_out(view) for view in queries.list_monitors(session, caller.workspace_id)]


@router.post("", status_code=201)
def attach_monitor(monitor: MonitorIn, caller: Caller) -> MonitorOut:
    """Let an evaluator judge what arrives from now on."""
    with caller.store.write() as session:
        evaluator = queries.get_evaluator(
            session, caller.workspace_id, monitor.evaluator, monitor.version_id
        )
        file_path, filter_text = writes.read_target(session, caller.workspace_id, monitor.on)
        monitor_id = writes.attach_monitor(
            session,
            caller.workspace_id,
            evaluator_id=evaluator.id,
            version_id=monitor.version_id,
            file_path=file_path,
            filter_text=filter_text,
            scope=monitor.scope,
            sample_rate=monitor.sample_rate,
        )
    return _read(caller, monitor_id)


@router.get("/status")
def evaluation_status(request: Request, caller: Caller) -> EvaluationOut:
    """Say where evaluators run and how many jobs wait, and why."""
    now_ns = time.time_ns()
    with caller.store.read() as session:
        counts = queries.count_jobs(session, caller.workspace_id, now_ns)
    sandbox: Sandbox | None = request.app.state.sandbox
    oldest = counts.oldest_due_ns
    return EvaluationOut(
        sandbox=None if sandbox is None else sandbox.engine,
        sandbox_reason=None if sandbox is None else sandbox.reason,
        waiting=counts.waiting,
        later=counts.later,
        suspended=counts.suspended,
        running=counts.running,
        dead=counts.dead,
        lag_ms=0.0 if oldest is None else (now_ns - oldest) / 1e6,
    )


@router.get("/{monitor_id}")
def get_monitor(monitor_id: str, caller: Caller) -> MonitorOut:
    """Return one monitor."""
    return _read(caller, monitor_id)


@router.patch("/{monitor_id}")
def change_monitor(monitor_id: str, change: MonitorChange, caller: Caller) -> MonitorOut:
    """Switch a monitor on or off."""
    with caller.store.write() as session:
        writes.set_monitor_active(
            session, caller.workspace_id, monitor_id, is_active=change.is_active
        )
    return _read(caller, monitor_id)


@router.post("/{monitor_id}/resume")
def resume_monitor(monitor_id: str, caller: Caller) -> MonitorOut:
    """Let a monitor run again: switched on, and its evaluator no longer suspended."""
    view = _read(caller, monitor_id)
    with caller.store.write() as session:
        writes.set_monitor_active(session, caller.workspace_id, monitor_id, is_active=True)
        writes.resume_evaluator(session, caller.workspace_id, view.version_id)
    caller.store.announce("jobs")
    return _read(caller, monitor_id)


@router.delete("/{monitor_id}", status_code=204)
def detach_monitor(monitor_id: str, caller: Caller) -> None:
    """Detach a monitor; its judgments stay."""
    with caller.store.write() as session:
        writes.detach_monitor(session, caller.workspace_id, monitor_id)


def _read(caller: Context, monitor_id: str) -> MonitorOut:
    with caller.store.read() as session:
        return _out(queries.get_monitor(session, caller.workspace_id, monitor_id))


def _out(view: queries.MonitorView) -> MonitorOut:
    return MonitorOut(
        id=view.id,
        evaluator_id=view.evaluator.id,
        evaluator_path=view.evaluator.path,
        version_id=view.evaluator.version_id,
        is_pinned=view.is_pinned,
        file_id=view.file_id,
        file_path=view.file_path,
        filter=view.filter,
        scope=view.scope,
        sample_rate=view.sample_rate,
        origin=view.origin,
        state=view.state,
        reason=view.evaluator.reason,
        suspended_ns=view.evaluator.suspended_ns,
        last_error=view.evaluator.last_error,
        waiting=view.waiting,
        running=view.running,
        dead=view.dead,
        created_ns=view.created_ns,
    )
