"""The demo tells the truth: it passes whole, and notices whatever is taken away."""

import os
import subprocess
import sys

import pytest


def run_demo(*flags: str) -> subprocess.CompletedProcess[str]:
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("KIBITZ_", "OPENAI_", "OTEL_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "kibitz", "demo", "--once", "--port", "0", *flags],
        capture_output=True,
        text=True,
        timeout=110,
        env=kept,
        check=False,
    )


@pytest.mark.slow
def test_demo_finds_everything_it_promises() -> None:
    done = run_demo()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MISS" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("part", ["evaluator", "monitor", "alert"])
def test_demo_fails_without_a_part(part: str) -> None:
    done = run_demo("--without", part)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MISS" in done.stdout
