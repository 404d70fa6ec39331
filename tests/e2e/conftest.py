"""Real processes: `kibitz serve` on a free port and its own database."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest


@dataclass(slots=True)
class Served:
    """A running collector."""

    url: str
    process: subprocess.Popen[str]
    database: Path
    errors: Path

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20)


def clean_environment(**given: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KIBITZ_", "OTEL_"))}
    return kept | given


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start collectors; all are ended with the test."""
    with serving(tmp_path) as start:
        yield start


@contextmanager
def serving(folder: Path) -> Iterator[Callable[..., Served]]:
    """Start collectors with their data in a folder; all are ended with the block."""
    started: list[Served] = []

    def start(*flags: str, database: Path | None = None) -> Served:
        path = database or folder / "kibitz.db"
        errors = folder / f"stderr-{len(started)}.txt"
        command = [sys.executable, "-m", "kibitz", "serve", "--port", "0"]
        command += ["--database-url", f"sqlite:///{path}", *flags]
        with errors.open("w") as stream:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env=clean_environment(),
                cwd=folder,
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"watching at (http://\S+)", line)
        assert found, f"said {line!r}; {errors.read_text()}"
        served = Served(found.group(1), process, path, errors)
        started.append(served)
        return served

    try:
        yield start
    finally:
        for served in started:
            _end(served)


def _end(served: Served) -> None:
    if served.process.poll() is None:
        served.process.terminate()
    try:
        served.process.wait(20)
    except subprocess.TimeoutExpired:
        served.process.kill()
        served.process.wait()
    assert served.process.stdout is not None
    served.process.stdout.close()


@pytest.fixture
def collector(serve: Callable[..., Served]) -> Served:
    """One running collector with default settings."""
    return serve()
