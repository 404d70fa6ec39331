"""Faults that are really done to a program that uses the SDK; `spec` rows become tests here.

Two sizes: short by default (CI), and the promised figures with `KIBITZ_SOAK=1`:

    KIBITZ_SOAK=1 python -m pytest tests/faults -s

Tests marked `slow` start whole servers (gunicorn, Celery, uWSGI). The figures of a run are printed
(`-s` shows them). Some faults need root, because they mount a small volume or change the user:
without it they are skipped with the reason.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import Hosts

IS_SOAK = os.environ.get("KIBITZ_SOAK") == "1"


@pytest.fixture
def is_soak() -> bool:
    return IS_SOAK


@pytest.fixture
def collector() -> Iterator[FlakyCollector]:
    found = FlakyCollector()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def hosts(collector: FlakyCollector, tmp_path: Path) -> Iterator[Hosts]:
    """Programs that use the SDK; all are ended with the test."""
    found = Hosts(collector.url, tmp_path / "spool", tmp_path)
    yield found
    found.kill_all()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB that can be filled."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small volume needs root")
    place = tmp_path / "volume"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", place],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small volume: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=False)
