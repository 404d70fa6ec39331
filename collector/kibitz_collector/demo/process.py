"""Child processes of the demo: the collector, and the sample app in one style."""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kibitz_collector.errors import SetupError

_START_TIMEOUT_S = 60.0
_APP_TIMEOUT_S = 300.0
_ADDRESS = re.compile(r"watching at (http://\S+)")


@dataclass(slots=True)
class Collector:
    """`kibitz serve` as a process of its own."""

    url: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def stop(self) -> None:
        """Ask it to end, as a service manager would."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()


def start_collector(database_url: str, port: int, flags: list[str]) -> Collector:
    """Start `kibitz serve` and wait until it has said where it listens.

    Raises: SetupError with the collector's own words.
    """
    # Kept open as long as the process lives; `stop` closes it.
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
    command = [sys.executable, "-m", "kibitz", "serve", "--port", str(port)]
    command += ["--database-url", database_url, *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment({})
    )
    assert process.stdout is not None
    # One line, printed once the port is taken and the database is open; then nothing more.
    line = process.stdout.readline()
    found = _ADDRESS.search(line)
    if found is None:
        process.wait(_START_TIMEOUT_S)
        errors.seek(0)
        said = errors.read().strip() or f"ended with {process.returncode}"
        errors.close()
        raise SetupError(f"the collector did not start: {said}")
    return Collector(found.group(1), process, errors)


@dataclass(frozen=True, slots=True)
class Model:
    """Which model the sample app talks to."""

    name: str
    base_url: str | None
    api_key: str


def run_app(
    collector_url: str, model: Model, style: str, rounds: int, *, with_trouble: bool = False
) -> dict[str, int]:
    """Run the sample app to its end and return what it says of itself.

    Shape: {"failed": int, "sent": int, "dropped": int}.
    Raises: SetupError: it did not end well.
    """
    command = [sys.executable, "-m", "kibitz_collector.demo.support_app"]
    command += ["--style", style, "--rounds", str(rounds), "--model", model.name]
    command += ["--trouble"] if with_trouble else []
    given = {"KIBITZ_COLLECTOR": collector_url, "OPENAI_API_KEY": model.api_key}
    if model.base_url:
        given["OPENAI_BASE_URL"] = model.base_url
    done = subprocess.run(
        command, capture_output=True, text=True, env=_environment(given), timeout=_APP_TIMEOUT_S
    )
    if done.returncode:
        raise SetupError(f"the sample app failed:\n{done.stderr.strip()[-2000:]}")
    result: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _environment(given: dict[str, str]) -> dict[str, str]:
    """Keep the user's environment, without settings of another kibitz."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KIBITZ_")}
    kept["KIBITZ_SPOOL_DIR"] = str(Path(tempfile.gettempdir()) / f"kibitz-demo-{os.getpid()}")
    return kept | given
