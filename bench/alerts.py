"""How soon a crossed threshold is told: `python -m bench.alerts`.

From the end of the call in the app that crosses a rule's threshold to the webhook's arrival; every
round has a rule of its own, with other traffic going on.
"""

import argparse
import base64
import json
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kibitz
from bench import machine
from bench.ingest.servers import post
from bench.processes import kibitz_serve
from bench.samples import ANSWER, TEXT
from bench.table import Cell, percentile, render

_TIMEOUT_S = 30.0
_SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.alerts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rate", type=float, default=100.0, help="other Logs per second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kibitz-bench-") as folder:
        found = measure(Path(folder), given.rounds, given.rate)
    if not found:
        return 1
    print(machine.describe(), "\n", sep="")
    head = ["what", "p50 ms", "p99 ms", "most ms", "told"]
    told = f"{len(found)} of {given.rounds}"
    row: list[Cell] = ["threshold crossed to webhook received"]
    row += [*(percentile(found, share) for share in (0.5, 0.99, 1.0)), told]
    print(render("Alerts", head, [row]))
    return 0 if len(found) == given.rounds else 1


def measure(folder: Path, rounds: int, rate: float) -> list[float]:
    """Cross one rule after the other; milliseconds until each was told."""
    os.environ["KIBITZ_SPOOL_DIR"] = str(folder / "spool")
    with (
        _receiver() as (hook, arrivals),
        kibitz_serve(folder, f"sqlite:///{folder / 'kibitz.db'}") as (url, _),
    ):
        config = {"url": hook, "secret": _SECRET}
        channel = post(
            f"{url}/api/channels", {"name": "bench", "kind": "webhook", "config": config}
        )
        for number in range(rounds):
            post(f"{url}/api/alert-rules", _rule(number, channel["id"]))
        kibitz.init(collector=url)
        with _traffic(rate):
            time.sleep(2.0)  # the rules have been looked at, the template process is there
            found = [_cross(number, arrivals) for number in range(rounds)]
        kibitz.shutdown()
    return [each for each in found if each is not None]


def _rule(number: int, channel_id: str) -> dict[str, Any]:
    return {
        "name": f"crossing-{number}",
        "metric": f'count(logs) where file:"bench/crossing-{number}" over 10m',
        "comparison": ">",
        "threshold": 0,
        "channels": [channel_id],
    }


def _cross(number: int, arrivals: "queue.Queue[tuple[str, float]]") -> float | None:
    """Make the call that crosses a rule's threshold; milliseconds until its webhook."""
    kibitz.tool(path=f"bench/crossing-{number}")(_answer)(TEXT)
    crossed = time.perf_counter()
    deadline = crossed + _TIMEOUT_S
    while (left_s := deadline - time.perf_counter()) > 0:
        try:
            text, at = arrivals.get(timeout=left_s)
        except queue.Empty:
            break
        if f"crossing-{number}" in text:
            return (at - crossed) * 1e3
    print(f"rule {number} was not told within {_TIMEOUT_S:.0f} s", file=sys.stderr)
    return None


def _answer(question: str) -> object:
    return ANSWER


@contextmanager
def _traffic(rate: float) -> Iterator[None]:
    """Call something else at a steady rate meanwhile."""
    is_over = threading.Event()
    call: Callable[[str], object] = kibitz.tool(path="bench/other")(_answer)

    def run() -> None:
        while rate and not is_over.wait(1 / rate):
            call(TEXT)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _receiver() -> Iterator[tuple[str, "queue.Queue[tuple[str, float]]"]]:
    """Run a webhook's receiver; yields its URL and what arrives, with the time it did."""
    arrivals: queue.Queue[tuple[str, float]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrivals.put((json.dumps(json.loads(body)), time.perf_counter()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", arrivals
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
