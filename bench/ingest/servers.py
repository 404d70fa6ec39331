"""The servers that are measured: how each is started, and how one counts what it has stored."""

import json
import socket
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import postgres, processes
from bench.peers import python_of

_START_S = 120.0
EVALUATOR = "def is_short(log):\n    return len(str(log['output'] or '')) < 5000\n"


@dataclass(frozen=True, slots=True)
class Server:
    """One running server."""

    url: str  # of /v1/traces
    pids: list[int]
    count: Callable[[], int]  # spans that are stored and can be queried
    size_bytes: Callable[[], int]
    find: Callable[[str], bool] | None = None  # whether a word is found by text search
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def kibitz_sqlite(folder: Path, venvs: Path | None, monitor: str) -> Iterator[Server]:
    """`kibitz serve` as installed, on SQLite."""
    database = folder / "kibitz.db"
    with processes.kibitz_serve(folder, f"sqlite:///{database}") as (url, process):
        _attach(url, monitor)
        yield Server(
            f"{url}/v1/traces",
            [process.pid],
            lambda: _sqlite(database, "select count(*) from log where kind != 'evaluator'"),
            lambda: _sqlite_bytes(database),
            lambda word: _is_found(url, word),
        )


@contextmanager
def kibitz_postgres(folder: Path, venvs: Path | None, monitor: str) -> Iterator[Server]:
    """`kibitz serve` on PostgreSQL."""
    import psycopg

    binaries = postgres.find_binaries()
    if binaries is None:
        raise RuntimeError("PostgreSQL's server is not installed")
    with ExitStack() as stack:
        cluster = stack.enter_context(postgres.running(binaries))
        url, process = stack.enter_context(processes.kibitz_serve(folder, cluster.url))
        reader = stack.enter_context(psycopg.connect(cluster.url, autocommit=True))

        def one(query: str) -> int:
            row = reader.execute(query.encode()).fetchone()
            return int(row[0]) if row else 0

        _attach(url, monitor)
        yield Server(
            f"{url}/v1/traces",
            [process.pid, cluster.pid],
            lambda: one("select count(*) from log where kind <> 'evaluator'"),
            lambda: one("select pg_database_size(current_database())"),
            lambda word: _is_found(url, word),
        )


@contextmanager
def phoenix(folder: Path, venvs: Path | None, monitor: str) -> Iterator[Server]:
    """Phoenix on SQLite."""
    port = _free_port()
    python = _installed(venvs, "phoenix")
    given = {
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(_free_port()),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    database = folder / "phoenix.db"
    command = [str(python.with_name("phoenix")), "serve"]
    with processes.running(command, folder, given) as process:
        _wait(f"http://127.0.0.1:{port}/healthz")
        yield Server(
            f"http://127.0.0.1:{port}/v1/traces",
            [process.pid],
            lambda: _sqlite(database, "select count(*) from spans"),
            lambda: _sqlite_bytes(database),
        )


@contextmanager
def mlflow(folder: Path, venvs: Path | None, monitor: str) -> Iterator[Server]:
    """MLflow with one worker, on SQLite."""
    port = _free_port()
    python = _installed(venvs, "mlflow")
    database = folder / "mlflow.db"
    command = [str(python.with_name("mlflow")), "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{database}"]
    given = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with processes.running(command, folder, given) as process:
        _wait(f"http://127.0.0.1:{port}/health")
        yield Server(
            f"http://127.0.0.1:{port}/v1/traces",
            [process.pid],
            lambda: _sqlite(database, "select count(*) from spans"),
            lambda: _sqlite_bytes(database),
            headers={"x-mlflow-experiment-id": "0"},
        )


SERVERS = {
    "kibitz-sqlite": kibitz_sqlite,
    "kibitz-postgres": kibitz_postgres,
    "phoenix": phoenix,
    "mlflow": mlflow,
}


# --- talking to kibitz


def _attach(url: str, monitor: str) -> None:
    """Let one evaluator judge what arrives and matches; "" attaches none."""
    if not monitor:
        return
    made = post(f"{url}/api/evaluators", {"path": "bench/is_short", "code": EVALUATOR})
    post(f"{url}/api/monitors", {"evaluator": made["id"], "on": monitor})


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST JSON and return the answer."""
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        answer: dict[str, Any] = json.load(reply)
        return answer


def _is_found(url: str, word: str) -> bool:
    asked = urllib.parse.urlencode({"q": f'"{word}"', "limit": 1})
    with urllib.request.urlopen(f"{url}/api/logs?{asked}", timeout=30) as reply:
        return bool(json.load(reply)["items"])


# --- databases and processes


def _sqlite(database: Path, query: str) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as reader:
        return int(reader.execute(query).fetchone()[0])


def _sqlite_bytes(database: Path) -> int:
    return _sqlite(
        database, "select page_count * page_size from pragma_page_count, pragma_page_size"
    )


def _installed(venvs: Path | None, peer: str) -> Path:
    python = python_of(venvs, peer) if venvs else None
    if python is None:
        raise RuntimeError(f"not installed: python -m bench.peers --venvs DIR {peer}")
    return python


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
