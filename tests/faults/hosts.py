"""Programs of users: real processes that record with the SDK and are then maltreated."""

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

# `work(n)` is a recorded call; `done(n)` tells the test that it has returned. A plain write: what
# Python buffers would be lost with the process.
PRELUDE = """
import os, signal, sys, threading, time
import kibitz

@kibitz.flow(path="faults/work")
def work(number):
    return number * 2

def done(number):
    os.write(1, b"%d\\n" % number)

def say(*what):
    print(*what, flush=True)

def wait():
    sys.stdin.readline()

def many(*ranges):
    for numbers in ranges:
        for number in numbers:
            assert work(number) == number * 2
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    errors: str
    exit_s: float  # from its last line to its end; 0 if it did not tell

    @property
    def numbers(self) -> set[int]:
        return {int(line) for line in self.out.split() if line.isdigit()}


class Host(subprocess.Popen[str]):
    """A running program that is talked to line by line."""

    def line(self) -> str:
        """The next line it says."""
        assert self.stdout is not None
        return self.stdout.readline().strip()

    def go_on(self) -> None:
        """Let it past its `wait()`."""
        assert self.stdin is not None
        self.stdin.write("\n")
        self.stdin.flush()

    def end(self) -> str:
        """Wait for its end, which must be a good one; what it said meanwhile."""
        assert self.stdout is not None
        assert self.stderr is not None
        rest = self.stdout.read()  # not `communicate`: it forgets what is buffered
        how = self.wait(100), self.stderr.read()
        assert how == (0, ""), how
        return rest


class Hosts:
    """Starts programs that send to one collector and share one spool."""

    def __init__(self, url: str, spool: Path, folder: Path) -> None:
        self.url = url
        self.spool = spool
        self.folder = folder
        self.started: list[Host] = []

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("KIBITZ_", "OTEL_"))}
        ours = {
            "KIBITZ_COLLECTOR": self.url,
            "KIBITZ_SPOOL_DIR": str(self.spool),
            "KIBITZ_SERVICE": "host",
            "KIBITZ_STRICT": "0",
        }
        return kept | ours | more

    def start(self, program: str, *arguments: object, **environment: str) -> Host:
        program = PRELUDE + textwrap.dedent(program)
        command = [sys.executable, "-c", program, *map(str, arguments)]
        return self.start_command(command, **environment)

    def start_command(
        self, command: list[str], *, does_lead: bool = False, **environment: str
    ) -> Host:
        process = Host(
            command,
            env=self.environment(**environment),
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=does_lead,
        )
        self.started.append(process)
        return process

    def run(self, program: str, *arguments: object, **environment: str) -> Ended:
        """Run a program to its end, which it marks by `print("end", time.time())`."""
        process = self.start(program, *arguments, **environment)
        out, errors = process.communicate(timeout=100)
        ended_at = time.time()
        marks = [line.split()[1] for line in out.splitlines() if line.startswith("end ")]
        exit_s = ended_at - float(marks[-1]) if marks else 0.0
        return Ended(process.returncode, out, errors, exit_s)

    def run_well(self, program: str, *arguments: object, **environment: str) -> Ended:
        """Run a program that must end with 0 and nothing on its standard error."""
        ended = self.run(program, *arguments, **environment)
        assert (ended.code, ended.errors) == (0, "")
        return ended

    def kibitz(self, *arguments: str, timeout_s: float = 100) -> str:
        """Run a command of `kibitz` and return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "kibitz", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def drain(self, timeout_s: float = 60) -> str:
        """Send what ended programs have left."""
        drain = ("spool", "drain", "--timeout-s", str(timeout_s))
        return self.kibitz(*drain, timeout_s=timeout_s + 40)

    def kill_all(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
