"""Wall time per call, processor time per call with all threads, memory, and busy host threads."""

import gc
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.table import median, percentile


@dataclass(slots=True)
class Samples:
    """What several blocks of calls took."""

    wall_ns: list[int] = field(default_factory=list)  # one per call
    cpu_ns: list[float] = field(default_factory=list)  # one per block, divided by its calls

    def figures(self) -> dict[str, float]:
        """Summarise in microseconds.

        Shape: {"p50_us": float, "p99_us": float, "cpu_us": float}
        """
        return {
            "p50_us": max(0.0, percentile(self.wall_ns, 0.5) - TIMER_NS) / 1e3,
            "p99_us": max(0.0, percentile(self.wall_ns, 0.99) - TIMER_NS) / 1e3,
            "cpu_us": (median(self.cpu_ns) or 0.0) / 1e3,
        }


def time_calls(
    call: Callable[[], Any], times: int, flush: Callable[[], object], into: Samples
) -> None:
    """Time each call; processor time includes the flush after them, so export is in it."""
    clock = time.perf_counter_ns
    wall_ns = [0] * times
    gc.collect()
    cpu_ns = time.process_time_ns()
    for index in range(times):
        start = clock()
        call()
        wall_ns[index] = clock() - start
    flush()
    into.cpu_ns.append((time.process_time_ns() - cpu_ns) / times)
    into.wall_ns += wall_ns


async def time_awaits(
    call: Callable[[], Awaitable[Any]], times: int, flush: Callable[[], object], into: Samples
) -> None:
    """As `time_calls`, awaiting each call."""
    clock = time.perf_counter_ns
    wall_ns = [0] * times
    gc.collect()
    cpu_ns = time.process_time_ns()
    for index in range(times):
        start = clock()
        await call()
        wall_ns[index] = clock() - start
    flush()
    into.cpu_ns.append((time.process_time_ns() - cpu_ns) / times)
    into.wall_ns += wall_ns


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def keep_busy(threads: int) -> None:
    """Start host threads that compute in pure Python: whoever lets go of the GIL waits for them."""
    for _ in range(threads):
        threading.Thread(target=_compute, daemon=True).start()


def _compute() -> None:
    value = 0
    while True:
        value = (value * 31 + 7) % 1_000_003


def _timer_ns() -> int:
    found = []
    for _ in range(2000):
        start = time.perf_counter_ns()
        found.append(time.perf_counter_ns() - start)
    return min(found)


TIMER_NS = _timer_ns()
