"""Every benchmark runs, small; no figure is asserted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import postgres
from tests.e2e.conftest import clean_environment

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def run(module: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *flags],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert " cores, " in done.stdout
    return done.stdout


def rows(output: str, title: str) -> list[list[str]]:
    table = output.split(f"**{title}**", 1)[1].split("**", 1)[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_client_overhead_is_measured_and_nothing_of_a_burst_is_lost() -> None:
    small = ["--rounds", "1", "--blocks", "1", "--calls", "50", "--starts", "1"]
    load = ["--busy-threads", "0", "1", "--burst", "2000", "--memory", "1000"]
    output = run("bench.client", "--libraries", "otel-http", *small, *load)
    busy = rows(output, "Decorated call, with busy host threads")
    assert [row[:2] for row in busy] == [
        [threads, kind]
        for threads in ("0", "1")
        for kind in ("sync", "nested", "async", "generator")
    ]
    assert len(rows(output, "Decorated call, by library")) == 8
    bursts = {row[0]: row[1:3] for row in rows(output, "Burst, and memory of a long run")}
    assert bursts["kibitz"] == ["2,000", "2,000"]
    assert [row[0] for row in rows(output, "Start")] == ["kibitz", "otel-http"]


def test_openai_overhead_is_measured() -> None:
    output = run("bench.openai_calls", "--rounds", "1", "--blocks", "1", "--calls", "10")
    table = rows(output, "`openai`: what instrumentation adds, content captured")
    assert {row[0] for row in table} == {"none", "kibitz"}
    assert len(table) == 8


@pytest.mark.parametrize("words", ["few", "zipf"])
def test_ingest_is_measured_on_sqlite_and_loses_nothing(words: str) -> None:
    output = run("bench.ingest", "--seconds", "1", "--connections", "2", "--vocab", words)
    (row,) = rows(output, "Ingest")
    assert row[:3] == ["kibitz-sqlite", "100 x 2", words]
    assert row[-1] == "0"


@pytest.mark.postgres
@pytest.mark.skipif(postgres.find_binaries() is None, reason="PostgreSQL is not installed")
def test_ingest_is_measured_on_postgresql_and_loses_nothing() -> None:
    flags = ["--servers", "kibitz-postgres", "--seconds", "1", "--connections", "2"]
    (row,) = rows(run("bench.ingest", *flags), "Ingest")
    assert row[0] == "kibitz-postgres"
    assert row[-1] == "0"


def test_evaluation_is_measured_and_every_log_is_judged() -> None:
    small = ["--rate", "50", "--seconds", "1", "--sandbox-seconds", "1", "--jobs", "200"]
    latency, sandbox, worker = rows(run("bench.evaluation", *small), "Evaluation")
    judged = re.fullmatch(r"(\d+) judged of (\d+)", latency[-1])
    assert judged is not None
    assert judged[1] == judged[2]
    assert sandbox[4] == worker[4] == "per s"


def test_alert_latency_is_measured_and_every_crossing_is_told() -> None:
    (row,) = rows(run("bench.alerts", "--rounds", "2"), "Alerts")
    assert row[-1] == "2 of 2"
