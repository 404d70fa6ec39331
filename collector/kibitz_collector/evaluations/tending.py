"""Looks after open runs: lets Logs join them, asks for judgments, sees when a run is complete.

All of it follows from what is stored, so it may be done at any time, twice, and by any process.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kibitz_collector.evaluate.logs import record_of
from kibitz_collector.evaluations.giving_up import GivenUp, hopeless, never_told, stand_in
from kibitz_collector.evaluations.joining import match_inputs, match_named
from kibitz_collector.records import LogDetail
from kibitz_collector.store import Session, Store
from kibitz_collector.store.queries import evaluation as evaluator_queries
from kibitz_collector.store.queries import evaluations as queries
from kibitz_collector.store.queries import evaluations_gaps as gaps
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.evaluation import EvaluatorView
from kibitz_collector.store.queries.evaluations import OPEN, RunStatus, RunView, UsedEvaluator
from kibitz_collector.store.queries.evaluations_gaps import LogCounts, Unjudged
from kibitz_collector.store.queries.evaluations_logs import added_to
from kibitz_collector.store.writes import evaluations_runs as writes
from kibitz_collector.store.writes import jobs
from kibitz_collector.store.writes.evaluations_runs import Origin

Clock = Callable[[], int]
MATCH_INPUTS_NS = 6 * 3600 * 1_000_000_000
"""How long after it began a run takes Logs by their inputs: a run forgotten open must not collect
what the app does every day."""
QUIET_NS = 30 * 1_000_000_000
"""How long nothing must have come for a run before judgments are given up that cannot come."""
_ROUNDS = 8
_SHARE = 20  # a run is left alone for so many times as long as looking after it took


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What a run is still without."""

    is_missing_logs: bool
    counts: LogCounts
    unjudged: Sequence[tuple[UsedEvaluator, Sequence[Unjudged]]]  # by Evaluators here
    outside: Sequence[UsedEvaluator]  # who has not judged all

    @property
    def is_complete(self) -> bool:
        return not (self.is_missing_logs or self.unjudged or self.outside)


class RunTender:
    """Tends all open runs, as a worker; a large one more seldom, so that it costs little."""

    def __init__(self, store: Store, clock: Clock = time.time_ns) -> None:
        self._store = store
        self._clock = clock
        self._due: dict[str, float] = {}  # by run, on the monotonic clock

    def run_once(self) -> bool:
        """Tend what is open; False: it waits for others."""
        with self._store.read() as session:
            runs = queries.open_runs(session)
        for run in runs:
            start = time.monotonic()
            if start >= self._due.get(run.id, 0.0):
                _tend(self._store, run, self._clock())
                end = time.monotonic()
                self._due[run.id] = end + _SHARE * (end - start)
        self._due = {run.id: self._due[run.id] for run in runs}
        return False


def catch_up(store: Store, run_ids: Sequence[str]) -> None:
    """Tend these runs at once: who asks for them sees them as they are."""
    if not run_ids:
        return
    with store.read() as session:
        runs = queries.open_runs(session, run_ids)
    for run in runs:
        _tend(store, run, time.time_ns())


def take_up(store: Store, workspace_id: int, run_id: str) -> None:
    """Open a completed run again: it has got another Log."""
    with store.read() as session:
        run = queries.find_run(session, workspace_id, run_id)
    if run is not None and run.status == "completed":
        with store.write() as session:
            writes.reopen_run(session, run_id, time.time_ns())
        store.announce("runs")


def judge_again(store: Store, workspace_id: int, log_id: str) -> None:
    """Let the Evaluators here judge a changed Log again, for each run it is one of."""
    with store.read() as session:
        run_ids = set(added_to(session, workspace_id, [log_id]).get(log_id, ()))
        detail = log_queries.get_logs(session, workspace_id, [log_id]).get(log_id)
        if detail is None or detail.summary.status == "incomplete":
            return
        if detail.summary.run_id is not None:
            run_ids.add(detail.summary.run_id)
        judges = {
            (used.evaluator_id, used.version_id)
            for run_id in run_ids
            for used in queries.evaluators_of_run(session, run_id)
            if used.orchestrated
        }
    if not judges:
        return
    with store.write() as session:
        for evaluator_id, version_id in sorted(judges):
            jobs.enqueue_asked(
                session,
                workspace_id,
                [record_of(detail)],
                evaluator_id=evaluator_id,
                version_id=version_id,
            )
    store.announce("jobs")


def _tend(store: Store, run: RunView, now_ns: int) -> None:
    for _round in range(_ROUNDS):
        with store.read() as session:
            needs = _read_needs(session, run)
        if not _help(store, run, needs, now_ns):
            break
    status = _next_status(run, needs)
    if status != run.status:
        with store.write() as session:
            changed = writes.set_run_status(session, run.id, status, now_ns, only_from=OPEN)
        if changed:
            store.announce("runs")


def _read_needs(session: Session, run: RunView) -> _Needs:
    counts = gaps.count_run_logs(session, run)
    is_missing = counts.open_logs > 0
    if run.dataset_version_id is None:
        is_missing = is_missing or not counts.logs
    else:
        is_missing = is_missing or gaps.has_missing(session, run)
    unjudged, outside = [], []
    for evaluator in queries.evaluators_of_run(session, run.id):
        if not evaluator.orchestrated:
            outside += [evaluator] if gaps.has_unjudged(session, run, evaluator) else []
        elif found := gaps.unjudged_logs(session, run, evaluator):
            unjudged.append((evaluator, found))
    return _Needs(is_missing_logs=is_missing, counts=counts, unjudged=unjudged, outside=outside)


def _next_status(run: RunView, needs: _Needs) -> RunStatus:
    if needs.is_complete:
        return "completed"
    return "running" if run.orchestrated or needs.counts.logs else run.status


def _help(store: Store, run: RunView, needs: _Needs, now_ns: int) -> bool:
    """Do what can be done about one need; False: there is nothing to do but wait."""
    return (
        _let_join(store, run, needs, now_ns)
        or _ask_for_judgments(store, run, needs)
        or _give_up(store, run, needs, now_ns)
    )


def _let_join(store: Store, run: RunView, needs: _Needs, now_ns: int) -> bool:
    has_both = run.version_id is not None and run.dataset_version_id is not None
    if run.orchestrated or not has_both or not needs.is_missing_logs:
        return False
    with store.read() as session:
        named = gaps.loose_logs(session, run, with_datapoint=True)
        aimless = gaps.aimless_logs(session, run)
        loose: list[LogDetail] = []
        if now_ns - run.created_ns < MATCH_INPUTS_NS:
            loose = gaps.loose_logs(session, run, with_datapoint=False)
        missing = gaps.missing_datapoints(session, run) if named or aimless or loose else []
    origin: Origin = "datapoint"
    joins = match_named(missing, named) or match_inputs(missing, aimless)
    if not joins:
        origin, joins = "inputs", match_inputs(missing, loose)
    if not joins:
        return False
    with store.write() as session:
        writes.add_run_logs(session, run, joins, origin, now_ns)
    return True


def _ask_for_judgments(store: Store, run: RunView, needs: _Needs) -> bool:
    has_asked = False
    for evaluator, unjudged in needs.unjudged:
        new = [one.log_id for one in unjudged if one.job_state is None]
        detached = [one.log_id for one in unjudged if one.is_detached]
        if not new and not detached:
            continue
        with store.read() as session:
            details = log_queries.get_logs(session, run.workspace_id, new)
        records = [record_of(detail) for detail in details.values()]
        with store.write() as session:
            jobs.enqueue_asked(
                session,
                run.workspace_id,
                records,
                evaluator_id=evaluator.evaluator_id,
                version_id=evaluator.version_id,
            )
            jobs.ask_again(session, run.workspace_id, detached, evaluator.version_id)
        has_asked = True
    if has_asked:
        store.announce("jobs")
    return has_asked


def _give_up(store: Store, run: RunView, needs: _Needs, now_ns: int) -> bool:
    """Write down as failed what nobody will judge any more, so that the run can end."""
    given_up: list[GivenUp] = []
    with store.read() as session:
        for used, unjudged in needs.unjudged:
            given_up += hopeless(_view(session, run, used), unjudged)
        if needs.outside and needs.counts.by_inputs and not needs.is_missing_logs:
            last_ns = max(needs.counts.last_ns, gaps.last_judged_ns(session, run))
            if now_ns - last_ns > QUIET_NS:
                for used in needs.outside:
                    unjudged = gaps.unjudged_logs(session, run, used)
                    given_up += never_told(_view(session, run, used), unjudged)
    if given_up:
        store.ingest(run.workspace_id, [stand_in(one, now_ns) for one in given_up])
    return bool(given_up)


def _view(session: Session, run: RunView, used: UsedEvaluator) -> EvaluatorView:
    return evaluator_queries.get_evaluator(
        session, run.workspace_id, used.evaluator_id, used.version_id
    )
