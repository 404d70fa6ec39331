"""Spool files that rotted: only what is damaged is lost, and nothing of it stops a program."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import Hosts

COUNT = 500


def flip_bits(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(20):
        data[chance.randrange(1000, 400_000)] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def flip_headers(path: Path, _: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 255
    path.write_bytes(data)


def truncate(path: Path, _: random.Random) -> None:
    path.write_bytes(path.read_bytes()[:200_000])


def fill_with_zeros(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = chance.randrange(50_000, 150_000)
    data[start : start + 20_000] = bytes(20_000)
    path.write_bytes(data)


def duplicate(path: Path, _: random.Random) -> None:
    shutil.copy(path, path.with_name(path.name.replace("-0", "-9")))


def spoil_the_note(path: Path, _: random.Random) -> None:
    """What says how far all is delivered: now it says nonsense."""
    data = bytearray(path.read_bytes())
    data[24:36] = b"\xff" * 12
    path.write_bytes(data)


def spoil_everything(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(100_000))


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def spoil_the_ledger(path: Path, chance: random.Random) -> None:
    for ledger in path.parent.glob("*.ledger"):
        ledger.write_bytes(chance.randbytes(1024))


# The damage, and how many of 500 must arrive all the same.
DAMAGES: dict[str, tuple[Callable[[Path, random.Random], None], int]] = {
    "flipped bits": (flip_bits, COUNT - 20),
    "a broken header": (flip_headers, COUNT),
    "cut off": (truncate, 80),
    "a stretch of zeros": (fill_with_zeros, COUNT - 60),
    "a file twice": (duplicate, COUNT),
    "a broken note": (spoil_the_note, COUNT),
    "noise": (spoil_everything, 0),
    "an empty file": (empty, 0),
    "a broken ledger": (spoil_the_ledger, COUNT),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_loses_only_what_it_hits(
    collector: FlakyCollector, hosts: Hosts, damage: str
) -> None:
    spoil, least = DAMAGES[damage]
    collector.go_away()
    program = """
        import kibitz._ledger, kibitz._setup
        kibitz.init()
        @kibitz.flow(path="faults/work")
        def work(number):
            return "r" * 500
        for number in range(500):
            work(number)
        folder = kibitz._setup._outlet.target.directory
        while [each.counts.produced for each in kibitz._ledger.read_ledgers(folder)] != [500]:
            time.sleep(0.05)
        os._exit(0)
    """
    hosts.run_well(program)
    (path,) = hosts.spool.glob("*/*.seg")
    spoil(path, random.Random(damage))
    collector.come_back()
    program = """
        started = time.perf_counter()
        kibitz.init()
        work(7000)
        say(time.perf_counter() - started)
        say(kibitz.flush(60).sent)
    """
    host = hosts.start(program)
    assert float(host.line()) < 1.0
    assert host.line() == "1"
    host.end()
    hosts.drain()
    collector.is_each_once({7000})
    arrived = collector.numbers - {7000}
    assert least <= len(arrived) <= COUNT
    assert arrived <= set(range(COUNT))
    assert not list(hosts.spool.glob("*/*.seg"))
    if len(arrived) < COUNT:
        assert "quarantine" in hosts.kibitz("doctor")
        assert f"{COUNT - len(arrived)} lost with the process" in hosts.kibitz("doctor")
