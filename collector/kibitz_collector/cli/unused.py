"""Tells when a collector that an app started for itself is of no more use."""

import os
import time
from collections.abc import Callable
from pathlib import Path


class Unused:
    """Looks whether any process of the app lives, by the lock each holds, and whether one asks."""

    def __init__(
        self, users: Path, unused_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._users = users
        self._unused_s = unused_s
        self._clock = clock
        self._used_at = clock()
        self._requests = 0

    def look(self, requests: int) -> bool:
        """Tell whether nobody has been there for long enough; `requests` came so far."""
        if self._is_held() or requests != self._requests:
            self._requests = requests
            self._used_at = self._clock()
        return self._clock() - self._used_at >= self._unused_s

    def _is_held(self) -> bool:
        import fcntl  # not everywhere, and not needed by a collector started by hand

        try:
            users = os.open(self._users, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(users)
        return False
