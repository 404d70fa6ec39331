"""Programs and the real collector, killed in turn: every finished call is stored, exactly once."""

import random
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.collectors import Team
from tests.faults.conftest import IS_SOAK
from tests.faults.hosts import Hosts

TURNS = 30 if IS_SOAK else 3


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    found = Team(tmp_path)
    yield found
    found.close()


@pytest.mark.timeout(900)
def test_killing_both_sides_loses_and_doubles_nothing(team: Team, tmp_path: Path) -> None:
    database = tmp_path / "kibitz.db"
    served = team.serve(f"sqlite:///{database}")
    hosts = Hosts(served.url, tmp_path / "spool", tmp_path)
    chance = random.Random(4)
    # Ids are told, not numbers: `log.id` is made of trace and span, so one row is one call.
    program = """
        kibitz.init(exit_timeout_s=1)
        @kibitz.flow(path="faults/told")
        def told():
            return kibitz.current().id
        while True:
            os.write(1, told().encode() + b"\\n")
    """
    finished: list[str] = []
    for _ in range(TURNS):
        host = hosts.start(program)
        finished.append(host.line())
        assert host.stdout is not None
        for _ in range(chance.randrange(2000)):
            finished.append(host.line())
        served.kill()
        for _ in range(chance.randrange(500)):
            finished.append(host.line())
        host.send_signal(signal.SIGKILL)
        finished += host.stdout.read().split()
        host.wait()
        served.start()
    hosts.drain()
    hosts.kill_all()
    with sqlite3.connect(database) as connection:
        stored = [row[0] for row in connection.execute("SELECT id FROM log")]
    connection.close()
    assert len(set(finished)) == len(finished) > 100
    assert not set(finished) - set(stored)
    assert len(stored) == len(set(stored))
    assert len(set(stored) - set(finished)) <= TURNS  # those killed before they could tell
    print(f"\n{TURNS} times both killed: {len(finished)} finished, 0 lost, 0 doubled")
