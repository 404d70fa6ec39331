"""The workers: take jobs, judge outside any transaction, write judgments, once each."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kibitz_collector.access.http import Context
from kibitz_collector.config import Settings
from kibitz_collector.errors import Busy
from kibitz_collector.evaluate.evaluators import EVALUATORS
from kibitz_collector.evaluate.evaluators.llm import ModelVerdict
from kibitz_collector.evaluate.judgments import judgment_log_id, judgment_record
from kibitz_collector.evaluate.logs import record_of
from kibitz_collector.evaluate.sandbox import Sandbox, Verdict
from kibitz_collector.evaluate.seen import see_logs
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.normalize import NO_PRICES, UserPrices
from kibitz_collector.store import Session, Store
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.writes import claims, jobs
from kibitz_collector.store.writes.claims import Claim, ClaimedJob, Lane, Outcome

log = logging.getLogger("kibitz.collector")
Clock = Callable[[], int]
BATCH = 100
MAX_BATCH_LOGS = 5_000
MODEL_BATCH = 1
"""An answer takes a second: others must not wait for its neighbours."""
MODEL_DELAY_NS = 10_000_000_000
"""First wait after a provider failed; doubles with each attempt."""
KEEP_DONE_NS = 7 * 86_400 * 1_000_000_000
_PRUNE_EVERY_NS = 600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Task:
    """One job with what its evaluator will see."""

    job: ClaimedJob
    log: dict[str, Any]


class EvaluationWorker:
    """Runs evaluation jobs, a batch of one evaluator version at a time.

    Two workers with the lanes `proven` and `unproven` keep good evaluators clear of the others: an
    evaluator that must be killed is never in front of one that judges well.
    """

    def __init__(
        self,
        store: Store,
        sandbox: Sandbox | None,
        settings: Settings,
        clock: Clock = time.time_ns,
        *,
        lane: Lane = "all",
        prices: UserPrices = NO_PRICES,
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._settings = settings
        self._prices = prices
        self._clock = clock
        self._lane: Lane = lane
        self._lease_ns = int(settings.job_lease_s * 1e9)
        self._in_hand: Claim | None = None
        self._owed: Claim | None = None
        self._pruned_ns = clock()

    def run_once(self) -> bool:
        """Judge one batch; False: nothing is waiting."""
        claim = self.take()
        if claim is None:
            return False
        self.work(claim)
        return True

    def take(self) -> Claim | None:
        """Take a batch in hand; None: nothing is waiting."""
        self._release_owed()
        now_ns = self._clock()
        with self._store.read() as session:
            if not claims.is_work_waiting(session, now_ns, lane=self._lane):
                self._prune(now_ns)
                return None
        limit = MODEL_BATCH if self._lane == "model" else BATCH
        with self._store.write() as session:
            self._in_hand = claims.claim(
                session, now_ns=now_ns, lease_ns=self._lease_ns, limit=limit, lane=self._lane
            )
        return self._in_hand

    def work(self, claim: Claim) -> None:
        """Judge what `take` has taken."""
        try:
            self._judge(claim)
        except Busy:
            self._owed = claim  # no fault of the jobs; given back once the database is there
            raise
        except Exception as error:
            # Put off before the error goes on: a row that fails must not be first in line again.
            with self._store.write() as session:
                claims.put_off(session, claim, now_ns=self._clock(), error=_one_line(error))
            raise
        finally:
            self._in_hand = None

    def _release_owed(self) -> None:
        if self._owed is not None:
            with self._store.write() as session:
                claims.release(session, self._owed)
            self._owed = None

    def keep(self) -> None:
        """Make the lease of the batch in hand longer; to be called while `run_once` runs."""
        claim = self._in_hand
        if claim is not None:
            with self._store.write() as session:
                claims.heartbeat(
                    session, claim.token, now_ns=self._clock(), lease_ns=self._lease_ns
                )

    def give_back(self) -> None:
        """Let others have the batch in hand: this process ends before it is judged."""
        claim, self._in_hand = self._in_hand, None
        if claim is not None:
            with self._store.write() as session:
                claims.release(session, claim)
            self._store.announce("jobs")

    def _judge(self, claim: Claim) -> None:
        with self._store.read() as session:
            evaluator = queries.get_evaluator(
                session, claim.workspace_id, claim.evaluator_id, claim.version_id
            )
            tasks, gone = _load(session, claim, evaluator.spec)
        judge = EVALUATORS.get(evaluator.spec.evaluator_type)
        if judge is None or not evaluator.spec.is_run_here:
            tasks, gone = [], [job.id for job in claim.jobs]
        logs = [task.log for task in tasks]
        caller = Context(
            self._settings, self._store, claim.workspace_id, "full", None, self._prices
        )
        found = judge(evaluator.spec, logs, self._sandbox, caller) if judge and logs else []
        if self._in_hand is not claim:
            return  # it was given back meanwhile: others have it now
        judged = list(zip(tasks, found, strict=False))
        later = [(task, verdict) for task, verdict in judged if _comes_later(task, verdict)]
        judged = [one for one in judged if one not in later]
        now_ns = self._clock()
        records = [
            judgment_record(claim, evaluator, task.job, task.log, verdict, now_ns)
            for task, verdict in judged
        ]
        if records:
            self._store.ingest(claim.workspace_id, records)
        done = [task.job.id for task, _ in judged] + gone
        outcome = _outcome([verdict for _, verdict in judged], [verdict for _, verdict in later])
        with self._store.write() as session:
            if later:
                claims.put_off(
                    session,
                    claim,
                    now_ns=now_ns,
                    error=outcome.last_error or "",
                    only=[task.job.id for task, _ in later],
                    first_delay_ns=MODEL_DELAY_NS,
                )
            suspended = claims.finish(session, claim, done, outcome)
        self._store.announce("judgments")
        if len(done) < len(claim.jobs) or self._lane in ("unproven", "model"):
            self._store.announce("jobs")  # what is left may be another lane's business now
        if suspended is not None:
            log.warning("evaluator %s is suspended: %s", evaluator.path, suspended)

    def _prune(self, now_ns: int) -> None:
        if now_ns - self._pruned_ns < _PRUNE_EVERY_NS:
            return
        self._pruned_ns = now_ns
        with self._store.write() as session:
            claims.prune_done(session, now_ns - KEEP_DONE_NS)


class IdleTraceWorker:
    """Lets traces be judged whose root never completed, once they have been without news."""

    def __init__(self, store: Store, settings: Settings, clock: Clock = time.time_ns) -> None:
        self._store = store
        self._idle_ns = int(settings.trace_idle_s * 1e9)
        self._clock = clock

    def run_once(self) -> bool:
        """Make the jobs of idle traces; False: there are none."""
        with self._store.read() as session:
            idle = queries.idle_traces(session, self._clock() - self._idle_ns)
            roots = [
                (trace.workspace_id, record_of(detail))
                for trace in idle
                for detail in log_queries.get_logs(
                    session, trace.workspace_id, [trace.root_id]
                ).values()
            ]
        if not idle:
            return False
        made = 0
        with self._store.write() as session:
            for workspace_id, root in roots:
                made += jobs.enqueue_root(session, workspace_id, root)
            jobs.move_idle_cursor(session, idle[-1].last_received_ns)
        if made:
            self._store.announce("jobs")
        return True


def _load(session: Session, claim: Claim, spec: EvaluatorSpec) -> tuple[list[_Task], list[int]]:
    """Read what the evaluator will see; returns tasks, and the jobs that have nothing to judge.

    Their Log is gone, or a worker that ended before it could say so has judged it.

    Jobs that are in neither must wait for the next batch: their traces would not fit into this one.
    """
    verdict_ids = {
        job.id: judgment_log_id(claim.workspace_id, job, claim.version_id) for job in claim.jobs
    }
    judged = queries.stored_ids(session, claim.workspace_id, list(verdict_ids.values()))
    open_ = [job for job in claim.jobs if verdict_ids[job.id] not in judged]
    seen = see_logs(
        session,
        claim.workspace_id,
        {job.log_id: job.scope == "trace" for job in open_},
        spec,
        max_logs=MAX_BATCH_LOGS,
    )
    tasks = [_Task(job, seen.logs[job.log_id]) for job in open_ if job.log_id in seen.logs]
    waiting = {job.id for job in open_ if job.log_id in seen.left_out}
    gone = {job.id for job in claim.jobs} - {task.job.id for task in tasks} - waiting
    return tasks, sorted(gone)


def _comes_later(task: _Task, verdict: Verdict) -> bool:
    """Tell whether a job is better done again than closed with an error."""
    is_transient = isinstance(verdict, ModelVerdict) and verdict.is_transient
    return is_transient and not task.job.is_last_attempt


def _outcome(verdicts: Sequence[Verdict], later: Sequence[Verdict] = ()) -> Outcome:
    errors = [verdict.error for verdict in (*verdicts, *later) if verdict.error is not None]
    held_up = [v for v in verdicts if isinstance(v, ModelVerdict) and v.is_transient]
    return Outcome(
        judged=len(verdicts),
        errors=sum(verdict.error is not None for verdict in verdicts),
        strikes=[
            f"{v.error.type}: {v.error.message}" if v.is_strike and v.error is not None else None
            for v in verdicts
        ],
        last_error=f"{errors[-1].type}: {errors[-1].message}" if errors else None,
        is_held_up=bool(later or held_up),
    )


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
