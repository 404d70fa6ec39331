"""How fast a trace server stores GenAI spans: answered, durable, searchable, and at what cost.

Batches over keep-alive connections for some seconds, then it is counted until every accepted span
can be queried; what counts is the durable rate, which has the backlog in it.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.ingest.batches import Batch, needle
from bench.ingest.load import Plan, Sent, send
from bench.ingest.servers import SERVERS, Server
from bench.ingest.spans import vocabulary
from bench.processes import Usage
from bench.table import Cell, median, percentile, render

_POLL_S = 0.05
_BATCH_VARIANTS = 4


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to."""

    server: str
    connections: int
    vocabulary: str
    sent: Sent
    stored: int
    durable_s: float  # from the first request until the last span was countable
    searchable_s: float | None  # from the last answer until its text was found
    cpu_s: float
    peak_bytes: int
    database_bytes: int


def main() -> int:
    """Measure every combination the flags ask for and print the table."""
    given = _read_flags()
    runs: list[Run] = []
    for number in range(given.rounds):
        for words in given.vocab:
            for connections in given.connections:
                for name in given.servers:
                    try:
                        runs.append(_run(given, name, words, connections))
                    except RuntimeError as error:
                        print(f"round {number}, {name}: {error}", file=sys.stderr)
    print(machine.describe(), "\n", sep="")
    print(_table(given, runs))
    return 0 if runs else 1


def _read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=["kibitz-sqlite"])
    parser.add_argument("--venvs", type=Path, help="environments made by bench.peers")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=100, help="spans per request")
    parser.add_argument("--connections", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--vocab", nargs="+", choices=["few", "zipf"], default=["few"])
    parser.add_argument("--dialect", choices=["openinference", "genai"], default="openinference")
    parser.add_argument("--span-bytes", type=int, default=2000, help="of attributes")
    parser.add_argument(
        "--monitor",
        default="kind:prompt status:error",
        help="what kibitz judges as it arrives; the default is about two spans in a hundred",
    )
    parser.add_argument("--wait-s", type=float, default=600.0, help="for the backlog")
    return parser.parse_args()


def _run(given: argparse.Namespace, name: str, words: str, connections: int) -> Run:
    text = vocabulary(words)
    batches = [
        Batch(given.batch, given.dialect, given.span_bytes, 1000 + seed, text)
        for seed in range(_BATCH_VARIANTS)
    ]
    with (
        tempfile.TemporaryDirectory(prefix="kibitz-bench-") as folder,
        SERVERS[name](Path(folder), given.venvs, given.monitor) as server,
    ):
        plan = Plan(server.url, batches, connections, given.seconds, server.headers)
        return _measure(given, name, words, server, plan)


def _measure(given: argparse.Namespace, name: str, words: str, server: Server, plan: Plan) -> Run:
    usages = [Usage(pid) for pid in server.pids]
    cpu_s = sum(usage.cpu_s() for usage in usages)
    empty, empty_bytes = server.count(), server.size_bytes()
    start = time.perf_counter()
    sent = asyncio.run(send(plan))
    answered = time.perf_counter()
    stored, durable_at = _wait_for(server, empty + sent.accepted, given.wait_s)
    searchable_s = None
    if server.find is not None and sent.accepted:
        _wait_for_word(server, needle(sent.last_sequence, plan.batches[0].traces), given.wait_s)
        searchable_s = time.perf_counter() - answered
    cpu_s = sum(usage.cpu_s() for usage in usages) - cpu_s
    for usage in usages:
        usage.close()
    return Run(
        name,
        plan.connections,
        words,
        sent,
        stored - empty,
        durable_at - start,
        searchable_s,
        cpu_s,
        sum(usage.peak_bytes for usage in usages),
        server.size_bytes() - empty_bytes,
    )


def _wait_for(server: Server, wanted: int, wait_s: float) -> tuple[int, float]:
    """Count until all is there; returns the count, and when it last grew."""
    found, grew = server.count(), time.perf_counter()
    deadline = grew + wait_s
    while found < wanted and time.perf_counter() < deadline:
        time.sleep(_POLL_S)
        now = server.count()
        if now != found:
            found, grew = now, time.perf_counter()
    return found, grew


def _wait_for_word(server: Server, word: str, wait_s: float) -> None:
    deadline = time.perf_counter() + wait_s
    while server.find is not None and time.perf_counter() < deadline:
        if server.find(word):
            return
        time.sleep(_POLL_S)


# --- the table


def _table(given: argparse.Namespace, runs: list[Run]) -> str:
    head = ["server", "batch x conns", "words", "2xx/s", "durable/s", "x peers", "p50 ms", "p99 ms"]
    head += ["CPU s per M", "RSS peak MB", "DB bytes/span", "searchable s", "repeated", "lost"]
    keys = dict.fromkeys((run.server, run.connections, run.vocabulary) for run in runs)
    rows: list[list[Cell]] = []
    for key in keys:
        same = [r for r in runs if (r.server, r.connections, r.vocabulary) == key]
        rows.append([key[0], f"{given.batch} x {key[1]}", key[2], *_figures(runs, same)])
    return render("Ingest", head, rows)


def _figures(runs: list[Run], same: list[Run]) -> list[Cell]:
    latency_s = [each for run in same for each in run.sent.latency_s]
    return [
        median(run.sent.accepted / run.sent.took_s for run in same),
        median(_durable_rate(run) for run in same),
        _against(runs, same),
        percentile(latency_s, 0.5) * 1e3,
        percentile(latency_s, 0.99) * 1e3,
        median(run.cpu_s / max(1, run.sent.accepted) * 1e6 for run in same),
        median(run.peak_bytes / 1e6 for run in same),
        median(run.database_bytes / max(1, run.stored) for run in same),
        median(run.searchable_s for run in same if run.searchable_s is not None),
        sum(sum(run.sent.retries.values()) for run in same),
        sum(run.sent.accepted - run.stored for run in same),
    ]


def _durable_rate(run: Run) -> float:
    return run.stored / run.durable_s


def _against(runs: list[Run], same: list[Run]) -> str | None:
    """Compare with the peers measured under the same load."""
    first = same[0]
    own = median(_durable_rate(run) for run in same) or 0.0
    told = []
    for peer in ("phoenix", "mlflow"):
        alike = [
            _durable_rate(run)
            for run in runs
            if run.server == peer
            and (run.connections, run.vocabulary) == (first.connections, first.vocabulary)
        ]
        rate = median(alike)
        if rate and first.server != peer:
            told.append(f"{peer} {own / rate:.1f}x")
    return ", ".join(told) or None


if __name__ == "__main__":
    sys.exit(main())
