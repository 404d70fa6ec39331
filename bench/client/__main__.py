"""What a decorated call costs: p50, p99, processor time with export, bursts, memory, start.

Every library is measured in fresh processes, round-robin, and in each of them in blocks that
alternate with a bare OpenTelemetry SDK span; ratios are taken inside a process.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import machine, sink
from bench.children import measure
from bench.client.one import KINDS
from bench.peers import PEERS, python_of
from bench.table import Cell, median, ratio, render

OURS = ("kibitz", "otel-http")
Figures = list[dict[str, Any]]


def main() -> int:
    """Measure and print the tables."""
    given = _read_flags()
    with sink.running() as url:
        libraries = _available(given.libraries, given.venvs)
        started: dict[str, Figures] = {name: [] for name in libraries}
        loaded: dict[str, Figures] = {name: [] for name in libraries}
        busy: dict[int, Figures] = {threads: [] for threads in given.busy_threads}
        for _ in range(given.rounds):
            for name, python in libraries.items():
                _measure_start(name, python, url, given.starts, started[name])
                _measure_load(name, python, url, given, loaded[name])
            for threads, found in busy.items():
                _measure_busy(libraries["kibitz"], url, given, threads, found)
    _print(given, started, loaded, busy)
    return 0 if any(loaded.values()) or any(busy.values()) else 1


def _read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.client", description=__doc__)
    parser.add_argument("--libraries", nargs="*", default=["kibitz", "otel-http"])
    parser.add_argument("--venvs", type=Path, help="environments made by bench.peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--calls", type=int, default=500, help="per block")
    parser.add_argument("--busy-threads", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--burst", type=int, default=50_000)
    parser.add_argument("--memory", type=int, default=100_000, help="calls")
    parser.add_argument("--starts", type=int, default=5, help="processes per round")
    return parser.parse_args()


def _available(names: list[str], venvs: Path | None) -> dict[str, Path]:
    found = {"kibitz": Path(sys.executable)}
    for name in names:
        python = (
            (python_of(venvs, name) if venvs else None) if name in PEERS else Path(sys.executable)
        )
        if python is None:
            print(f"{name} is not installed: python -m bench.peers --venvs DIR {name}")
        else:
            found[name] = python
    return found


def _measure_start(name: str, python: Path, url: str, times: int, into: Figures) -> None:
    for _ in range(times):
        flags = ["--library", name, "--sink", url]
        into += [found for found in [measure(python, "bench.client.starting", flags)] if found]


def _measure_load(
    name: str, python: Path, url: str, given: argparse.Namespace, into: Figures
) -> None:
    if not (given.burst or given.memory):
        return
    flags = ["--library", name, "--sink", url, "--burst", str(given.burst)]
    flags += ["--memory", str(given.memory), "--blocks", str(given.blocks)]
    flags += ["--calls", str(given.calls), "--kinds", *KINDS]
    into += [found for found in [measure(python, "bench.client.one", flags)] if found]


def _measure_busy(
    python: Path, url: str, given: argparse.Namespace, threads: int, into: Figures
) -> None:
    flags = ["--library", "kibitz", "--sink", url, "--busy-threads", str(threads)]
    flags += ["--blocks", str(given.blocks), "--calls", str(given.calls)]
    into += [found for found in [measure(python, "bench.client.one", flags)] if found]


# --- tables


def _print(
    given: argparse.Namespace,
    started: dict[str, Figures],
    loaded: dict[str, Figures],
    busy: dict[int, Figures],
) -> None:
    print(machine.describe(), "\n", sep="")
    if any(busy.values()):
        print(_busy_table(busy))
    if any(loaded.values()):
        print(_call_table(loaded))
        print(_load_table(loaded))
    if any(started.values()):
        print(_start_table(started))


def _of(figures: Figures, *path: str) -> float | None:
    """Return the median over the processes of one figure."""
    found = []
    for each in figures:
        value: Any = each
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found.append(float(value))
    return median(found)


def _ratio(figures: Figures, kind: str, figure: str, name: str, to: str) -> str | None:
    """Return the median of the ratios, each taken inside one process."""
    found = [
        each[kind][name][figure] / each[kind][to][figure]
        for each in figures
        if kind in each and each[kind][to][figure]
    ]
    return ratio(median(found), 1.0)


def _busy_table(busy: dict[int, Figures]) -> str:
    head = ["busy threads", "call", "kibitz p50 µs", "x OTel", "p99 µs", "x OTel p99"]
    head += ["CPU µs with export", "x OTel + OTLP/HTTP"]
    rows: list[list[Cell]] = []
    for threads, figures in busy.items():
        rows += [
            [
                threads,
                kind,
                _of(figures, kind, "kibitz", "p50_us"),
                _ratio(figures, kind, "p50_us", "kibitz", "otel"),
                _of(figures, kind, "kibitz", "p99_us"),
                _ratio(figures, kind, "p99_us", "kibitz", "otel"),
                # With busy threads it is their processor time above all.
                None if threads else _of(figures, kind, "kibitz", "cpu_us"),
                None if threads else _ratio(figures, kind, "cpu_us", "kibitz", "otel-http"),
            ]
            for kind in KINDS
            if any(kind in each for each in figures)
        ]
    return render("Decorated call, with busy host threads", head, rows)


def _call_table(loaded: dict[str, Figures]) -> str:
    head = ["library", "call", "p50 µs", "x OTel", "p99 µs", "x OTel p99"]
    head += ["CPU µs with export", "x OTel + OTLP/HTTP"]
    rows: list[list[Cell]] = [
        [
            name,
            kind,
            _of(figures, kind, name, "p50_us"),
            _ratio(figures, kind, "p50_us", name, "otel"),
            _of(figures, kind, name, "p99_us"),
            _ratio(figures, kind, "p99_us", name, "otel"),
            _of(figures, kind, name, "cpu_us"),
            _ratio(figures, kind, "cpu_us", name, "otel-http"),
        ]
        for name, figures in loaded.items()
        for kind in KINDS
        if any(kind in each for each in figures)
    ]
    return render("Decorated call, by library", head, rows)


def _load_table(loaded: dict[str, Figures]) -> str:
    head = ["library", "sent", "arrived", "calls/s", "flush s", "CPU µs", "peak MB"]
    head += ["bytes/span", "MB grown per 100k"]
    rows: list[list[Cell]] = [
        [
            name,
            *(_of(figures, "burst", figure) for figure in ("sent", "arrived", "rate", "flush_s")),
            *(_of(figures, "burst", figure) for figure in ("cpu_us", "peak_mb", "bytes_per_span")),
            _of(figures, "memory", "mb_per_100k"),
        ]
        for name, figures in loaded.items()
    ]
    return render("Burst, and memory of a long run", head, rows)


def _start_table(started: dict[str, Figures]) -> str:
    head = ["library", "import + init s", "CPU s", "RSS MB"]
    rows: list[list[Cell]] = [
        [name, _of(figures, "wall_s"), _of(figures, "cpu_s"), _of(figures, "rss_mb")]
        for name, figures in started.items()
    ]
    return render("Start", head, rows)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="kibitz-bench-") as folder:
        import os

        os.environ["KIBITZ_SPOOL_DIR"] = folder
        sys.exit(main())
