"""Programs that are killed at random moments lose no finished call and send none twice."""

import contextlib
import random
import signal
import time

import pytest

from kibitz._ledger import read_ledgers
from tests.faults.conftest import IS_SOAK
from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import Hosts

KILLS = 100 if IS_SOAK else 4

WORKS_FOR_EVER = """
kibitz.init(exit_timeout_s=1)
first = int(sys.argv[1])
for number in range(first, first + 10**6):
    work(number)
    done(number)
"""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mode", ["up", "down", "flapping"])
def test_sigkill_at_random_moments_loses_and_doubles_nothing(
    collector: FlakyCollector, hosts: Hosts, mode: str
) -> None:
    chance = random.Random(mode)
    if mode == "down":
        collector.go_away()
    finished: set[int] = set()
    with collector.flapping(7) if mode == "flapping" else contextlib.nullcontext():
        for turn in range(KILLS):
            finished |= killed(hosts, turn * 10**6, signal.SIGKILL, chance.expovariate(5))
    collector.come_back()
    hosts.drain(900 if IS_SOAK else 60)  # it is this collector here that takes so long
    collector.is_each_once(finished)
    assert len(collector.numbers - finished) <= KILLS  # finished, but killed before it told
    assert confessed(hosts) == 0
    print(f"\n{KILLS} SIGKILLs, collector {mode}: {len(finished)} finished, 0 lost, 0 doubled")


def test_programs_killed_at_the_cap_have_counted_each_loss(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    chance, kills, cap = random.Random("cap"), 4 * KILLS, 4 * 2**20
    collector.go_away()
    finished: set[int] = set()
    for turn in range(kills):
        finished |= killed(
            hosts,
            turn * 10**6,
            signal.SIGKILL,
            chance.expovariate(5),
            KIBITZ_SPOOL_MAX_BYTES=str(cap),
        )
    collector.come_back()
    hosts.drain()
    lost, dropped = finished - collector.numbers, confessed(hosts)
    assert len(lost) > 0
    assert dropped - kills <= len(lost) <= dropped  # dropped, but killed before it told
    collector.is_each_once(finished - lost)
    print(f"\n{kills} SIGKILLs at the cap: {len(finished)} finished, {len(lost)} lost and counted")


def confessed(hosts: Hosts) -> int:
    """How many records the ledgers of all processes say were dropped."""
    folders = hosts.spool.glob("*/")
    return sum(ledger.counts.dropped for folder in folders for ledger in read_ledgers(folder))


def killed(hosts: Hosts, first: int, number: int, after_s: float, **environment: str) -> set[int]:
    """Kill a program some time after its first call; what it had finished."""
    process = hosts.start(WORKS_FOR_EVER, first, **environment)
    assert process.stdout is not None
    told = process.stdout.readline()
    time.sleep(after_s)  # the fault itself: a moment that nothing else decides
    process.send_signal(number)
    out = told + process.stdout.read()  # not `communicate`: it forgets what is buffered
    process.wait(60)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    return {int(line) for line in out.splitlines()}


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os._exit(3)",
        "os.abort()",
        "import ctypes; ctypes.string_at(0)",  # a segmentation fault
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
    ],
    ids=["SIGTERM", "os._exit", "abort", "segmentation fault", "CPU limit"],
)
def test_however_a_program_ends_its_calls_arrive(
    collector: FlakyCollector, hosts: Hosts, end: str
) -> None:
    collector.go_away()
    ended = hosts.run(f"kibitz.init()\nmany(range(3000))\n{end}")
    assert ended.code != 0
    collector.come_back()
    hosts.drain()
    collector.is_each_once(set(range(3000)))
    assert collector.numbers == set(range(3000))


def test_a_call_that_was_running_is_known_by_its_start(
    collector: FlakyCollector, hosts: Hosts
) -> None:
    program = """
        kibitz.init()
        @kibitz.flow(path="faults/stuck")
        def stuck(number):
            work(number)
            os.kill(os.getpid(), signal.SIGKILL)
        stuck(1)
    """
    hosts.run(program)
    hosts.drain()
    names = {span["name"]: span["endTimeUnixNano"] for span in collector.spans}
    assert names["faults/stuck"] == "0"
    assert names["faults/work"] != "0"
