"""The demo tells the truth: it passes whole, and notices whatever is taken away."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest


def run_demo(*flags: str) -> subprocess.CompletedProcess[str]:
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("KIBITZ_", "OPENAI_", "OTEL_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "kibitz", "demo", "--once", "--port", "0", *flags],
        capture_output=True,
        text=True,
        timeout=170,
        env=kept,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_demo_finds_everything_it_promises() -> None:
    done = run_demo()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MISS" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_demo_fails_without_a_part() -> None:
    # Side by side: most of the time each waits for what does not come.
    parts = ("evaluator", "monitor", "alert")
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda part: run_demo("--without", part), parts))
    for done in runs:
        assert done.returncode == 1, done.stdout + done.stderr
        assert "MISS" in done.stdout
