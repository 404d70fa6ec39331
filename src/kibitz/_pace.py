"""When the sender may try again: full-jitter back-off, and what the collector asks for."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

_FIRST_DELAY_S, _LONGEST_DELAY_S, _HURRIED_DELAY_S = 0.1, 30.0, 0.25


@dataclass(slots=True)
class Pace:
    """When to try again."""

    failures: int = 0
    not_before: float = 0.0
    is_told: bool = False  # the collector itself named the time
    hurry_until: float = 0.0
    random: random.Random = field(default_factory=random.Random)

    def fail(self, retry_after_s: float | None) -> None:
        """Back off with full jitter, or as long as the collector asks for."""
        now = time.monotonic()
        longest = _HURRIED_DELAY_S if now < self.hurry_until else _LONGEST_DELAY_S
        delay_s = min(longest, _FIRST_DELAY_S * 2 ** min(self.failures, 20))
        self.failures += 1
        self.is_told = retry_after_s is not None
        self.not_before = now + (
            self.random.uniform(delay_s / 10, delay_s) if retry_after_s is None else retry_after_s
        )

    def succeed(self) -> None:
        """Go on at full speed."""
        self.failures, self.not_before, self.is_told = 0, 0.0, False

    def is_due(self) -> bool:
        """Whether a request may be made now."""
        return time.monotonic() >= self.not_before

    def hurry(self, until: float) -> None:
        """Someone waits: do not sit out our own back-off, only the collector's wish."""
        self.hurry_until = until
        if not self.is_told:
            self.not_before = 0.0
