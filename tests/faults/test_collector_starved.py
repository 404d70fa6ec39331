"""The collector's disk is locked, slow or full: it says so in time, stays small, and recovers."""

import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.otlp import flow_span, send_spans
from tests.faults.collectors import Load, Team, check_stored, query

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    found = Team(tmp_path)
    yield found
    found.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small volume needs root and its privileges")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_locked_database_is_503_and_memory_stays_bounded(team: Team, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kibitz.db'}"
    served = team.serve(url, "--no-evaluate", "--no-alert", "--max-pending-bytes", str(4 * 2**20))
    assert served.popen is not None
    process = psutil.Process(served.popen.pid)
    with Load([served.url], threads=8, size=4000) as load:
        load.wait_for(400)
        before = process.memory_info().rss
        lock = sqlite3.connect(tmp_path / "kibitz.db", isolation_level=None, timeout=30)
        lock.execute("BEGIN IMMEDIATE")
        deadline = time.monotonic() + 20
        peak = before
        while time.monotonic() < deadline and load.sent.statuses[503] < 20:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
        assert httpx.get(f"{served.url}/logs", timeout=10).status_code == 200  # pages still read
        lock.execute("ROLLBACK")
        lock.close()
        load.wait_for(400, timeout_s=10)
    assert load.sent.statuses[503] >= 1
    assert load.sent.retry_after
    assert peak - before <= 64 * 2**20
    assert served.terminate()[0] == 0
    check_stored(url, load.sent.acknowledged)


def test_sigterm_ends_in_time_though_the_database_is_locked(team: Team, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kibitz.db'}"
    served = team.serve(url, "--no-evaluate", "--no-alert")
    with Load([served.url], threads=2) as load:
        load.wait_for(40)
        lock = sqlite3.connect(tmp_path / "kibitz.db", isolation_level=None, timeout=30)
        lock.execute("BEGIN IMMEDIATE")
        time.sleep(0.5)
        code, took_s = served.terminate()
        lock.close()
    assert code == 0
    assert took_s <= 10, served.errors.read_text()
    check_stored(url, load.sent.acknowledged)


def test_a_full_disk_is_503_pages_still_read_and_it_recovers_alone(
    team: Team, small_disk: Path
) -> None:
    url = f"sqlite:///{small_disk / 'kibitz.db'}"
    served = team.serve(url, "--no-evaluate", "--no-alert")
    with Load([served.url], threads=2, size=200) as load:
        load.wait_for(100)
        ballast = small_disk / "ballast"
        fill(ballast)
        deadline = time.monotonic() + 30
        while not load.sent.statuses[503]:
            assert time.monotonic() < deadline, load.sent
            time.sleep(0.05)
        with httpx.Client(base_url=served.url, timeout=20) as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/logs").status_code == 200
            assert client.get("/api/logs").json()["items"]
        ballast.unlink()
        load.wait_for(100, timeout_s=20)
    assert set(load.sent.statuses) <= {200, 503, 507}, load.sent
    assert load.sent.retry_after
    assert served.is_running
    assert served.terminate()[0] == 0
    shutil.copy(small_disk / "kibitz.db", small_disk.parent / "copy.db")
    check_stored(url, load.sent.acknowledged)


def test_two_collectors_on_one_sqlite_file_lose_nothing(team: Team, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kibitz.db'}"
    both = [team.serve(url, "--no-alert") for _ in range(2)]
    spans = [flow_span("faults/answer", "zanzibar") for _ in range(50)]

    def send_to(base_url: str) -> None:
        with httpx.Client(base_url=base_url, timeout=30) as client:
            assert send_spans(client, spans) == {}

    with Load([served.url for served in both]) as load:
        threads = [threading.Thread(target=send_to, args=(served.url,)) for served in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        load.wait_for(200)
    assert set(load.sent.statuses) == {200}, load.sent
    for served in both:
        with httpx.Client(base_url=served.url, timeout=30) as client:
            deadline = time.monotonic() + 10
            while len(client.get("/api/logs?q=zanzibar&limit=200").json()["items"]) < 50:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert served.terminate()[0] == 0
    check_stored(url, load.sent.acknowledged)
    twice = "SELECT count(*) FROM log l JOIN log_body b ON b.seq = l.seq WHERE b.preview_output"
    assert query(url, f"{twice} = 'zanzibar'") == [(50,)]


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            return
