"""What instrumenting `openai` adds to a call: create, async create, a stream of 100 chunks.

Each library runs in fresh processes, round-robin, in the environment it was installed in; plain and
instrumented blocks alternate inside a process, so `added` is free of the machine's drift.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import machine, sink
from bench.children import measure
from bench.peers import PEERS, python_of
from bench.table import Cell, median, ratio, render

CASES = ("create", "async create", "stream, first chunk", "stream, total")
Found = dict[str, list[dict[str, Any]]]


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.openai_calls", description=__doc__)
    parser.add_argument("--libraries", nargs="*", default=["none", "kibitz"])
    parser.add_argument("--venvs", type=Path, help="environments made by bench.peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--calls", type=int, default=100, help="per block; a fifth for streams")
    given = parser.parse_args()
    found: Found = {name: [] for name in given.libraries}
    with sink.running() as url:
        for _ in range(given.rounds):
            for name in given.libraries:
                python = _python(name, given.venvs)
                flags = ["--library", name, "--sink", url]
                flags += ["--blocks", str(given.blocks), "--calls", str(given.calls)]
                figures = measure(python, "bench.openai_calls.one", flags) if python else None
                found[name] += [figures] if figures else []
    print(machine.describe(), "\n", sep="")
    print(_table(found))
    return 0 if found.get("kibitz") else 1


def _python(name: str, venvs: Path | None) -> Path | None:
    if name not in PEERS:
        return Path(sys.executable)
    python = python_of(venvs, name) if venvs else None
    if python is None:
        print(f"{name} is not installed: python -m bench.peers --venvs DIR {name}")
    return python


def _table(found: Found) -> str:
    best = {case: _best_peer(found, case) for case in CASES}
    head = ["library", "case", "plain µs", "added p50 µs", "x best peer", "added p99 µs"]
    head += ["added CPU µs"]
    rows: list[list[Cell]] = [
        [
            name,
            case,
            _of(figures, case, "plain_us"),
            _of(figures, case, "added_us"),
            ratio(_of(figures, case, "added_us"), best[case]),
            _of(figures, case, "added_p99_us"),
            _of(figures, case, "added_cpu_us"),
        ]
        for name, figures in found.items()
        for case in CASES
        if figures
    ]
    return render("`openai`: what instrumentation adds, content captured", head, rows)


def _of(figures: list[dict[str, Any]], case: str, figure: str) -> float | None:
    return median(each[case][figure] for each in figures)


def _best_peer(found: Found, case: str) -> float | None:
    values = [_of(figures, case, "added_us") for name, figures in found.items() if name in PEERS]
    return min((value for value in values if value is not None), default=None)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="kibitz-bench-") as folder:
        os.environ["KIBITZ_SPOOL_DIR"] = folder
        sys.exit(main())
