"""Runs programs that use the Python SDKs, each in a process of its own."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.rigs import Rig
from tests.e2e.conftest import clean_environment

LIMIT_S = 180
_READY = Path(__file__).parent / "programs" / "ready.py"


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str


class Runner:
    """Keeps one process per environment from which programs are forked."""

    def __init__(self) -> None:
        self._ready: dict[str, subprocess.Popen[str]] = {}

    def run(self, rig: Rig, program: Path, *arguments: str) -> Done:
        """Run a program to its end, which is forced upon it after `LIMIT_S`."""
        process = self._ready.get(rig.name) or self._start(rig)
        assert process.stdin is not None
        assert process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, errors = Path(folder) / "out", Path(folder) / "err"
            wanted = [[str(program), *arguments], str(out), str(errors), LIMIT_S]
            print(json.dumps(wanted), file=process.stdin, flush=True)
            return Done(int(process.stdout.readline()), out.read_text(), errors.read_text())

    def _start(self, rig: Rig) -> "subprocess.Popen[str]":
        self._ready[rig.name] = process = subprocess.Popen(
            [rig.python, _READY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        return process

    def close(self) -> None:
        """End all that wait."""
        for process in self._ready.values():
            process.communicate()


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """Programs of all modules are forked from the same processes."""
    found = Runner()
    yield found
    found.close()
