"""Makes runs, changes their status, and adds Logs to them."""

from collections.abc import Iterable, Mapping
from typing import Literal

from sqlalchemy import delete, insert, literal, select, update
from sqlmodel import Session

from kibitz_collector.files.ids import random_id
from kibitz_collector.store import dialect
from kibitz_collector.store.queries.datapoints import MEMBER
from kibitz_collector.store.queries.evaluations import OPEN, RUN, RunStatus, RunView, get_run
from kibitz_collector.store.queries.evaluations_gaps import existing_logs
from kibitz_collector.store.queries.evaluations_logs import RUN_LOG
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.evaluations import RunTask

TASK = table(RunTask)
Origin = Literal["added", "existing", "datapoint", "inputs"]


def create_run(
    session: Session,
    workspace_id: int,
    *,
    version: tuple[str, str] | None,
    dataset: tuple[str, str] | None,
    orchestrated: bool,
    use_existing_logs: bool,
    made_by: str | None,
    now_ns: int,
) -> str:
    """Make a run of a File's Version over a Dataset's, given as (file id, version id).

    What it has yet to generate is written down with it: a process that ends loses nothing.
    """
    run_id = random_id("rn_")
    session.connection().execute(
        RUN.insert().values(
            id=run_id,
            workspace_id=workspace_id,
            file_id=version[0] if version else None,
            version_id=version[1] if version else None,
            dataset_id=dataset[0] if dataset else None,
            dataset_version_id=dataset[1] if dataset else None,
            orchestrated=orchestrated,
            status="running" if orchestrated else "pending",
            created_by=made_by,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
    )
    run = get_run(session, workspace_id, run_id)
    if use_existing_logs:
        existing = existing_logs(session, run)
        logs = {log_id: datapoint_id for datapoint_id, log_id in existing.items()}
        add_run_logs(session, run, logs, "existing", now_ns)
    if orchestrated:
        _write_tasks(session, run, now_ns)
    return run_id


def add_run_logs(
    session: Session,
    run: RunView,
    logs: Mapping[str, str | None],
    origin: Origin,
    now_ns: int,
) -> None:
    """Make stored Logs a run's, given with the datapoints they are about."""
    if not logs:
        return
    connection = session.connection()
    connection.execute(
        dialect.insert(connection, RUN_LOG).on_conflict_do_nothing(),
        [
            {
                "run_id": run.id,
                "log_id": log_id,
                "workspace_id": run.workspace_id,
                "datapoint_id": datapoint_id,
                "origin": origin,
                "added_ns": now_ns,
            }
            for log_id, datapoint_id in logs.items()
        ],
    )


def set_run_status(
    session: Session,
    run_id: str,
    status: RunStatus,
    now_ns: int,
    *,
    only_from: Iterable[RunStatus],
) -> bool:
    """Give a run a status; False: it has none of those it may have had before.

    When it has ended, what it had yet to generate is forgotten.
    """
    connection = session.connection()
    changed = connection.execute(
        update(RUN)
        .where(RUN.c.id == run_id, RUN.c.status.in_(list(only_from)))
        .values(status=status, updated_ns=now_ns)
    )
    if changed.rowcount and status not in OPEN:
        # What is under way ends by itself.
        connection.execute(delete(TASK).where(TASK.c.run_id == run_id, TASK.c.state != "running"))
    return bool(changed.rowcount)


def reopen_run(session: Session, run_id: str, now_ns: int) -> bool:
    """Await something of a completed run again; whoever looks at it next finds what."""
    return set_run_status(session, run_id, "running", now_ns, only_from=("completed",))


def _write_tasks(session: Session, run: RunView, now_ns: int) -> None:
    """Write down every datapoint of a run that has no Log yet."""
    has_log = select(RUN_LOG.c.datapoint_id).where(
        RUN_LOG.c.run_id == run.id, RUN_LOG.c.datapoint_id.is_not(None)
    )
    wanted = select(
        literal(run.id),
        MEMBER.c.datapoint_id,
        literal(run.workspace_id),
        MEMBER.c.position,
        literal("waiting"),
        literal(now_ns),
        literal(0),
    ).where(MEMBER.c.version_id == run.dataset_version_id, MEMBER.c.datapoint_id.not_in(has_log))
    columns = ["run_id", "datapoint_id", "workspace_id", "position", "state", "due_ns", "attempts"]
    session.connection().execute(insert(TASK).from_select(columns, wanted))
