"""`init(collector="sqlite:///app.db")`: a collector comes up by itself, is shared, and goes."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from kibitz._sidecar import find_or_start
from kibitz.config import load
from kibitz.errors import ConfigError
from kibitz_collector.cli.unused import Unused
from tests.faults.collectors import clean_environment

APP = """
import sys, kibitz
from kibitz import _setup
kibitz.init(collector=sys.argv[1], service="app")

@kibitz.flow(path="sidecar/answer")
def answer(number):
    return number

answer(int(sys.argv[2]))
print(_setup._outlet.settings.collector, flush=True)
sys.stdin.readline()
print(kibitz.flush(20.0).sent, flush=True)
"""


def run_app(database: Path, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APP, f"sqlite:///{database}", str(number)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(KIBITZ_SPOOL_DIR=str(database.parent / "spool")),
        cwd=database.parent,
    )


@pytest.mark.slow
def test_all_processes_of_an_app_share_one_collector_that_ends_after_them(tmp_path: Path) -> None:
    database = tmp_path / "app.db"
    apps = [run_app(database, number) for number in range(3)]
    urls = {app.stdout.readline().strip() for app in apps if app.stdout is not None}
    assert len(urls) == 1
    (url,) = urls
    for app in apps:
        out, _ = app.communicate("\n", timeout=90)
        assert app.returncode == 0
        assert int(out) >= 1
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT count(*) FROM log WHERE kind = 'flow'").fetchone()
    connection.close()
    assert found == (3,)
    assert httpx.get(f"{url}/healthz", timeout=10).status_code == 200
    sidecar = find_sidecar(database)
    sidecar.send_signal(signal.SIGTERM)
    psutil.wait_procs([sidecar], timeout=30)


def find_sidecar(database: Path) -> psutil.Process:
    wanted = f"sqlite:///{database}"
    (found,) = (p for p in psutil.process_iter(["cmdline"]) if wanted in (p.info["cmdline"] or ()))
    return found


def test_a_collector_is_unused_when_no_process_holds_its_lock(tmp_path: Path) -> None:
    import fcntl

    users, now = tmp_path / "users", [0.0]
    unused = Unused(users, 60.0, lambda: now[0])
    assert not unused.look(0)  # nobody has come yet
    with users.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        now[0] = 100.0
        assert not unused.look(0)
    now[0] = 159.0
    assert not unused.look(0)
    assert not unused.look(1)  # somebody looks at the pages
    now[0] = 218.0
    assert not unused.look(1)
    now[0] = 219.0
    assert unused.look(1)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///FILE"):
        load(collector=url)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        find_or_start(f"sqlite:///{tmp_path}/none/app.db")
