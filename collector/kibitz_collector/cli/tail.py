"""`kibitz tail`: print Logs as they arrive."""

import argparse
import sys
import time
from datetime import datetime
from typing import Any

from kibitz_collector.cli.client import add_collector, connect, read
from kibitz_collector.errors import SetupError

_POLL_S = 0.5
_COLOURS = {"error": "\x1b[31m", "lost": "\x1b[31m", "incomplete": "\x1b[33m"}


def main(argv: list[str]) -> int:
    """Follow until interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kibitz tail", description=__doc__)
    parser.add_argument("filter", nargs="?", default="", help="filter text, as on the Logs page")
    parser.add_argument("-n", type=int, default=10, help="how many past Logs to begin with")
    add_collector(parser)
    arguments = parser.parse_args(argv)
    try:
        _follow(arguments)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # `kibitz tail | head`: the reader has had enough.
        sys.stderr.close()
        return 0
    except SetupError as error:
        print(f"kibitz tail: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def _follow(arguments: argparse.Namespace) -> None:
    colour = sys.stdout.isatty()
    with connect(arguments) as client:
        page = read(client, "/api/logs", q=arguments.filter, limit=max(1, min(arguments.n, 500)))
        past: list[dict[str, Any]] = list(page["items"])  # type: ignore[call-overload]  # JSON
        seq = max((log["seq"] for log in past), default=0)
        for log in reversed(past[: arguments.n]):
            print(line(log, colour), flush=True)
        while True:
            page = read(client, f"/api/logs/after/{seq}", q=arguments.filter)
            news: list[dict[str, Any]] = list(page["items"])  # type: ignore[call-overload]  # JSON
            for log in news:
                seq = max(seq, log["seq"])
                print(line(log, colour), flush=True)
            if not news:
                time.sleep(_POLL_S)


def line(log: dict[str, Any], colour: bool) -> str:
    """Write one Log in one line: time, kind, name, took, cost, what it said."""
    when = datetime.fromtimestamp(log["start_ns"] / 1e9).strftime("%H:%M:%S")
    took = f"{log['duration_ms']:.0f} ms" if log["duration_ms"] is not None else "open"
    cost = f"${log['cost_usd']:.6f}" if log["cost_usd"] is not None else ""
    said = _printable(log["error_type"] or log["preview_output"] or log["preview_input"])
    name = _printable(log["file_path"] or log["name"])
    text = f"{when} {log['kind']:9} {name:32} {took:>9} {cost:>10}  {said[:100]}"
    start = _COLOURS.get(log["status"], "") if colour else ""
    return f"{start}{text}\x1b[0m" if start else text


def _printable(text: str) -> str:
    # Model output may hold terminal escapes.
    return "".join(character if character.isprintable() else " " for character in text)
