"""The two loops of alerting: one looks at the rules, one delivers what they have to say.

Nothing is held in memory between rounds that matters: windows come from the store, states, firings
and messages are rows. Several collectors may run both; conditional updates keep them from doubling.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from kibitz_collector.access.seal import Sealer, open_sealer
from kibitz_collector.alert.channels.outgoing import NotDelivered, Outgoing
from kibitz_collector.alert.evaluation import evaluate_rule
from kibitz_collector.alert.sending import base_url, send, surroundings
from kibitz_collector.config import Settings
from kibitz_collector.errors import BadQuery, NotFound
from kibitz_collector.store import Store
from kibitz_collector.store.alerts import Delivery, Rule
from kibitz_collector.store.queries import alerts as alert_queries
from kibitz_collector.store.writes import deliveries as delivery_writes

log = logging.getLogger("kibitz.collector")
Clock = Callable[[], int]
_S = 10**9


class AlertWorker:
    """Evaluates the rules when data has arrived, and on a tick (windows also move without data)."""

    SETTLE_NS = 200 * 10**6
    """Least time between two looks at one rule: a storm of Logs is one look, not ten thousand."""
    SHARE = 10
    """A rule may take one part in this many of the time: long windows are looked at less often."""
    PUT_OFF_NS = 30 * _S

    def __init__(self, store: Store, settings: Settings, clock: Clock = time.time_ns) -> None:
        self.wake: threading.Event = store.subscribe("logs")  # judgments are Logs too
        self._store = store
        self._clock = clock
        self._base_url = base_url(settings)
        self._watching_since_ns = clock()
        self._due: dict[tuple[str, int], int] = {}

    def run_once(self) -> bool:
        """Look at every rule that is due; False: nothing more to do before the next wake-up."""
        with self._store.read() as session:
            rules = alert_queries.active_rules(session)
        keys = {(rule.id, rule.revision) for rule in rules}
        self._due = {key: due for key, due in self._due.items() if key in keys}
        for rule in rules:
            if self._clock() >= self._due.get((rule.id, rule.revision), 0):
                self._look(rule)
        return False

    def _look(self, rule: Rule) -> None:
        key, started_s = (rule.id, rule.revision), time.perf_counter()
        self._due[key] = self._clock() + self.PUT_OFF_NS  # before it can fail
        try:
            count = evaluate_rule(
                self._store,
                rule,
                now_ns=self._clock(),
                watching_since_ns=self._watching_since_ns,
                base_url=self._base_url,
            )
        except BadQuery as error:
            log.warning("alert rule %r cannot be evaluated: %s", rule.name, error.message)
            return
        took_ns = int((time.perf_counter() - started_s) * _S)
        self._due[key] = self._clock() + max(self.SETTLE_NS, took_ns * (self.SHARE - 1))
        if count:
            self._store.announce("firings")


class DeliveryWorker:
    """Sends waiting messages, several at a time, so that a slow receiver delays only itself."""

    AT_ONCE = 8
    LEASE_NS = 60 * _S
    DELAYS_S = (2, 5, 15, 60, 300, 900, 1800, 3600)
    GLANCE_S = 0.2
    """How long a round waits for messages in flight before it looks for new ones."""

    def __init__(self, store: Store, settings: Settings, clock: Clock = time.time_ns) -> None:
        self.wake: threading.Event = store.subscribe("firings")
        self._store = store
        self._settings = settings
        self._clock = clock
        self._sealer: Sealer | None = None
        self._pool = ThreadPoolExecutor(self.AT_ONCE, thread_name_prefix="kibitz-deliver")
        self._in_flight: set[Future[None]] = set()

    def run_once(self) -> bool:
        """Claim what is due and send it; True: something is still in flight or waiting."""
        for delivery in self._claim():
            self._in_flight.add(self._pool.submit(self._deliver, delivery))
        if not self._in_flight:
            return False
        done, self._in_flight = wait(
            self._in_flight, timeout=self.GLANCE_S, return_when=FIRST_COMPLETED
        )
        for future in done:
            future.result()
        return True

    def close(self) -> None:
        """Let what is in flight end (each send is bounded), then stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _claim(self) -> list[Delivery]:
        free = self.AT_ONCE - len(self._in_flight)
        if free <= 0:
            return []
        now_ns = self._clock()
        with self._store.read() as session:
            if not alert_queries.is_delivery_due(session, now_ns):
                return []
        self._sealer = self._sealer or open_sealer(self._settings)
        with self._store.write() as session:
            return delivery_writes.claim(session, now_ns, lease_ns=self.LEASE_NS, limit=free)

    def _deliver(self, delivery: Delivery) -> None:
        assert self._sealer is not None
        try:
            with self._store.read() as session:
                channel = alert_queries.get_channel(
                    session, delivery.workspace_id, delivery.channel_id
                )
            outgoing = Outgoing(id=delivery.id, payload=delivery.payload)
            send(channel, outgoing, self._sealer, surroundings(self._store, self._settings))
        except NotDelivered as problem:
            self._put_off(delivery, problem)
        except NotFound as error:
            self._put_off(delivery, NotDelivered(error.message, is_final=True))
        except Exception as error:
            # Put off before it is raised: a bug in one channel must not be met again at once.
            self._put_off(delivery, NotDelivered(f"{type(error).__name__}: {error}"))
            raise
        else:
            with self._store.write() as session:
                delivery_writes.finish(session, delivery, self._clock())

    def _put_off(self, delivery: Delivery, problem: NotDelivered) -> None:
        delay_s = float(self.DELAYS_S[min(delivery.attempts, len(self.DELAYS_S)) - 1])
        delay_s = max(delay_s * random.uniform(1.0, 1.2), problem.retry_after_s or 0.0)
        due_ns: int | None = self._clock() + int(delay_s * _S)
        reason = problem.reason
        if problem.is_final or (due_ns is not None and due_ns > delivery.give_up_ns):
            due_ns = None
            reason = f"given up after {delivery.attempts} attempts: {reason}"
            log.warning("message %s to channel %s %s", delivery.id, delivery.channel_id, reason)
        with self._store.write() as session:
            delivery_writes.put_off(session, delivery, reason, due_ns)
