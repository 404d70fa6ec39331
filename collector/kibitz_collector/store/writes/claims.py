"""How workers take jobs, keep them, and give them back: by conditional updates with a lease."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import CursorResult, and_, exists, or_
from sqlmodel import Session, col, delete, select, update
from sqlmodel.sql.expression import SelectOfScalar

from kibitz_collector.files.ids import random_id
from kibitz_collector.records import Scope
from kibitz_collector.store.matching import REVISION
from kibitz_collector.store.tables.counters import Counter
from kibitz_collector.store.tables.jobs import EvaluatorState, Job

Lane = Literal["all", "proven", "unproven", "model"]
"""Which evaluator versions a worker serves: those that have judged well in the sandbox, the others
there, those that ask a model, or all."""
MAX_ATTEMPTS = 5
MAX_STRIKES = 3
_FIRST_DELAY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob:
    """One job in hand."""

    id: int
    log_id: str
    content_hash: str
    scope: Scope
    keep_probability: float
    attempts: int = 1  # with this one
    is_for_run: bool = False  # a run of an evaluation asks; else a monitor

    @property
    def is_last_attempt(self) -> bool:
        """Tell whether nobody tries it again after this."""
        return self.attempts >= MAX_ATTEMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A batch of jobs of one evaluator version, ours until the lease ends."""

    token: str
    workspace_id: int
    evaluator_id: str
    version_id: str
    jobs: list[ClaimedJob]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a batch says about its evaluator version, in the order of the Logs."""

    judged: int
    errors: int
    strikes: Sequence[str | None]  # per Log: why it counts against the evaluator, None: it does not
    last_error: str | None = None
    is_held_up: bool = False  # a provider did not answer: one Log at a time until it does


def is_work_waiting(session: Session, now_ns: int, *, lane: Lane = "all") -> bool:
    """Tell whether a claim would find something: a read, so that an idle worker writes nothing."""
    if session.exec(_next_version(now_ns, lane)).first() is not None:
        return True
    lost = select(Job.id).where(Job.state == "running", col(Job.lease_until_ns) < now_ns).limit(1)
    return session.exec(lost).first() is not None


def claim(
    session: Session, *, now_ns: int, lease_ns: int, limit: int = 100, lane: Lane = "all"
) -> Claim | None:
    """Take jobs of the evaluator version that has waited longest for its turn; None: no work."""
    _take_back_lost(session, now_ns)
    state = session.exec(
        _next_version(now_ns, lane).with_for_update(skip_locked=True, of=EvaluatorState)
    ).first()
    if state is None:
        return None
    token = random_id("claim_")
    waiting = (
        select(Job.id)
        .where(
            Job.evaluator_version_id == state.version_id,
            Job.state == "waiting",
            col(Job.due_ns) <= now_ns,
        )
        .with_for_update(skip_locked=True)
    )
    # A job that has failed before is run alone: it may be what pulls the others down.
    ids = session.exec(
        waiting.where(Job.attempts == 0).order_by(col(Job.due_ns), col(Job.id)).limit(limit)
    ).all()
    ids = ids or session.exec(waiting.order_by(col(Job.due_ns), col(Job.id)).limit(1)).all()
    state.claimed_ns = now_ns
    if not state.is_proven:
        state.alone_until_ns = now_ns + lease_ns
    version_id, evaluator_id = state.version_id, state.evaluator_id
    workspace_id = state.workspace_id
    session.add(state)
    session.exec(
        update(Job)
        .where(col(Job.id).in_(ids), col(Job.state) == "waiting")
        .values(
            state="running",
            claim=token,
            lease_until_ns=now_ns + lease_ns,
            attempts=Job.attempts + 1,
        )
    )
    rows = session.exec(select(Job).where(col(Job.id).in_(ids), Job.claim == token)).all()
    jobs = [_claimed(job) for job in sorted(rows, key=lambda job: job.id or 0)]
    return Claim(
        token=token,
        workspace_id=workspace_id,
        evaluator_id=evaluator_id,
        version_id=version_id,
        jobs=jobs,
    )


def heartbeat(session: Session, token: str, *, now_ns: int, lease_ns: int) -> int:
    """Keep a claim longer; returns how many jobs are still ours."""
    version_id = select(Job.evaluator_version_id).where(Job.claim == token).limit(1)
    session.exec(
        update(EvaluatorState)
        .where(
            col(EvaluatorState.version_id).in_(version_id), col(EvaluatorState.alone_until_ns) > 0
        )
        .values(alone_until_ns=now_ns + lease_ns)
    )
    return _count(
        session.exec(
            update(Job)
            .where(col(Job.claim) == token, col(Job.state) == "running")
            .values(lease_until_ns=now_ns + lease_ns)
        )
    )


def finish(session: Session, claim: Claim, done: Sequence[int], outcome: Outcome) -> str | None:
    """Close the jobs done and remember how the evaluator did; returns why it is suspended now.

    Jobs of the claim that are not done are free again at once, as if never taken.
    """
    session.exec(
        update(Job)
        .where(col(Job.id).in_(done), col(Job.claim) == claim.token)
        .values(state="done", claim=None, lease_until_ns=None)
    )
    release(session, claim)
    return _remember(session, claim, outcome)


def release(session: Session, claim: Claim) -> None:
    """Give back what is left of a claim; it does not count as an attempt."""
    session.exec(
        update(Job)
        .where(col(Job.claim) == claim.token, col(Job.state) == "running")
        .values(state="waiting", claim=None, lease_until_ns=None, attempts=Job.attempts - 1)
    )
    _let_others(session, claim)


def put_off(
    session: Session,
    claim: Claim,
    *,
    now_ns: int,
    error: str,
    only: Sequence[int] | None = None,
    first_delay_ns: int = _FIRST_DELAY_NS,
) -> None:
    """Try a claim's jobs again later, each time later; after `MAX_ATTEMPTS` they are dead."""
    mine = and_(col(Job.claim) == claim.token, col(Job.state) == "running")
    if only is not None:
        mine = and_(mine, col(Job.id).in_(only))
    session.exec(
        update(Job)
        .where(mine, col(Job.attempts) >= MAX_ATTEMPTS)
        .values(state="dead", claim=None, lease_until_ns=None, last_error=error)
    )
    for job in session.exec(select(Job).where(mine)).all():
        job.state, job.claim, job.lease_until_ns = "waiting", None, None
        job.due_ns = now_ns + first_delay_ns * 2 ** (job.attempts - 1)
        job.last_error = error
        session.add(job)
    _let_others(session, claim)


def prune_done(session: Session, before_ns: int, limit: int = 5000) -> int:
    """Delete old finished jobs; a Log that comes again after that long is judged again."""
    old = select(Job.id).where(Job.state == "done", col(Job.created_ns) < before_ns).limit(limit)
    return _count(session.exec(delete(Job).where(col(Job.id).in_(old))))


def _next_version(now_ns: int, lane: Lane) -> SelectOfScalar[EvaluatorState]:
    has_work = exists().where(
        col(Job.evaluator_version_id) == col(EvaluatorState.version_id),
        col(Job.state) == "waiting",
        col(Job.due_ns) <= now_ns,
    )
    may_run = and_(
        col(EvaluatorState.state) == "active",
        or_(col(EvaluatorState.is_proven), col(EvaluatorState.alone_until_ns) < now_ns),
    )
    statement = select(EvaluatorState).where(may_run, has_work)
    if lane != "all":
        statement = statement.where(col(EvaluatorState.asks_model).is_(lane == "model"))
    if lane in ("proven", "unproven"):
        statement = statement.where(col(EvaluatorState.is_proven).is_(lane == "proven"))
    return statement.order_by(col(EvaluatorState.claimed_ns), col(EvaluatorState.version_id)).limit(
        1
    )


def _take_back_lost(session: Session, now_ns: int) -> None:
    """Free the jobs of workers that died; too many deaths end a job."""
    # Skipping what another worker takes back at this moment: waiting for it in another order
    # would be a deadlock.
    ids = session.exec(
        select(Job.id)
        .where(Job.state == "running", col(Job.lease_until_ns) < now_ns)
        .order_by(col(Job.id))
        .limit(1000)
        .with_for_update(skip_locked=True)
    ).all()
    if not ids:
        return
    lost = and_(col(Job.id).in_(ids), col(Job.state) == "running")
    error = "the worker that had it ended"
    session.exec(
        update(Job)
        .where(lost, col(Job.attempts) >= MAX_ATTEMPTS)
        .values(state="dead", claim=None, lease_until_ns=None, last_error=error)
    )
    session.exec(
        update(Job)
        .where(lost)
        .values(state="waiting", claim=None, lease_until_ns=None, last_error=error)
    )


def _remember(session: Session, claim: Claim, outcome: Outcome) -> str | None:
    # Locked: another worker adds up what it has judged at the same time.
    state = session.get(EvaluatorState, claim.version_id, with_for_update=True)
    if state is None:
        return None
    reason = None
    for strike in outcome.strikes:
        if strike is None:
            state.strikes, state.is_proven = 0, True
            continue
        state.strikes, state.is_proven = state.strikes + 1, False
        if state.strikes >= MAX_STRIKES:
            reason = f"{MAX_STRIKES} times in a row: {strike}"
    if outcome.is_held_up:
        state.is_proven = False
    state.judged_count += outcome.judged
    state.error_count += outcome.errors
    state.last_error = outcome.last_error or state.last_error
    if reason is not None and state.state == "active":
        state.state, state.reason = "suspended", reason
        state.suspended_ns = state.claimed_ns
        bump_revision(session)
    session.add(state)
    return reason


def bump_revision(session: Session) -> None:
    """Make every process compile its monitors again."""
    session.exec(
        update(Counter).where(col(Counter.name) == REVISION).values(value=Counter.value + 1)
    )


def _let_others(session: Session, claim: Claim) -> None:
    session.exec(
        update(EvaluatorState)
        .where(col(EvaluatorState.version_id) == claim.version_id)
        .values(alone_until_ns=0)
    )


def _claimed(job: Job) -> ClaimedJob:
    assert job.id is not None
    return ClaimedJob(
        id=job.id,
        log_id=job.log_id,
        content_hash=job.content_hash,
        scope="trace" if job.scope == "trace" else "log",
        keep_probability=job.keep_probability,
        attempts=job.attempts,
        is_for_run=job.kind == "run",
    )


def _count(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
