"""How soon a Log is judged, and how many can be: `python -m bench.evaluation`.

Latency is from the end of the call in the app, through SDK, spool, collector, job and sandbox, to
the judgment being readable in the database. Then the sandbox alone, and the worker from its claim
to the committed judgment.
"""

import argparse
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import kibitz
from bench import machine
from bench.ingest.servers import post
from bench.processes import kibitz_serve
from bench.samples import ANSWER, TEXT
from bench.table import Cell, percentile, render
from kibitz_collector.config import Settings
from kibitz_collector.evaluate.sandbox import Limits, open_jail
from kibitz_collector.evaluate.worker import EvaluationWorker
from kibitz_collector.records import FileReference, FileRegistration, LogBody, LogRecord
from kibitz_collector.store import open_store

SOURCE = """
def is_grounded(log):
    answer = log["output"] or ""
    words = [word.strip(".,").lower() for word in str(answer).split()]
    return len(words) < 1000 and "sorry" not in words
"""
_PATH = "bench/answer"
_SANDBOX_BATCH = 100
_POLL_S = 0.004


def main() -> int:
    """Measure what the flags ask for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluation", description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0, help="Logs per second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--sandbox-threads", type=int, default=2)
    parser.add_argument("--sandbox-seconds", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=10_000)
    given = parser.parse_args()
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory(prefix="kibitz-bench-") as folder:
        rows += measure_latency(Path(folder), given.rate, given.seconds)
        rows += measure_sandbox(given.sandbox_threads, given.sandbox_seconds)
        rows += measure_worker(Path(folder) / "worker.db", given.jobs)
    print(machine.describe(), "\n", sep="")
    print(render("Evaluation", ["what", "p50", "p99", "most", "unit", "of"], rows))
    return 0


# --- span end to judgment


def measure_latency(folder: Path, rate: float, seconds: float) -> list[list[Cell]]:
    """Call a decorated function at a steady rate and see when each call's judgment is there."""
    os.environ["KIBITZ_SPOOL_DIR"] = str(folder / "spool")
    database = folder / "kibitz.db"
    with kibitz_serve(folder, f"sqlite:///{database}") as (url, _):
        made = post(f"{url}/api/evaluators", {"path": "bench/is_grounded", "code": SOURCE})
        post(f"{url}/api/monitors", {"evaluator": made["id"], "on": _PATH})
        kibitz.init(collector=url)
        call = kibitz.tool(path=_PATH)(_answer)
        with _watching(database) as seen_ns:
            call(TEXT)  # the first batch starts the sandbox's template process
            _wait_for(seen_ns, 1)
            before = len(seen_ns)
            sent = _call_steadily(call, rate, seconds)
            _wait_for(seen_ns, before + sent)
        kibitz.shutdown()
        late_ms = _lateness_ms(database, dict(list(seen_ns.items())[before:]))
    return [
        [
            f"call's end to readable judgment, {rate:.0f} Logs/s",
            percentile(late_ms, 0.5),
            percentile(late_ms, 0.99),
            max(late_ms),
            "ms",
            f"{len(late_ms)} judged of {sent}",
        ]
    ]


def _answer(question: str) -> object:
    return ANSWER


def _call_steadily(call: Callable[[str], object], rate: float, seconds: float) -> int:
    start, sent = time.perf_counter(), 0
    while (now := time.perf_counter() - start) < seconds:
        while sent < now * rate:
            call(TEXT)
            sent += 1
        time.sleep(0.5 / rate)
    return sent


def _wait_for(seen_ns: dict[str, int], count: int) -> None:
    deadline = time.monotonic() + 60
    while len(seen_ns) < count and time.monotonic() < deadline:
        time.sleep(0.02)


@contextmanager
def _watching(database: Path) -> Iterator[dict[str, int]]:
    """Note when each judged Log's judgment can be read first."""
    seen_ns: dict[str, int] = {}
    is_over = threading.Event()

    def watch() -> None:
        last = -1
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as reader:
            while not is_over.wait(_POLL_S):
                found = reader.execute(
                    "select seq, judged_log_id from judgment where seq > ? order by seq", (last,)
                ).fetchall()
                now_ns = time.time_ns()
                for seq, log_id in found:
                    seen_ns.setdefault(log_id, now_ns)
                    last = seq

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen_ns
    finally:
        is_over.set()
        thread.join()


def _lateness_ms(database: Path, seen_ns: dict[str, int]) -> list[float]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        ended_ns = dict(reader.execute("select id, end_ns from log").fetchall())
    return [(at_ns - ended_ns[log_id]) / 1e6 for log_id, at_ns in seen_ns.items()]


# --- the sandbox, and the worker


def measure_sandbox(threads: int, seconds: float) -> list[list[Cell]]:
    """Judge Logs of 4 KB in batches, in as many threads as there are cores."""
    log = {"id": "log_1", "output": (TEXT * 4)[:4000], "inputs": {"question": TEXT[:90]}}
    jail = open_jail(Limits())
    counts = [0] * threads
    deadline = time.perf_counter() + seconds

    def judge(number: int) -> None:
        while time.perf_counter() < deadline:
            found = jail.run(SOURCE, [log] * _SANDBOX_BATCH, return_type="boolean")
            if any(verdict.value is not True for verdict in found):
                raise RuntimeError(f"the sandbox said {found[-1]}")
            counts[number] += len(found)

    workers = [threading.Thread(target=judge, args=(number,)) for number in range(threads)]
    start = time.perf_counter()
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took_s = time.perf_counter() - start
    finally:
        jail.close()
    rate = sum(counts) / took_s
    return [["sandbox alone, Logs of 4 KB", rate, None, None, "per s", f"{threads} threads"]]


def measure_worker(database: Path, jobs: int) -> list[list[Cell]]:
    """Store Logs with a monitor on them, then time one worker from claim to committed judgment."""
    store = open_store(f"sqlite:///{database}")
    jail = open_jail(Limits())
    try:
        content = {"evaluator_type": "code", "code": SOURCE, "return_type": "boolean", "on": _PATH}
        store.register_file(
            1, FileRegistration(kind="evaluator", path="bench/is_grounded", content=content)
        )
        for start in range(0, jobs, 500):
            store.ingest(1, [_log(number) for number in range(start, min(start + 500, jobs))])
        worker = EvaluationWorker(store, jail, Settings())
        begun = time.perf_counter()
        while worker.run_once():
            pass
        took_s = time.perf_counter() - begun
    finally:
        jail.close()
        store.close()
    return [["claim to committed judgment", jobs / took_s, None, None, "per s", "one worker"]]


def _log(number: int) -> LogRecord:
    start_ns = time.time_ns()
    return LogRecord(
        id=f"log_{number:021d}",
        kind="tool",
        name="answer",
        start_ns=start_ns,
        end_ns=start_ns + 5_000_000,
        trace_id=f"{number + 1:032x}",
        file=FileReference(kind="tool", path=_PATH, content={"v": 1}),
        body=LogBody(inputs={"question": TEXT[:90]}, output=TEXT),
    )


if __name__ == "__main__":
    sys.exit(main())
