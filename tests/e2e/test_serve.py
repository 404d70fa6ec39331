"""`kibitz serve` starts, stops, and says in one line why it cannot."""

import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import Served, clean_environment


def run_serve(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kibitz", "serve", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
        cwd=cwd,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def test_collector_is_ready_and_stops_cleanly(collector: Served) -> None:
    with collector.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}
        assert "kibitz_" in client.get("/metrics").text
    collector.process.send_signal(signal.SIGTERM)
    assert collector.process.wait(15) == 0


def test_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_serve("--port", port, cwd=tmp_path)
    assert_one_line(done, 2, port, "--port")


def test_unwritable_database_is_one_clear_line(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/no/such/folder/k.db"
    done = run_serve("--port", "0", "--database-url", missing, cwd=tmp_path)
    assert_one_line(done, 2, "no/such/folder")


def test_newer_schema_is_one_clear_line(tmp_path: Path, serve: Callable[..., Served]) -> None:
    served = serve()
    served.process.terminate()
    served.process.wait(15)
    with sqlite3.connect(served.database) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    url = f"sqlite:///{served.database}"
    assert_one_line(run_serve("--port", "0", "--database-url", url, cwd=tmp_path), 3, "newer")


def test_wrong_setting_names_the_flag(tmp_path: Path) -> None:
    assert_one_line(run_serve("--port", "70000", cwd=tmp_path), 2, "--port", "70000")


def test_open_door_without_keys_is_refused(tmp_path: Path) -> None:
    done = run_serve("--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert_one_line(done, 2, "kibitz keys create")


def test_foreign_pages_and_proxies_are_refused_without_keys(collector: Served) -> None:
    refused: list[dict[str, str]] = [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Forwarded-For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
    ]
    with collector.client() as client:
        for headers in refused:
            for path in ("/api/logs", "/logs", "/v1/traces"):
                method = "POST" if path == "/v1/traces" else "GET"
                response = client.request(method, path, headers=headers)
                assert response.status_code == 403, (path, headers)
        assert client.get("/api/logs", headers={"Origin": collector.url}).status_code == 200


def make_key(served: Served, role: str) -> str:
    command = [sys.executable, "-m", "kibitz", "keys"]
    command += ["--database-url", f"sqlite:///{served.database}", "create", "test", "--role", role]
    done = subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(), check=True, timeout=60
    )
    return done.stdout.strip()


def test_keys_open_what_their_role_allows(collector: Served) -> None:
    full, ingest = make_key(collector, "full"), make_key(collector, "ingest")
    body: dict[str, Any] = {"resourceSpans": []}

    def status(method: str, path: str, headers: dict[str, str]) -> int:
        with collector.client() as client:
            sent = body if method == "POST" else None
            return client.request(method, path, headers=headers, json=sent).status_code

    wait_for_keys(collector)
    assert status("GET", "/api/logs", {}) == 401
    assert status("GET", "/api/logs", {"X-API-KEY": "kbz_sk_wrong"}) == 401
    assert status("GET", "/api/logs", {"X-API-KEY": full}) == 200
    assert status("GET", "/api/logs", {"Authorization": f"Bearer {full}"}) == 200
    assert status("GET", "/api/logs", {"X-API-KEY": ingest}) == 403
    assert status("POST", "/v1/traces", {"X-API-KEY": ingest}) == 200
    assert status("POST", "/v1/traces", {}) == 401
    assert full.encode() not in collector.database.read_bytes()


def wait_for_keys(served: Served) -> None:
    """The collector looks for keys once a second."""
    with served.client() as client:
        for _ in range(1000):
            if client.get("/api/logs").status_code == 401:
                return
    raise AssertionError("the collector never saw the key")


def test_pages_ask_for_a_key_once(collector: Served) -> None:
    key = make_key(collector, "full")
    wait_for_keys(collector)
    html = {"Accept": "text/html"}
    with httpx.Client(base_url=collector.url, headers=html, timeout=20) as browser:
        asked = browser.get("/logs?q=a")
        assert asked.status_code == 303
        assert asked.headers["location"] == "/login?next=/logs%3Fq%3Da"
        wrong = browser.post("/login", data={"key": "nonsense", "next": "/logs"})
        assert wrong.status_code == 401
        right = browser.post("/login", data={"key": key, "next": "//evil.example"})
        assert right.status_code == 303
        assert right.headers["location"] == "/"
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert key not in cookie
        assert browser.get("/logs").status_code == 200
        stolen = browser.post("/logs/x/judge", headers={"Origin": "https://evil.example"})
        assert stolen.status_code == 403
