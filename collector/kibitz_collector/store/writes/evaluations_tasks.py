"""How workers take the datapoints of runs, keep them, and give them back: with a lease."""

from dataclasses import dataclass

from sqlalchemy import CursorResult, Select, and_, select, tuple_, update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.files.ids import random_id
from kibitz_collector.store.queries.evaluations import OPEN, RUN
from kibitz_collector.store.writes.evaluations_runs import TASK

MAX_ATTEMPTS = 5
_FIRST_DELAY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """One datapoint in hand, ours until the lease ends."""

    token: str
    workspace_id: int
    run_id: str
    datapoint_id: str
    attempts: int  # with this one

    @property
    def is_last_attempt(self) -> bool:
        """Tell whether it is not tried again after this."""
        return self.attempts >= MAX_ATTEMPTS


def is_task_waiting(session: Session, now_ns: int) -> bool:
    """Tell whether a claim would find something: a read, so that an idle worker writes nothing."""
    connection = session.connection()
    if connection.execute(_waiting(now_ns)).first() is not None:
        return True
    lost = select(TASK.c.run_id).where(TASK.c.state == "running", TASK.c.lease_until_ns < now_ns)
    return connection.execute(lost.limit(1)).first() is not None


def claim_task(session: Session, *, now_ns: int, lease_ns: int) -> ClaimedTask | None:
    """Take the next datapoint, those of the oldest run first; None: there is nothing to do."""
    connection = session.connection()
    _take_back_lost(connection, now_ns)
    row = connection.execute(_waiting(now_ns).with_for_update(skip_locked=True, of=TASK)).first()
    if row is None:
        return None
    token = random_id("claim_")
    connection.execute(
        update(TASK)
        .where(TASK.c.run_id == row.run_id, TASK.c.datapoint_id == row.datapoint_id)
        .values(
            state="running",
            claim=token,
            lease_until_ns=now_ns + lease_ns,
            attempts=TASK.c.attempts + 1,
        )
    )
    return ClaimedTask(
        token=token,
        workspace_id=row.workspace_id,
        run_id=row.run_id,
        datapoint_id=row.datapoint_id,
        attempts=row.attempts + 1,
    )


def _take_back_lost(connection: Connection, now_ns: int) -> None:
    """Free the tasks of workers that died."""
    # Skipping what another worker takes back at this moment: waiting for it in another order
    # would be a deadlock.
    lost = connection.execute(
        select(TASK.c.run_id, TASK.c.datapoint_id)
        .where(TASK.c.state == "running", TASK.c.lease_until_ns < now_ns)
        .order_by(TASK.c.run_id, TASK.c.datapoint_id)
        .limit(500)
        .with_for_update(skip_locked=True)
    ).all()
    if lost:
        connection.execute(
            update(TASK)
            .where(
                tuple_(TASK.c.run_id, TASK.c.datapoint_id).in_([tuple(row) for row in lost]),
                TASK.c.state == "running",
            )
            .values(
                state="waiting",
                claim=None,
                lease_until_ns=None,
                last_error="the worker that had it ended",
            )
        )


def keep_task(session: Session, token: str, *, now_ns: int, lease_ns: int) -> bool:
    """Keep a claim longer; False: it is no longer ours."""
    return _change(session, token, lease_until_ns=now_ns + lease_ns)


def finish_task(session: Session, token: str, error: str | None = None) -> bool:
    """Close a task: its datapoint has a Log, or cannot have one."""
    return _change(session, token, state="done", claim=None, lease_until_ns=None, last_error=error)


def put_off_task(session: Session, task: ClaimedTask, *, now_ns: int, error: str) -> bool:
    """Try again later, each time later."""
    delay_ns = _FIRST_DELAY_NS * 2 ** (task.attempts - 1)
    return _change(
        session,
        task.token,
        state="waiting",
        claim=None,
        lease_until_ns=None,
        due_ns=now_ns + delay_ns,
        last_error=error,
    )


def release_task(session: Session, token: str) -> bool:
    """Give a task back; it does not count as an attempt."""
    return _change(
        session,
        token,
        state="waiting",
        claim=None,
        lease_until_ns=None,
        attempts=TASK.c.attempts - 1,
    )


def _waiting(now_ns: int) -> Select[tuple[str, str, int, int]]:
    return (
        select(TASK.c.run_id, TASK.c.datapoint_id, TASK.c.workspace_id, TASK.c.attempts)
        .join(RUN, RUN.c.id == TASK.c.run_id)
        .where(TASK.c.state == "waiting", TASK.c.due_ns <= now_ns, RUN.c.status.in_(OPEN))
        .order_by(RUN.c.created_ns, TASK.c.run_id, TASK.c.position)
        .limit(1)
    )


def _change(session: Session, token: str, **values: object) -> bool:
    changed = session.connection().execute(
        update(TASK).where(and_(TASK.c.claim == token, TASK.c.state == "running")).values(**values)
    )
    assert isinstance(changed, CursorResult)
    return changed.rowcount > 0
