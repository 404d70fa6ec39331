"""Measures one library on the `openai` client: plain and instrumented calls alternate in blocks."""

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

from bench.children import report
from bench.openai_calls.libraries import LIBRARIES, Patch
from bench.openai_calls.server import CHUNK_COUNT, MESSAGES, make_async_client, make_client
from bench.table import median, percentile

Block = Callable[[int], dict[str, list[int]]]
_MODEL = "gpt-4o-mini"


def _creates() -> Block:
    client: Any = make_client()

    def run(calls: int) -> dict[str, list[int]]:
        took = []
        for _ in range(calls):
            start = time.perf_counter_ns()
            client.chat.completions.create(model=_MODEL, messages=MESSAGES, temperature=0.2)
            took.append(time.perf_counter_ns() - start)
        return {"create": took}

    return run


def _async_creates() -> Block:
    client: Any = make_async_client()
    loop = asyncio.new_event_loop()

    async def run_async(calls: int) -> dict[str, list[int]]:
        took = []
        for _ in range(calls):
            start = time.perf_counter_ns()
            await client.chat.completions.create(model=_MODEL, messages=MESSAGES, temperature=0.2)
            took.append(time.perf_counter_ns() - start)
        return {"async create": took}

    return lambda calls: loop.run_until_complete(run_async(calls))


def _streams() -> Block:
    client: Any = make_client()
    asked = {"stream": True, "stream_options": {"include_usage": True}}

    def run(calls: int) -> dict[str, list[int]]:
        first, total = [], []
        for _ in range(calls):
            seen = 0
            start = time.perf_counter_ns()
            for _chunk in client.chat.completions.create(model=_MODEL, messages=MESSAGES, **asked):
                if not seen:
                    first.append(time.perf_counter_ns() - start)
                seen += 1
            total.append(time.perf_counter_ns() - start)
            if seen != CHUNK_COUNT:
                raise RuntimeError(f"{seen} chunks instead of {CHUNK_COUNT}")
        return {"stream, first chunk": first, "stream, total": total}

    return run


def measure(patch: Patch, block: Block, blocks: int, calls: int) -> dict[str, dict[str, float]]:
    """Alternate plain and instrumented blocks; the first pair only warms up.

    Shape: {case: {"plain_us": p50, "added_us": p50, "added_p99_us": p99, "added_cpu_us": per call}}
    """
    wall: dict[str, tuple[list[int], list[int]]] = {}
    cpu: tuple[list[float], list[float]] = ([], [])
    for number in range(blocks + 1):
        for side, switch in enumerate((patch.off, patch.on)):
            switch()
            gc.collect()
            begin = time.process_time_ns()
            found = block(calls)
            patch.flush()
            if number:
                cpu[side].append((time.process_time_ns() - begin) / calls)
                for case, took in found.items():
                    wall.setdefault(case, ([], []))[side].extend(took)
    patch.off()
    added_cpu_us = ((median(cpu[1]) or 0) - (median(cpu[0]) or 0)) / 1e3
    return {
        case: {
            "plain_us": percentile(plain, 0.5) / 1e3,
            "added_us": (percentile(traced, 0.5) - percentile(plain, 0.5)) / 1e3,
            "added_p99_us": (percentile(traced, 0.99) - percentile(plain, 0.99)) / 1e3,
            "added_cpu_us": added_cpu_us,
        }
        for case, (plain, traced) in wall.items()
    }


def main() -> None:
    """Measure what the flags ask for and report it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=LIBRARIES, required=True)
    parser.add_argument("--sink", required=True)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--calls", type=int, default=100)
    given = parser.parse_args()
    patch = LIBRARIES[given.library](given.sink)
    figures: dict[str, Any] = {"library": given.library}
    figures |= measure(patch, _creates(), given.blocks, given.calls)
    figures |= measure(patch, _async_creates(), given.blocks, given.calls)
    figures |= measure(patch, _streams(), given.blocks, max(2, given.calls // 5))
    report(figures)


if __name__ == "__main__":
    main()
