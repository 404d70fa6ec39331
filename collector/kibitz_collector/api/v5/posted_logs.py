"""Stores what was posted about Logs: new ones, once each however often they come, and changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.log_records import new_patch, new_record
from kibitz_collector.api.v5.log_targets import Target
from kibitz_collector.api.v5.models.logs import NewLog
from kibitz_collector.errors import Conflict, Forbidden, Invalid, NotFound
from kibitz_collector.evaluations.tending import judge_again, take_up
from kibitz_collector.records import FileKind, LogDetail, LogRecord, LogSummary, Status
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.writes.removal import remove_logs
from kibitz_collector.store.writes.updates import update_log

MAX_ANCESTORS = 200


@dataclass(frozen=True, slots=True)
class PostedLog:
    """What the answer to a posted Log tells."""

    id: str
    version_id: str | None
    status: Status
    session_id: str | None


def posted(log: LogSummary) -> PostedLog:
    """Return a Log that is there already as the answer to one posted."""
    return PostedLog(log.id, log.version_id, log.status, log.session_id)


def add_log(caller: Context, kind: FileKind, body: NewLog, target: Target) -> PostedLog:
    """Store a new Log; one that is there already under its `log_id` stays as it is.

    An open one is completed by what comes under its id.
    Raises: Conflict: the id is taken by a Log of another File, or the trace is complete. Invalid.
    """
    record = new_record(kind, body, target, caller.prices)
    known = find_log(caller, record.id) if body.log_id is not None else None
    if known is not None:
        if known.file_id != target.file_id:
            raise Conflict(f"log_id {record.id!r} is taken by a Log of {known.file_path!r}")
        if known.status != "incomplete":
            return posted(known)
        record.name, record.start_ns = known.name, known.start_ns
    elif body.trace_parent_id is not None:
        refuse_complete_trace(caller, body.trace_parent_id)
    log = store_record(caller, record)
    if body.run_id is not None:
        take_up(caller.store, caller.workspace_id, body.run_id)
    return log


def store_record(caller: Context, record: LogRecord) -> PostedLog:
    """Store a record and return what it became.

    Raises: Invalid: the database cannot hold it.
    """
    (outcome,) = caller.store.ingest(caller.workspace_id, [record])
    if outcome.error is not None:
        raise Invalid(f"the Log could not be stored: {outcome.error}")
    version_id = record.file.version_id if record.file is not None else None
    return PostedLog(outcome.log_id, version_id, record.status, record.session_id)


def change_log(
    caller: Context, kind: FileKind, log_id: str, body: BaseModel, *, file_id: str | None = None
) -> None:
    """Change a stored Log: what is given is set, null clears.

    Raises: NotFound. Conflict: it is complete and shall be open again. Invalid: it shall be
    complete and lacks what a complete Log needs. Forbidden: only a `full` key changes the past.
    """
    with caller.store.write() as session:
        stored = log_queries.get_log(session, caller.workspace_id, log_id)
        if stored.summary.kind != kind or file_id not in (None, stored.summary.file_id):
            raise NotFound(f"{file_id or kind.title()} has no Log {log_id!r}")
        if stored.summary.status != "incomplete":
            insist_on_full(caller)
        patch = new_patch(kind, stored, body, caller.prices)
        job_count = update_log(
            session,
            caller.workspace_id,
            log_id,
            patch,
            match_monitors=caller.settings.match_monitors,
        )
    caller.store.announce("logs")
    if job_count:
        caller.store.announce("jobs")
    judge_again(caller.store, caller.workspace_id, log_id)


def take_back(caller: Context, log_ids: Sequence[str]) -> None:
    """Delete Logs and their judgments; ids that are not there are left alone.

    Raises: Forbidden: a Log is complete, and the key one that may only send.
    """
    with caller.store.write() as session:
        known = log_queries.get_logs(session, caller.workspace_id, log_ids)
        if any(detail.summary.status != "incomplete" for detail in known.values()):
            insist_on_full(caller)
        removed = remove_logs(session, caller.workspace_id, log_ids)
    if removed:
        caller.store.announce("logs")
        caller.store.announce("judgments")


def insist_on_full(caller: Context) -> None:
    """Refuse a key that may only send.

    Raises: Forbidden.
    """
    if caller.role != "full":
        raise Forbidden("what is complete is changed and deleted with a key of role 'full' only")


def find_log(caller: Context, log_id: str) -> LogSummary | None:
    """Return a Log, if it is there."""
    with caller.store.read() as session:
        found: dict[str, LogDetail] = log_queries.get_logs(session, caller.workspace_id, [log_id])
    return found[log_id].summary if log_id in found else None


def refuse_complete_trace(caller: Context, parent_id: str) -> None:
    """Refuse a child of a Flow's Log that is complete, or of anything below one.

    Raises: Conflict.
    """
    seen: set[str] = set()
    above: str | None = parent_id
    while above is not None and above not in seen and len(seen) < MAX_ANCESTORS:
        seen.add(above)
        log = find_log(caller, above)
        if log is None:
            return
        if log.kind == "flow" and log.status in ("complete", "error"):
            raise Conflict(f"Log {log.id} is complete: nothing can be added to its trace")
        above = log.trace_parent_id
