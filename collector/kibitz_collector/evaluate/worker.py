"""The workers: take jobs, judge outside any transaction, write judgments, once each."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kibitz_collector.config import Settings
from kibitz_collector.errors import Busy
from kibitz_collector.evaluate.evaluators import EVALUATORS
from kibitz_collector.evaluate.judgments import judgment_log_id, judgment_record
from kibitz_collector.evaluate.logs import evaluator_log, evaluator_tree, record_of
from kibitz_collector.evaluate.sandbox import Sandbox, Verdict
from kibitz_collector.store import Session, Store
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.writes import claims, jobs
from kibitz_collector.store.writes.claims import Claim, ClaimedJob, Lane, Outcome

log = logging.getLogger("kibitz.collector")
Clock = Callable[[], int]
BATCH = 100
MAX_BATCH_LOGS = 5_000
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
        sandbox: Sandbox,
        settings: Settings,
        clock: Clock = time.time_ns,
        *,
        lane: Lane = "all",
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._clock = clock
        self._lane: Lane = lane
        self._lease_ns = int(settings.job_lease_s * 1e9)
        self._in_hand: Claim | None = None
        self._owed: Claim | None = None
        self._pruned_ns = clock()

    def run_once(self) -> bool:
        """Judge one batch; False: nothing is waiting."""
        self._release_owed()
        now_ns = self._clock()
        with self._store.read() as session:
            if not claims.is_work_waiting(session, now_ns, lane=self._lane):
                self._prune(now_ns)
                return False
        with self._store.write() as session:
            claim = claims.claim(
                session, now_ns=now_ns, lease_ns=self._lease_ns, limit=BATCH, lane=self._lane
            )
        if claim is None:
            return False
        self._in_hand = claim
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
        return True

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
        claim = self._in_hand
        if claim is not None:
            with self._store.write() as session:
                claims.release(session, claim)
            self._store.announce("jobs")

    def _judge(self, claim: Claim) -> None:
        with self._store.read() as session:
            evaluator = queries.get_evaluator(
                session, claim.workspace_id, claim.evaluator_id, claim.version_id
            )
            tasks, gone = _load(session, claim)
        judge = EVALUATORS.get(evaluator.spec.evaluator_type)
        if judge is None or not evaluator.spec.is_run_here:
            tasks, gone = [], [job.id for job in claim.jobs]
        logs = [task.log for task in tasks]
        verdicts = judge(evaluator.spec, logs, self._sandbox) if judge and logs else []
        now_ns = self._clock()
        records = [
            judgment_record(claim, evaluator, task.job, task.log, verdict, now_ns)
            for task, verdict in zip(tasks, verdicts, strict=False)
        ]
        if records:
            self._store.ingest(claim.workspace_id, records)
        done = [task.job.id for task, _ in zip(tasks, verdicts, strict=False)] + gone
        with self._store.write() as session:
            suspended = claims.finish(session, claim, done, _outcome(verdicts))
        self._store.announce("judgments")
        if len(done) < len(claim.jobs) or self._lane == "unproven":
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


def _load(session: Session, claim: Claim) -> tuple[list[_Task], list[int]]:
    """Read what the evaluator will see; returns tasks, and the jobs that have nothing to judge.

    Their Log is gone, or a worker that ended before it could say so has judged it.

    Jobs that are in neither must wait for the next batch: their traces would not fit into this one.
    """
    verdict_ids = {
        job.id: judgment_log_id(claim.workspace_id, job, claim.version_id) for job in claim.jobs
    }
    judged = queries.stored_ids(session, claim.workspace_id, list(verdict_ids.values()))
    details = log_queries.get_logs(session, claim.workspace_id, [job.log_id for job in claim.jobs])
    tasks: list[_Task] = []
    gone: list[int] = []
    size = 0
    for job in claim.jobs:
        detail = details.get(job.log_id)
        if detail is None or verdict_ids[job.id] in judged:
            gone.append(job.id)
            continue
        if size > MAX_BATCH_LOGS:
            break
        seen: dict[str, Any] | None = None
        if job.scope == "trace" and detail.summary.trace_id is not None:
            trace = log_queries.get_trace_details(
                session, claim.workspace_id, detail.summary.trace_id
            )
            seen = evaluator_tree(job.log_id, trace)
            size += len(trace)
        tasks.append(_Task(job, seen or evaluator_log(detail)))
    return tasks, gone


def _outcome(verdicts: Sequence[Verdict]) -> Outcome:
    errors = [verdict.error for verdict in verdicts if verdict.error is not None]
    return Outcome(
        judged=len(verdicts),
        errors=len(errors),
        strikes=[
            f"{v.error.type}: {v.error.message}" if v.is_strike and v.error is not None else None
            for v in verdicts
        ],
        last_error=f"{errors[-1].type}: {errors[-1].message}" if errors else None,
    )


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
