"""A worker's loop: `run_once` until told to stop, on a thread of its own.

`run_once` returns True when there may be more to do at once; a signal only sets the stop flag.
"""

import logging
import threading
from collections.abc import Callable

from kibitz_collector.errors import Busy

log = logging.getLogger("kibitz.collector")

_BUSY_S = 1.0


class Loop:
    """Runs `run_once` again and again; sleeps on `wake` at most `poll_s` when there is nothing.

    `rest_s` is slept whatever wakes it: for work that costs less in larger portions.
    """

    def __init__(
        self,
        name: str,
        run_once: Callable[[], bool],
        *,
        poll_s: float,
        rest_s: float = 0.0,
        wake: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.failures = 0
        self._run_once = run_once
        self._poll_s = poll_s
        self._rest_s = rest_s
        self._wake = wake or threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kibitz-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def request_stop(self) -> None:
        """Ask to stop after the round in hand; returns at once."""
        self._stop.set()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end up to `timeout_s`; False: still busy then."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            # Clear before looking, never after: a wake-up between the two must not be lost.
            self._wake.clear()
            try:
                more = self._run_once()
                self.failures = 0
            except Busy as error:
                # The database is away or full: no news after the first time, and back at once
                # when it is.
                if not self.failures:
                    log.warning("%s waits: %s", self.name, error.message)
                self.failures += 1
                self._stop.wait(_BUSY_S)
                continue
            except Exception:
                # The outermost loop of a worker: whatever went wrong, the next round must happen.
                self.failures += 1
                log.exception("%s failed (%d in a row); trying again", self.name, self.failures)
                self._stop.wait(min(30.0, 0.5 * 2 ** min(self.failures, 6)))
                continue
            if not more and not self._stop.wait(self._rest_s):
                self._wake.wait(self._poll_s)
