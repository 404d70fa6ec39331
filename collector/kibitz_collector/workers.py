"""The background loops of one collector process, started and stopped together."""

import logging
import time
from dataclasses import dataclass, field

from kibitz_collector.alert.worker import AlertWorker, DeliveryWorker
from kibitz_collector.background import Loop
from kibitz_collector.config import Settings
from kibitz_collector.evaluate.sandbox import Sandbox, open_sandbox
from kibitz_collector.evaluate.worker import EvaluationWorker, IdleTraceWorker
from kibitz_collector.store import Store
from kibitz_collector.store.search import index_once
from kibitz_collector.store.writes.claims import Lane

log = logging.getLogger("kibitz.collector")

# Searchable within two seconds of the commit; a wake-up comes with each, this is the fallback.
_INDEX_POLL_S = 1.0
_JOB_POLL_S = 1.0
_IDLE_POLL_S = 5.0
_DELIVERY_POLL_S = 1.0


@dataclass(slots=True)
class Workers:
    """What runs beside the requests."""

    loops: list[Loop] = field(default_factory=list)
    sandbox: Sandbox | None = None

    def stop(self, grace_s: float) -> None:
        """Stop all loops within `grace_s` together, then end the sandbox."""
        deadline = time.monotonic() + grace_s
        for loop in self.loops:
            loop.request_stop()
        for loop in self.loops:
            if not loop.join(max(0.0, deadline - time.monotonic())):
                log.warning("%s did not finish in %.0f s; its claims expire", loop.name, grace_s)
        if self.sandbox is not None:
            self.sandbox.close()


def start(settings: Settings, store: Store) -> Workers:
    """Start every loop the settings ask for.

    Raises: SetupError: the sandbox asked for does not work here.
    """
    workers = Workers()
    workers.loops.append(
        Loop(
            "text-index",
            lambda: index_once(store) > 0,
            poll_s=_INDEX_POLL_S,
            wake=store.subscribe("logs"),
        )
    )
    if settings.evaluate:
        workers.sandbox = open_sandbox(settings)
        workers.loops += _evaluation(settings, store, workers.sandbox)
    if settings.alert:
        workers.loops += _alerting(settings, store)
    for loop in workers.loops:
        loop.start()
    return workers


def _evaluation(settings: Settings, store: Store, sandbox: Sandbox) -> list[Loop]:
    # Evaluators that never judged yet, or misbehaved, have a worker of their own: one that must be
    # killed is never in front of one that judges well.
    lanes: list[Lane] = ["unproven"]
    lanes += ["proven" for _ in range(settings.evaluate_workers)]
    loops = [
        Loop(
            f"evaluate-{lane}-{number}",
            EvaluationWorker(store, sandbox, settings, lane=lane).run_once,
            poll_s=_JOB_POLL_S,
            wake=store.subscribe("jobs"),
        )
        for number, lane in enumerate(lanes)
    ]
    idle = IdleTraceWorker(store, settings)
    return [*loops, Loop("idle-traces", idle.run_once, poll_s=_IDLE_POLL_S)]


def _alerting(settings: Settings, store: Store) -> list[Loop]:
    rules, deliveries = AlertWorker(store, settings), DeliveryWorker(store, settings)
    return [
        Loop("alerts", rules.run_once, poll_s=settings.alert_tick_s, wake=rules.wake),
        Loop("deliveries", deliveries.run_once, poll_s=_DELIVERY_POLL_S, wake=deliveries.wake),
    ]
