"""A team's size: several collectors and workers on one PostgreSQL, killed at random under load."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.conftest import need
from tests.e2e.otlp import flow_span, send_spans
from tests.faults.collectors import (
    Load,
    Process,
    Team,
    attach,
    check_judged_once,
    check_stored,
    query,
    wait_judged,
    wait_until_ready,
)
from tests.postgres_server import Cluster, find_binaries, running_cluster

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]
FLAGS = ("--job-lease-s", "2")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    binaries = find_binaries()
    need(binaries, "PostgreSQL")
    assert binaries is not None
    with running_cluster(binaries, is_synced=True) as found:
        with psycopg.connect(found.url.format("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE team")
        yield found


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    found = Team(tmp_path)
    yield found
    found.close()


def url_of(cluster: Cluster) -> str:
    return cluster.url.format("team")


def followed(url: str, seen: list[int]) -> None:
    """Follow by `seq` as `kibitz tail` does, to the end."""
    with httpx.Client(base_url=url, timeout=30) as client:
        while True:
            path = f"/api/logs/after/{max(seen, default=0)}"
            answer = client.get(path, params={"limit": 500})
            rows = answer.json()["items"]
            seen += [row["seq"] for row in rows]
            if not rows:
                return


def test_any_process_may_be_killed_at_any_time(cluster: Cluster, team: Team) -> None:
    url = url_of(cluster)
    serves = [team.serve(url, "--no-evaluate", "--no-alert") for _ in range(2)]
    workers = [team.worker(url, *FLAGS) for _ in range(2)]
    attach(serves[0].url)
    choose = random.Random(7)
    victims: list[Process] = [*serves, *workers]
    choose.shuffle(victims)
    with Load([served.url for served in serves]) as load:
        for victim in victims:
            load.wait_for(60)
            time.sleep(choose.uniform(0, 0.3))
            victim.kill()
            load.wait_for(20)  # the others go on
            victim.start()
        load.wait_for(200)
    assert set(load.sent.statuses) <= {200, 503}, load.sent
    assert wait_judged(url) <= 30
    check_judged_once(url)
    check_stored(url, load.sent.acknowledged)


def test_a_restart_of_postgresql_costs_503s_only(cluster: Cluster, team: Team) -> None:
    url = url_of(cluster)
    serves = [team.serve(url, *FLAGS) for _ in range(2)]
    worker = team.worker(url, *FLAGS)
    attach(serves[0].url)
    with Load([served.url for served in serves]) as load:
        for _ in range(2):
            load.wait_for(100)
            cluster.stop("immediate")
            assert httpx.get(f"{serves[0].url}/api/logs", timeout=30).status_code == 503
            time.sleep(1)
            cluster.start()
            back_s = max(wait_until_ready(served.url) for served in serves)
            assert back_s <= 5.0
            load.wait_for(40, timeout_s=5)
    assert set(load.sent.statuses) <= {200, 503}, load.sent
    assert load.sent.broken == 0, load.sent
    assert load.sent.retry_after
    assert all(process.is_running for process in [*serves, worker])
    wait_judged(url)
    check_judged_once(url)
    check_stored(url, load.sent.acknowledged)


def test_who_follows_by_seq_misses_nothing(cluster: Cluster, team: Team) -> None:
    url = url_of(cluster)
    serves = [team.serve(url, "--no-evaluate", "--no-alert") for _ in range(2)]
    seen: list[int] = []
    with Load([served.url for served in serves], threads=6, batch=10) as load:
        while len(load.sent.acknowledged) < 1500:
            followed(serves[0].url, seen)
    followed(serves[0].url, seen)
    stored = query(url, "SELECT seq FROM log ORDER BY seq")
    assert sorted(seen) == [seq for (seq,) in stored]
    assert seen == sorted(seen)


def test_a_dead_leader_is_replaced(cluster: Cluster, team: Team) -> None:
    url = url_of(cluster)
    # First come, first to lead: the text index is its business until it dies.
    leader, other = (team.serve(url, "--no-evaluate", "--no-alert") for _ in range(2))
    with Load([leader.url, other.url]) as load:
        load.wait_for(100)
        leader.kill()
        load.wait_for(100)
    wait_indexed(url, 5)
    with httpx.Client(base_url=other.url, timeout=30) as client:
        assert send_spans(client, [flow_span("team/answer", "zanzibar")]) == {}
        wait_indexed(url, 2)
        assert len(client.get("/api/logs", params={"q": "zanzibar"}).json()["items"]) == 1


def wait_indexed(url: str, timeout_s: float) -> None:
    began = time.monotonic()
    # A leader that dies before its first half second is over has noted no progress.
    lag = "SELECT max(seq) - coalesce((SELECT seq FROM search_progress), 0) FROM log"
    while query(url, lag)[0][0] > 0:
        assert time.monotonic() - began < timeout_s
        time.sleep(0.05)
