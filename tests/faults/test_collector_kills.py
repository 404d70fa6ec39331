"""The collector is killed, stopped and starved under load; what it acknowledged is there, once.

Ten kills in CI, a hundred with KIBITZ_SOAK=1.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import BACKENDS
from tests.faults.collectors import (
    Load,
    Team,
    attach,
    check_judged_once,
    check_stored,
    query,
    wait_judged,
)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    found = Team(tmp_path)
    yield found
    found.close()


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(
    team: Team, database_url: str, is_soak: bool
) -> None:
    kills = 100 if is_soak else 10
    served = team.serve(database_url, "--no-alert", "--job-lease-s", "2")
    attach(served.url)
    choose = random.Random(kills)
    with Load([served.url]) as load:
        for _ in range(kills):
            load.wait_for(20)
            time.sleep(choose.uniform(0, 0.4))
            served.kill()
            served.start()
        load.wait_for(200)
    assert set(load.sent.statuses) <= {200, 503}, load.sent.statuses
    wait_judged(database_url)
    check_judged_once(database_url)
    code, _ = served.terminate()
    assert code == 0
    check_stored(database_url, load.sent.acknowledged)
    print(f"{kills} kills, {len(load.sent.acknowledged)} Logs acknowledged, 0 lost, 0 doubled")


@pytest.mark.slow
def test_jobs_of_a_killed_collector_resume_within_lease_and_five_seconds(
    team: Team, database_url: str
) -> None:
    served = team.serve(database_url, "--no-alert", "--job-lease-s", "2")
    attach(served.url)
    with Load([served.url], threads=2, batch=5) as load:
        load.wait_for(500)
        served.kill()
    # What a worker had in hand, whether or not the kill met one that had.
    now_ns = time.time_ns()
    sql = "UPDATE job SET state = 'running', claim = 'claim_dead', attempts = 1, lease_until_ns = "
    execute(database_url, f"{sql}{now_ns + 2 * 10**9} WHERE state = 'waiting'")
    assert query(database_url, "SELECT count(*) FROM job WHERE state = 'running'")[0][0] > 0
    served.start()
    assert wait_judged(database_url) <= 7.0
    check_judged_once(database_url)


@pytest.mark.slow
def test_sigterm_under_load_finishes_requests_and_gives_jobs_back(
    team: Team, database_url: str
) -> None:
    served = team.serve(database_url, "--no-alert")
    attach(served.url)
    with Load([served.url]) as load:
        load.wait_for(400)
        code, took_s = served.terminate()
    assert code == 0, served.errors.read_text()
    assert took_s <= 10.0
    assert query(database_url, "SELECT count(*) FROM job WHERE state = 'running'") == [(0,)]
    check_stored(database_url, load.sent.acknowledged)
    assert set(load.sent.statuses) <= {200, 503}, load.sent
    assert "Traceback" not in served.errors.read_text()


def execute(database_url: str, sql: str) -> None:
    if database_url.startswith("sqlite"):
        import sqlite3

        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=30)
        connection.execute(sql)
        connection.commit()
        connection.close()
        return
    import psycopg

    with psycopg.connect(database_url, autocommit=True) as server:
        server.execute(sql)
