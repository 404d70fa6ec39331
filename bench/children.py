"""Measuring processes: each library in a fresh one, its figures as one line of JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_MARK = "RESULT "


def report(figures: Mapping[str, Any]) -> None:
    """Hand the figures to the parent and end at once: no exit hook is part of the measurement."""
    print(_MARK + json.dumps(figures), flush=True)
    os._exit(0)


def measure(
    python: Path | str, module: str, flags: Sequence[str], *, timeout_s: float = 600
) -> dict[str, Any] | None:
    """Run a measuring module with one interpreter; None (and why, on stderr) if it failed."""
    done = subprocess.run(
        [str(python), "-m", module, *flags],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not lines:
        print(f"{module} {' '.join(flags)} failed:\n{done.stderr[-1500:]}", file=sys.stderr)
        return None
    figures: dict[str, Any] = json.loads(lines[-1][len(_MARK) :])
    return figures


def environment(**given: str) -> dict[str, str]:
    """Keep the environment without settings of kibitz or OpenTelemetry."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KIBITZ_", "OTEL_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
    return kept | given
