"""A collector that is away, hangs, fails or swallows its answers costs nothing but time."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import IS_SOAK
from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import Hosts
from tests.kibitz.local_collector import Answer, Request, always

COMMITS_THEN_DROPS = Answer(does_store=True, does_reset=True)

FAULTS: dict[str, Callable[[FlakyCollector], None]] = {
    "refuses": lambda collector: collector.go_away(),
    "hangs": lambda collector: setattr(collector, "behave", collector.hang),
    "500": lambda collector: setattr(collector, "behave", always(500)),
    "503 with Retry-After": lambda collector: setattr(
        collector, "behave", always(503, Retry_After="1")
    ),
    "429": lambda collector: setattr(collector, "behave", always(429)),
    "resets": lambda collector: setattr(
        collector, "behave", lambda _: Answer(does_store=False, does_reset=True)
    ),
    "commits, then drops the answer": lambda collector: setattr(
        collector, "behave", lambda _: COMMITS_THEN_DROPS
    ),
    "401": lambda collector: setattr(collector, "behave", always(401)),
    "404": lambda collector: setattr(collector, "behave", always(404)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_loses_nothing_and_flush_tells_what_waits(
    collector: FlakyCollector, hosts: Hosts, fault: str
) -> None:
    program = """
        import logging
        logging.getLogger("kibitz").addHandler(logging.NullHandler())
        kibitz.init(request_timeout_s=0.5)
        many(range(300))
        say(kibitz.flush(0.7))
        wait()
        many(range(300, 400))
        say(kibitz.flush(60))
    """
    FAULTS[fault](collector)
    host = hosts.start(program)
    assert host.line() == "FlushResult(sent=0, spooled=300, dropped=0, rejected=0)"
    said = hosts.kibitz("doctor")
    assert "300 records produced, 0 sent, 300 wait" in said
    collector.come_back()
    collector.released.set()
    collector.behave = lambda _: Answer()
    host.go_on()
    assert host.line() == "FlushResult(sent=400, spooled=0, dropped=0, rejected=0)"
    host.end()
    collector.is_each_once(set(range(400)))


def test_answers_that_are_lost_in_one_of_ten_requests_double_nothing(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    chance = random.Random(3)

    def lossy(_: Request) -> Answer:
        return COMMITS_THEN_DROPS if chance.random() < 0.1 else Answer()

    collector.behave = lossy
    program = """
        kibitz.init()
        for start in range(0, 4000, 100):
            many(range(start, start + 100))
            time.sleep(0.02)
        say(kibitz.flush(60))
    """
    host = hosts.start(program)
    assert host.line() == "FlushResult(sent=4000, spooled=0, dropped=0, rejected=0)"
    host.end()
    collector.is_each_once(set(range(4000)))
    assert collector.numbers == set(range(4000))


@pytest.mark.timeout(300)
def test_a_long_outage_at_a_hundred_calls_a_second_with_a_restart_in_it(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    outage_s = 60.0 if IS_SOAK else 2.0
    program = """
        kibitz.init()
        first, until = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
        for number in range(first, first + 10**6):
            if time.monotonic() >= until:
                break
            work(number)
            done(number)
            time.sleep(0.01)
    """
    before = hosts.start(program, 0, 1.0 + outage_s / 2)
    finished = {int(before.line())}
    collector.go_away()
    finished |= {int(line) for line in before.end().split()}
    after = hosts.start(program, 10**6, outage_s / 2 + 1.0)
    finished.add(int(after.line()))
    threading.Event().wait(outage_s / 2)  # the fault itself: this long nobody answers
    collector.come_back()
    back_at = time.monotonic()
    finished |= {int(line) for line in after.end().split()}
    hosts.drain()
    collector.is_each_once(finished)
    took_s = time.monotonic() - back_at
    assert took_s < 60
    print(f"\noutage of {outage_s:g} s: {len(finished)} calls, 0 lost, drained in {took_s:.1f} s")


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that takes no connection and refuses none: its queue is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for client in waiting:
            client.close()


@pytest.mark.parametrize(
    "fault", ["refuses", "hangs", "503 with Retry-After", "resets", "black hole"]
)
def test_the_exit_waits_two_seconds_at_most_for_a_dead_collector(
    collector: FlakyCollector, hosts: Hosts, tmp_path: Path, black_hole: str, fault: str
) -> None:
    if fault == "black hole":
        hosts.url = black_hole
    else:
        FAULTS[fault](collector)
    program = 'kibitz.init()\nmany(range(100))\nprint("end", time.time())'
    runs = [hosts.run_well(program).exit_s for _ in range(5 if IS_SOAK else 1)]
    print(f"\nexit with a collector that {fault}: {sorted(f'{run:.2f} s' for run in runs)}")
    assert max(runs) <= (2.2 if IS_SOAK else 4.0)  # beside other tests all is slow


def test_one_poisoned_record_among_a_thousand_holds_up_none(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    def refuse_one(request: Request) -> Answer:
        is_bad = "faults/poison" in {span["name"] for span in request.spans}
        return Answer(400 if is_bad else 200, b"{}", does_store=not is_bad)

    program = """
        import logging
        logging.getLogger("kibitz").addHandler(logging.NullHandler())
        kibitz.init()
        @kibitz.tool(path="faults/poison")
        def poison(number):
            return number
        many(range(250))
        poison(5000)
        many(range(250, 499))
        say(kibitz.flush(60))
        wait()
    """
    collector.behave = refuse_one
    host = hosts.start(program)
    assert host.line() == "FlushResult(sent=499, spooled=0, dropped=0, rejected=1)"
    said = hosts.kibitz("doctor")
    assert "1 rejected by the collector" in said
    host.go_on()
    host.end()
    collector.is_each_once(set(range(499)))
    (parked,) = hosts.spool.glob("*/rejected/*.json")
    assert "faults/poison" in parked.read_text()
    assert "1 rejected by the collector" in hosts.kibitz("doctor")  # also after its end
