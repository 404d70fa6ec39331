"""An app that asks its collector for things, while collectors die, come back, or never answer."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kibitz
from tests.e2e.conftest import Served, clean_environment

HANGS = """
import os, sys, time, kibitz

def slow(n):
    # Not the first ones: while threads are started, Python itself may lose a Ctrl-C in a callback
    # that cannot raise.
    if n == "5":
        os.write(1, b"running\\n")  # at once, whoever else writes
    time.sleep(0 if n == "0" else 1)

kibitz.init(sys.argv[1], spool_dir=sys.argv[2])
kibitz.evaluate(slow, dataset=[{"n": str(n)} for n in range(40)], evaluators=[], workers=2)
"""


def restart(serve: Callable[..., Served], killed: Served) -> Served:
    return serve("--port", killed.url.rpartition(":")[2], database=killed.database)


def kill(served: Served) -> None:
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()


def runs_of(served: Served, path: str) -> list[dict[str, Any]]:
    with served.client() as client:
        file = client.post("/v5/files/retrieve-by-path", json={"path": path}).json()
        query = {"file_id": file["id"]}
        (evaluation,) = client.get("/v5/evaluations", params=query).json()["records"]
        found: list[dict[str, Any]] = client.get(
            f"/v5/evaluations/{evaluation['id']}/stats"
        ).json()["run_stats"]
        return found


def test_an_evaluation_outlives_a_collector_that_is_killed_in_the_midst_of_it(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    collectors = [serve()]

    def answer(n: str) -> str:
        if n == "5":
            kill(collectors[-1])
        if n == "20":
            collectors.append(restart(serve, collectors[-1]))
        return n

    def is_even(log: dict[str, Any]) -> bool:
        return int(log["output"]) % 2 == 0

    kibitz.init(collectors[0].url, spool_dir=tmp_path / "spool")
    try:
        result = kibitz.evaluate(
            answer,
            path="a/b",
            dataset=[{"n": str(n)} for n in range(30)],
            evaluators=[is_even],
            workers=1,
            show=False,
        )
    finally:
        kibitz.shutdown()
    assert len(collectors) == 2
    assert result.score("is_even") == 0.5
    (run,) = runs_of(collectors[-1], "a/b")
    assert (run["run_id"], run["status"], run["num_logs"]) == (result.run_id, "completed", 30)
    assert run["evaluator_stats"][0]["num_true"] == 15


def test_an_interrupted_evaluation_is_cancelled(collector: Served, tmp_path: Path) -> None:
    app = subprocess.Popen(
        [sys.executable, "-c", HANGS, collector.url, tmp_path / "spool"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert app.stdout is not None
    assert app.stdout.readline() == "running\n"
    started = time.monotonic()
    app.send_signal(signal.SIGINT)
    out, errors = app.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors, (app.returncode, out, errors)
    assert time.monotonic() - started < 20
    (run,) = runs_of(collector, "slow")
    assert run["status"] == "cancelled"
