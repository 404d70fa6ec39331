"""Looks after open runs: lets Logs join them, asks for judgments, sees when a run is complete.

All of it follows from what is stored, so it may be done at any time, twice, and by any process.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kibitz_collector.evaluate.logs import record_of
from kibitz_collector.evaluations.giving_up import hopeless, stand_in
from kibitz_collector.evaluations.joining import match_inputs, match_named
from kibitz_collector.store import Session, Store
from kibitz_collector.store.queries import evaluation as evaluator_queries
from kibitz_collector.store.queries import evaluations as queries
from kibitz_collector.store.queries import evaluations_gaps as gaps
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.datapoints import DatapointView, count_datapoints
from kibitz_collector.store.queries.evaluations import OPEN, RunStatus, RunView, UsedEvaluator
from kibitz_collector.store.queries.evaluations_gaps import Unjudged
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


@dataclass(slots=True, kw_only=True)
class _Needs:
    """What a run is still without."""

    expected: int | None  # datapoints; None: it has no Dataset
    missing: list[DatapointView]
    log_count: int
    open_count: int
    last_log_ns: int
    unjudged: list[tuple[UsedEvaluator, list[Unjudged]]] = field(default_factory=list)

    @property
    def has_all_logs(self) -> bool:
        if self.expected is None:
            return self.log_count > 0 and self.open_count == 0
        return not self.missing and self.open_count == 0


class RunTender:
    """Tends all open runs, as a worker."""

    def __init__(self, store: Store, clock: Clock = time.time_ns) -> None:
        self._store = store
        self._clock = clock

    def run_once(self) -> bool:
        """Tend what is open; False: it waits for others."""
        with self._store.read() as session:
            runs = queries.open_runs(session)
        for run in runs:
            _tend(self._store, run, self._clock())
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
    expected, missing = None, []
    if run.dataset_version_id is not None:
        expected = count_datapoints(session, run.dataset_version_id)
        missing = gaps.missing_datapoints(session, run)
    log_count, open_count, last_log_ns = gaps.count_run_logs(session, run)
    needs = _Needs(
        expected=expected,
        missing=missing,
        log_count=log_count,
        open_count=open_count,
        last_log_ns=last_log_ns,
    )
    for evaluator in queries.evaluators_of_run(session, run.id):
        found = gaps.unjudged_logs(session, run, evaluator)
        if found:
            needs.unjudged.append((evaluator, found))
    return needs


def _next_status(run: RunView, needs: _Needs) -> RunStatus:
    if needs.has_all_logs and not needs.unjudged:
        return "completed"
    return "running" if run.orchestrated or needs.log_count else run.status


def _help(store: Store, run: RunView, needs: _Needs, now_ns: int) -> bool:
    """Do what can be done about one need; False: there is nothing to do but wait."""
    return (
        _let_join(store, run, needs, now_ns)
        or _ask_for_judgments(store, run, needs)
        or _give_up(store, run, needs, now_ns)
    )


def _let_join(store: Store, run: RunView, needs: _Needs, now_ns: int) -> bool:
    if run.orchestrated or run.version_id is None or not needs.missing:
        return False
    origin: Origin = "datapoint"
    with store.read() as session:
        joins = match_named(needs.missing, gaps.loose_logs(session, run, with_datapoint=True))
        if not joins and now_ns - run.created_ns < MATCH_INPUTS_NS:
            origin = "inputs"
            loose = gaps.loose_logs(session, run, with_datapoint=False)
            joins = match_inputs(needs.missing, loose)
    if not joins:
        return False
    with store.write() as session:
        writes.add_run_logs(session, run, joins, origin, now_ns)
    return True


def _ask_for_judgments(store: Store, run: RunView, needs: _Needs) -> bool:
    has_asked = False
    for evaluator, unjudged in needs.unjudged:
        if not evaluator.orchestrated:
            continue
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
    if not needs.unjudged:
        return False
    with store.read() as session:
        last_ns = max(needs.last_log_ns, gaps.last_judged_ns(session, run))
        is_quiet = needs.has_all_logs and now_ns - last_ns > QUIET_NS
        views = {
            used.version_id: evaluator_queries.get_evaluator(
                session, run.workspace_id, used.evaluator_id, used.version_id
            )
            for used, _ in needs.unjudged
        }
    given_up = hopeless(needs.unjudged, views, is_quiet=is_quiet)
    records = [stand_in(one, now_ns) for one in given_up]
    if records:
        store.ingest(run.workspace_id, records)
    return bool(records)
