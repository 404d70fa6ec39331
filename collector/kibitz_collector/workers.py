"""The background loops of one collector or worker process, started and stopped together."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kibitz_collector.alert.worker import AlertWorker, DeliveryWorker
from kibitz_collector.background import Loop
from kibitz_collector.config import Settings
from kibitz_collector.errors import CollectorError, Invalid, SetupError
from kibitz_collector.evaluate.dispatch import JudgeDispatcher
from kibitz_collector.evaluate.sandbox import Sandbox, open_sandbox
from kibitz_collector.evaluate.tools import tool_runner
from kibitz_collector.evaluate.worker import EvaluationWorker, IdleTraceWorker
from kibitz_collector.evaluations.tending import RunTender
from kibitz_collector.evaluations.worker import RunWorker
from kibitz_collector.normalize import NO_PRICES, UserPrices, read_prices
from kibitz_collector.store import Store
from kibitz_collector.store.search import index_round
from kibitz_collector.store.writes.claims import Lane

log = logging.getLogger("kibitz.collector")

# Searchable within two seconds of the commit; a wake-up comes with each, this is the fallback.
_INDEX_POLL_S = 1.0
_INDEX_REST_S = 0.5  # 800 Logs at once cost a tenth less than twice 400, many words a sixth
_JOB_POLL_S = 1.0
_JOB_REST_S = 0.05  # under load each commit brings a few jobs; a claim of many costs what one does
_IDLE_POLL_S = 5.0
_DELIVERY_POLL_S = 1.0
_RUN_POLL_S = 1.0
_RUN_REST_S = 0.5  # looking after runs costs more the longer they are; Logs come all the time


@dataclass(slots=True)
class Workers:
    """What runs beside the requests."""

    loops: list[Loop] = field(default_factory=list)
    evaluation: list[EvaluationWorker] = field(default_factory=list)
    judges: JudgeDispatcher | None = None
    runs: list[RunWorker] = field(default_factory=list)
    deliveries: DeliveryWorker | None = None
    sandbox: Sandbox | None = None
    stop_by: float | None = None  # on the monotonic clock

    def request_stop(self, grace_s: float) -> None:
        """Let the loops end after the round in hand; returns at once."""
        if self.stop_by is None:
            self.stop_by = time.monotonic() + grace_s
            for loop in self.loops:
                loop.request_stop()

    def stop(self, grace_s: float) -> None:
        """End all loops within `grace_s` of the first request, then give back what is in hand."""
        self.request_stop(grace_s)
        assert self.stop_by is not None
        for loop in self.loops:
            if not loop.join(max(0.0, self.stop_by - time.monotonic())):
                log.warning("%s did not finish in %.0f s", loop.name, grace_s)
        if self.judges is not None and not self.judges.join(self.stop_by - time.monotonic()):
            log.warning("judges' models did not answer in %.0f s; others ask again", grace_s)
        holding: list[EvaluationWorker | RunWorker] = [*self.evaluation, *self.runs]
        for worker in holding:
            try:
                worker.give_back()
            except CollectorError as error:
                log.warning("claims are left to expire: %s", error.message)
        if self.deliveries is not None:
            self.deliveries.close()
        if self.sandbox is not None:
            self.sandbox.close()


def start(settings: Settings, store: Store, prices: UserPrices = NO_PRICES) -> Workers:
    """Start every loop the settings ask for.

    Raises: SetupError: the sandbox asked for does not work here.
    """
    workers = Workers()
    workers.loops.append(
        Loop(
            "text-index",
            _led(store, "text-index", lambda: index_round(store)),
            poll_s=_INDEX_POLL_S,
            rest_s=_INDEX_REST_S,
            wake=store.subscribe("logs"),
        )
    )
    if settings.evaluate:
        workers.sandbox = open_sandbox(settings)
        _add_evaluation(workers, settings, store, workers.sandbox)
        _add_judges(workers, settings, store, prices)
        _add_runs(workers, settings, store, prices)
    if settings.alert:
        _add_alerting(workers, settings, store)
    for loop in workers.loops:
        loop.start()
    return workers


def own_prices(settings: Settings) -> UserPrices:
    """Return the prices of the settings' file.

    Raises: SetupError: it cannot be read.
    """
    if settings.prices_file is None:
        return NO_PRICES
    try:
        return read_prices(Path(settings.prices_file).read_bytes())
    except (OSError, Invalid) as error:
        raise SetupError(f"--prices-file {settings.prices_file}: {error}") from None


def _led(store: Store, name: str, run_once: Callable[[], bool]) -> Callable[[], bool]:
    """Return a round that does something in one process of all on this database."""
    return lambda: store.leads(name) and run_once()


def _add_evaluation(workers: Workers, settings: Settings, store: Store, sandbox: Sandbox) -> None:
    # Evaluators that never judged yet, or misbehaved, have a worker of their own: one that must be
    # killed is never in front of one that judges well.
    lanes: list[Lane] = ["unproven"]
    lanes += ["proven" for _ in range(settings.evaluate_workers)]
    for number, lane in enumerate(lanes):
        worker = EvaluationWorker(store, sandbox, settings, lane=lane)
        workers.evaluation.append(worker)
        workers.loops.append(
            Loop(
                f"evaluate-{lane}-{number}",
                worker.run_once,
                poll_s=_JOB_POLL_S,
                rest_s=_JOB_REST_S,
                wake=store.subscribe("jobs"),
            )
        )
    idle = IdleTraceWorker(store, settings)
    workers.loops += [
        Loop("keep-claims", lambda: _keep(workers.evaluation), poll_s=settings.job_lease_s / 3),
        Loop("idle-traces", _led(store, "idle-traces", idle.run_once), poll_s=_IDLE_POLL_S),
    ]


def _add_judges(workers: Workers, settings: Settings, store: Store, prices: UserPrices) -> None:
    # Apart from the others: a model answers in seconds, code in milliseconds.
    slots = [
        EvaluationWorker(store, None, settings, lane="model", prices=prices)
        for _ in range(settings.judge_concurrency)
    ]
    workers.evaluation += slots
    workers.judges = JudgeDispatcher(slots)
    workers.loops.append(
        Loop(
            "evaluate-model",
            workers.judges.run_once,
            poll_s=_JOB_POLL_S,
            rest_s=_JOB_REST_S,
            wake=store.subscribe("jobs"),
        )
    )


def _add_runs(workers: Workers, settings: Settings, store: Store, prices: UserPrices) -> None:
    tender = RunTender(store)
    workers.loops += [
        Loop(
            "runs",
            _led(store, "runs", tender.run_once),
            poll_s=_RUN_POLL_S,
            rest_s=_RUN_REST_S,
            wake=store.subscribe("logs"),
        ),
        Loop("keep-runs", lambda: _keep(workers.runs), poll_s=settings.job_lease_s / 3),
    ]
    run_tool = tool_runner(workers.sandbox, settings)
    for number in range(settings.run_concurrency):
        worker = RunWorker(store, settings, prices, run_tool)
        workers.runs.append(worker)
        workers.loops.append(
            Loop(
                f"run-{number}",
                worker.run_once,
                poll_s=_RUN_POLL_S,
                wake=store.subscribe("runs"),
            )
        )


def _keep(busy: Sequence[EvaluationWorker | RunWorker]) -> bool:
    for worker in busy:
        worker.keep()
    return False


def _add_alerting(workers: Workers, settings: Settings, store: Store) -> None:
    rules, deliveries = AlertWorker(store, settings), DeliveryWorker(store, settings)
    workers.deliveries = deliveries
    workers.loops += [
        Loop(
            "alerts",
            _led(store, "alerts", rules.run_once),
            poll_s=settings.alert_tick_s,
            wake=rules.wake,
        ),
        Loop("deliveries", deliveries.run_once, poll_s=_DELIVERY_POLL_S, wake=deliveries.wake),
    ]
