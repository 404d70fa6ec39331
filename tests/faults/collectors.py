"""Real collectors and workers, a load that remembers what was acknowledged, and the count."""

import os
import random
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from kibitz.ids import log_id_from_hex
from tests.e2e.otlp import flow_span, traces_body

POLITE = """
def evaluator(log):
    return "please" in (log["output"] or "")
"""


def clean_environment(**given: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KIBITZ_", "OTEL_"))}
    return kept | given


class Process:
    """One `kibitz serve` or `kibitz worker`, which may be killed and started again."""

    def __init__(self, command: str, url: str, folder: Path, name: str, *flags: str) -> None:
        self.command = [sys.executable, "-m", "kibitz", command, "--database-url", url, *flags]
        self.errors = folder / f"{name}.txt"
        self.folder = folder
        self.port = 0
        self.popen: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Process":
        command = list(self.command)
        if command[3] == "serve":
            command += ["--port", str(self.port)]  # the same again after a kill
        with self.errors.open("a") as stream:
            self.popen = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env=clean_environment(),
                cwd=self.folder,
            )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert " on " in line or "watching at" in line, f"{line!r}: {self.errors.read_text()}"
        found = re.search(r"watching at http://[^:]+:(\d+)", line)
        if found is not None:
            self.port = int(found.group(1))
        return self

    def kill(self) -> None:
        assert self.popen is not None
        self.popen.kill()
        self.wait()

    def terminate(self, timeout_s: float = 30) -> tuple[int, float]:
        """End it with SIGTERM; returns the exit code and how long that took."""
        assert self.popen is not None
        began = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        code = self.popen.wait(timeout_s)
        self.wait()
        return code, time.monotonic() - began

    def wait(self) -> None:
        assert self.popen is not None
        self.popen.wait(30)
        assert self.popen.stdout is not None
        self.popen.stdout.close()

    @property
    def is_running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None


class Team:
    """The processes of one test; all are ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def serve(self, url: str, *flags: str) -> Process:
        return self._add("serve", url, flags)

    def worker(self, url: str, *flags: str) -> Process:
        return self._add("worker", url, flags)

    def _add(self, command: str, url: str, flags: Sequence[str]) -> Process:
        name = f"{command}-{len(self.processes)}"
        process = Process(command, url, self.folder, name, *flags)
        self.processes.append(process)
        return process.start()

    def close(self) -> None:
        for process in self.processes:
            if process.is_running:
                process.kill()


@dataclass(slots=True)
class Sent:
    """What a load has to tell."""

    acknowledged: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0  # requests that ended without an answer
    slowest_s: float = 0.0
    retry_after: bool = True  # every 503 and 507 said when to come again
    last_ok_s: float = 0.0  # on the monotonic clock
    errors: list[str] = field(default_factory=list)


class Load:
    """Threads that send batches of spans, each again until it is acknowledged, as our SDK does."""

    def __init__(
        self, urls: Sequence[str], *, threads: int = 4, batch: int = 20, size: int = 200
    ) -> None:
        self.urls = list(urls)
        self.sent = Sent()
        self._batch = batch
        self._size = size
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(threads)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, count: int, timeout_s: float = 60) -> None:
        """Wait until so many more Logs are acknowledged."""
        wanted = len(self.sent.acknowledged) + count
        deadline = time.monotonic() + timeout_s
        while len(self.sent.acknowledged) < wanted:
            assert time.monotonic() < deadline, self.sent
            time.sleep(0.01)

    def _run(self, number: int) -> None:
        choose = random.Random(number)
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                spans = self._spans()
                while not self._stop.is_set() and not self._send(client, choose, spans):
                    self._stop.wait(0.05)

    def _spans(self) -> list[dict[str, Any]]:
        root = flow_span("faults/answer", "yes please " + secrets.token_hex(self._size // 2))
        spans = [root]
        for _ in range(self._batch - 1):
            child = flow_span("faults/step", "x" * self._size)
            spans.append({**child, "traceId": root["traceId"], "parentSpanId": root["spanId"]})
        return spans

    def _send(self, client: httpx.Client, choose: random.Random, spans: list[Any]) -> bool:
        began = time.monotonic()
        try:
            answer = client.post(choose.choice(self.urls) + "/v1/traces", json=traces_body(spans))
        except httpx.HTTPError:
            with self._lock:
                self.sent.broken += 1
            return False
        with self._lock:
            sent = self.sent
            sent.statuses[answer.status_code] += 1
            sent.slowest_s = max(sent.slowest_s, time.monotonic() - began)
            if answer.status_code == 200:
                assert "partialSuccess" not in answer.json(), answer.text
                sent.acknowledged |= {log_id_from_hex(s["traceId"], s["spanId"]) for s in spans}
                sent.last_ok_s = time.monotonic()
            else:
                sent.errors = [*sent.errors, answer.text][-5:]
                sent.retry_after &= int(answer.headers.get("retry-after", "0")) > 0
        return answer.status_code == 200


def attach(url: str) -> None:
    """Register an evaluator that judges every flow `faults/answer`."""
    with httpx.Client(base_url=url, timeout=30) as client:
        made = client.post("/api/evaluators", json={"path": "faults/polite", "code": POLITE})
        assert made.status_code == 201, made.text
        body = {"evaluator": "faults/polite", "on": "faults/answer"}
        attached = client.post("/api/monitors", json=body)
        assert attached.status_code == 201, attached.text


def query(database_url: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask the database itself, past all our code."""
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()
    with psycopg.connect(database_url, autocommit=True) as server:
        return server.execute(sql).fetchall()


def check_stored(database_url: str, acknowledged: set[str]) -> None:
    """Nothing acknowledged is missing, nothing is there twice, all sums are right."""
    ids = [row[0] for row in query(database_url, "SELECT id FROM log WHERE kind <> 'evaluator'")]
    assert len(ids) == len(set(ids))
    assert acknowledged <= set(ids), f"{len(acknowledged - set(ids))} acknowledged Logs are lost"
    [(logs,)] = query(database_url, "SELECT count(*) FROM log WHERE kind <> 'evaluator'")
    rolled_up = "SELECT sum(log_count) FROM rollup_hour WHERE kind <> 'evaluator'"
    [(summed,)] = query(database_url, rolled_up)
    [(in_traces,)] = query(database_url, "SELECT sum(log_count) FROM trace")
    [(judgments,)] = query(database_url, "SELECT count(*) FROM log WHERE kind = 'evaluator'")
    assert int(summed) == logs
    assert int(in_traces) in (logs, logs + judgments)
    if database_url.startswith("sqlite"):
        assert query(database_url, "PRAGMA integrity_check") == [("ok",)]


def wait_judged(database_url: str, timeout_s: float = 60) -> float:
    """Wait until every root has a judgment; returns how long that took."""
    began = time.monotonic()
    missing = """
        SELECT count(*) FROM log r WHERE r.kind = 'flow' AND r.trace_parent_id IS NULL
        AND NOT EXISTS (SELECT 1 FROM judgment j WHERE j.judged_log_id = r.id)"""
    while (left := query(database_url, missing)[0][0]) > 0:
        states = query(database_url, "SELECT state, attempts, count(*) FROM job GROUP BY 1, 2")
        assert time.monotonic() - began < timeout_s, f"{left} roots are not judged; {states}"
        time.sleep(0.1)
    return time.monotonic() - began


def check_judged_once(database_url: str) -> None:
    """No Log has two judgments of the evaluator."""
    twice = """
        SELECT judged_log_id, count(*) FROM judgment
        GROUP BY judged_log_id, evaluator_version_id HAVING count(*) > 1"""
    assert query(database_url, twice) == []


def wait_until_ready(url: str, timeout_s: float = 30) -> float:
    """Wait for `/readyz`; returns how long that took."""
    began = time.monotonic()
    while True:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return time.monotonic() - began
        except httpx.HTTPError:
            pass
        assert time.monotonic() - began < timeout_s
        time.sleep(0.02)


def databases(folder: Path) -> Iterator[str]:
    """Return URLs of SQLite files that do not exist yet."""
    number = 0
    while True:
        yield f"sqlite:///{folder / f'kibitz-{number}.db'}"
        number += 1
