"""Hands the jobs of model-asking evaluators to threads, so many at once; sleeps when none waits."""

import logging
import threading
import time
from collections.abc import Sequence

from kibitz_collector.errors import Busy
from kibitz_collector.evaluate.worker import EvaluationWorker
from kibitz_collector.store.writes.claims import Claim

log = logging.getLogger("kibitz.collector")
_FULL_WAIT_S = 0.5


class JudgeDispatcher:
    """One look at the database for all slots; a thread only while there is a call."""

    def __init__(self, workers: Sequence[EvaluationWorker]) -> None:
        self._condition = threading.Condition()
        self._idle = list(workers)
        self._count = len(workers)

    def run_once(self) -> bool:
        """Start one job; False: nothing is waiting."""
        with self._condition:
            if not self._idle:
                self._condition.wait(_FULL_WAIT_S)  # not for ever: the loop may be told to stop
                return True
            worker = self._idle.pop()
        claim = None
        try:
            claim = worker.take()
        finally:
            if claim is None:
                self._put_back(worker)
        if claim is None:
            return False
        threading.Thread(
            target=self._work, args=(worker, claim), name="kibitz-judge", daemon=True
        ).start()
        return True

    def join(self, timeout_s: float) -> bool:
        """Wait for the calls in hand up to `timeout_s`; False: there are some still."""
        until = time.monotonic() + timeout_s
        with self._condition:
            while len(self._idle) < self._count:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return False
                self._condition.wait(left_s)
        return True

    def _work(self, worker: EvaluationWorker, claim: Claim) -> None:
        try:
            worker.work(claim)
        except Busy as error:
            log.warning("a judgment waits: %s", error.message)
        except Exception:
            # The outermost frame of this thread: whatever went wrong, the slot must be free again.
            log.exception("judging with a model failed; its job is put off")
        finally:
            self._put_back(worker)

    def _put_back(self, worker: EvaluationWorker) -> None:
        with self._condition:
            self._idle.append(worker)
            self._condition.notify_all()
