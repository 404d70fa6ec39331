"""Measures one library in this process, in blocks that alternate with a bare OpenTelemetry SDK."""

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

from bench import sink
from bench.children import report
from bench.client.libraries import LIBRARIES, Library
from bench.samples import ANSWER, PIECES, TEXT
from bench.timing import Samples, keep_busy, rss_bytes, time_awaits, time_calls

KINDS = ("sync", "nested", "async", "generator")
_FLUSH_EVERY = 1000


def answer(question: str) -> Any:
    """The call: does nothing."""
    return ANSWER


async def answer_async(question: str) -> Any:
    """The same as a coroutine."""
    return ANSWER


def answer_in_pieces(question: str) -> Any:
    """The same as a generator of ten pieces."""
    yield from PIECES


def _nested(library: Library) -> Callable[..., Any]:
    """Three recorded calls inside each other."""
    inner = library.decorate(answer, "inner")
    middle = library.decorate(lambda question: inner(question), "middle")
    return library.decorate(lambda question: middle(question), "outer")


def _run_block(kind: str, library: Library, call: Any, calls: int, into: Samples) -> None:
    if kind == "async":
        asyncio.run(time_awaits(lambda: call(TEXT), calls, library.flush, into))
    elif kind == "generator":
        time_calls(lambda: list(call(TEXT)), calls, library.flush, into)
    else:
        time_calls(lambda: call(TEXT), calls, library.flush, into)


def _calls_of(kind: str, library: Library) -> Any:
    functions = {"sync": answer, "async": answer_async, "generator": answer_in_pieces}
    return _nested(library) if kind == "nested" else library.decorate(functions[kind], kind)


def measure_kind(
    kind: str, libraries: dict[str, Library], blocks: int, calls: int
) -> dict[str, dict[str, float]]:
    """Alternate the libraries block by block; the first round only warms up."""
    made = {name: _calls_of(kind, library) for name, library in libraries.items()}
    samples = {name: Samples() for name in libraries}
    for block in range(blocks + 1):
        for name, library in libraries.items():
            into = samples[name] if block else Samples()
            _run_block(kind, library, made[name], calls, into)
    return {name: taken.figures() for name, taken in samples.items()}


def measure_memory(library: Library, calls: int) -> dict[str, float]:
    """How much memory stays after many calls, flushed every thousand."""
    call = library.decorate(answer, "memory")
    for _ in range(_FLUSH_EVERY):
        call(TEXT)
    library.flush()
    gc.collect()
    before = rss_bytes()
    for index in range(calls):
        call(TEXT)
        if index % _FLUSH_EVERY == _FLUSH_EVERY - 1:
            library.flush()
    library.flush()
    gc.collect()
    return {"calls": calls, "mb_per_100k": (rss_bytes() - before) / 1e6 * 1e5 / calls}


def measure_burst(library: Library, calls: int, sink_url: str) -> dict[str, float]:
    """As many calls as fast as possible; what reached the sink after a flush."""
    call = library.decorate(answer, "burst")
    _settle(library, sink_url)
    before, cpu = rss_bytes(), time.process_time()
    start = time.perf_counter()
    for _ in range(calls):
        call(TEXT)
    took_s = time.perf_counter() - start
    peak = rss_bytes()
    library.flush()
    flush_s = time.perf_counter() - start - took_s
    cpu_us = (time.process_time() - cpu) / calls * 1e6
    _settle(library, sink_url, is_reset=False)
    found = sink.ask(sink_url, "/__stats")
    return {
        "sent": calls,
        "arrived": found["distinct"],
        "rate": calls / took_s,
        "flush_s": flush_s,
        "cpu_us": cpu_us,
        "peak_mb": (peak - before) / 1e6,
        "bytes_per_span": found["bytes"] / max(1, found["spans"]),
    }


def _settle(library: Library, sink_url: str, *, is_reset: bool = True) -> None:
    """Wait until nothing arrives any more: some libraries' flush returns early."""
    library.flush()
    seen = -1
    for _ in range(60):
        now = sink.ask(sink_url, "/__requests")["requests"]
        if now == seen:
            break
        seen = now
        time.sleep(0.5)
    if is_reset:
        sink.ask(sink_url, "/__reset")


def main() -> None:
    """Measure what the flags ask for and report it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=LIBRARIES, required=True)
    parser.add_argument("--sink", required=True)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--busy-threads", type=int, default=0)
    parser.add_argument("--burst", type=int, default=0)
    parser.add_argument("--memory", type=int, default=0)
    given = parser.parse_args()
    libraries = {"bare": LIBRARIES["bare"](given.sink)}
    for name in dict.fromkeys([given.library, "otel", "otel-http"]):
        libraries[name] = LIBRARIES[name](given.sink)
    figures: dict[str, Any] = {"library": given.library}
    if given.burst:
        figures["burst"] = measure_burst(libraries[given.library], given.burst, given.sink)
    if given.memory:
        figures["memory"] = measure_memory(libraries[given.library], given.memory)
    keep_busy(given.busy_threads)
    for kind in given.kinds if given.blocks else []:
        figures[kind] = measure_kind(kind, libraries, given.blocks, given.calls)
    report(figures)


if __name__ == "__main__":
    main()
