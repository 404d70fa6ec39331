"""Servers that fork their workers: gunicorn, Celery, uWSGI, and gevent's patched world."""

import os
import shutil
import signal
import socket
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest

from tests.faults.flaky_collector import FlakyCollector
from tests.faults.hosts import PRELUDE, Host, Hosts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WEB_APP = (
    PRELUDE
    + """
kibitz.init()

def app(environ, start_response):
    number = int(environ["PATH_INFO"].strip("/"))
    body = b"%d %d" % (work(number), os.getpid())
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
)
REQUESTS = 60


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ask(port: int, host: Host) -> dict[int, int]:
    """Ask for each number once; which process answered."""
    answered: dict[int, int] = {}
    for number in range(REQUESTS):
        for _ in range(300):
            assert host.poll() is None, host.stderr and host.stderr.read()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{number}", timeout=10) as got:
                    doubled, pid = map(int, got.read().split())
                break
            except OSError:  # it is still starting, or changing its workers
                signal.sigtimedwait([], 0.05)
        assert doubled == number * 2
        answered[number] = pid
    return answered


def stop(host: Host) -> None:
    host.terminate()
    host.communicate(timeout=60)


def check(collector: FlakyCollector, answered: dict[int, int]) -> None:
    collector.is_each_once(set(answered))
    assert collector.pids() == answered


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn(collector: FlakyCollector, hosts: Hosts, worker: str, preload: list[str]) -> None:
    (hosts.folder / "web.py").write_text(WEB_APP)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "web:app", "--workers", "3", "--bind"]
    command += [f"127.0.0.1:{port}", "--worker-class", worker, "--max-requests", "15", *preload]
    # gunicorn with gevent waits this long for workers that have had their requests, by itself too.
    command += ["--graceful-timeout", "5"]
    host = hosts.start_command(command)
    answered = ask(port, host)
    stop(host)
    hosts.drain()
    check(collector, answered)
    # One gevent worker may take every connection; the others share them.
    assert worker == "gevent" or len(set(answered.values())) > 1


def test_gunicorn_whose_workers_are_killed(collector: FlakyCollector, hosts: Hosts) -> None:
    (hosts.folder / "web.py").write_text(WEB_APP)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "web:app", "--workers", "2", "--bind"]
    collector.go_away()
    host = hosts.start_command([*command, f"127.0.0.1:{port}", "--preload"])
    answered = ask(port, host)
    for pid in set(answered.values()):
        os.kill(pid, signal.SIGKILL)
    stop(host)
    collector.come_back()
    hosts.drain()
    check(collector, answered)


CELERY_APP = (
    PRELUDE
    + """
import celery, pathlib

place = pathlib.Path(__file__).parent / "broker"
place.mkdir(exist_ok=True)
app = celery.Celery("jobs", broker="filesystem://", backend=None)
app.conf.update(
    broker_transport_options={"data_folder_in": str(place), "data_folder_out": str(place)},
    broker_connection_retry_on_startup=True, worker_hijack_root_logger=False,
)
kibitz.init()

@app.task
def job(number):
    work(number)
    with open(place.parent / "finished", "ab", buffering=0) as file:
        file.write(b"%d %d\\n" % (number, os.getpid()))
"""
)


def test_celery_with_one_task_per_child(collector: FlakyCollector, hosts: Hosts) -> None:
    (hosts.folder / "jobs.py").write_text(CELERY_APP)
    finished = hosts.folder / "finished"
    command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "--pool", "prefork"]
    command += ["--concurrency", "2", "--max-tasks-per-child", "1", "--without-gossip"]
    command += ["--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]
    sent = "import jobs\nfor number in range(10):\n    jobs.job.delay(number)\n"
    sender = hosts.start_command([sys.executable, "-c", sent], KIBITZ_ENABLED="0")
    sender.end()
    host = hosts.start_command(command)
    for _ in range(1000):
        if finished.exists() and finished.read_bytes().count(b"\n") == 10:
            break
        assert host.poll() is None, host.stderr and host.stderr.read()
        signal.sigtimedwait([], 0.05)
    stop(host)
    told = dict(map(int, line.split()) for line in finished.read_text().splitlines())
    assert sorted(told) == list(range(10))
    hosts.drain()
    check(collector, told)
    assert len(set(told.values())) == 10


@pytest.mark.parametrize("order", ["patched first", "kibitz first"])
def test_gevent(collector: FlakyCollector, hosts: Hosts, order: str) -> None:
    patch = "from gevent import monkey\nmonkey.patch_all()\n"
    program = """
        import gevent
        kibitz.init()

        @kibitz.flow(path="faults/outer")
        def outer(first):
            for number in range(first, first + 20):
                work(number)
                gevent.sleep(0)

        gevent.joinall([gevent.spawn(outer, n * 20) for n in range(50)])
        say(kibitz.flush(60))
    """
    program = PRELUDE + textwrap.dedent(program)
    program = patch + program if order == "patched first" else "import kibitz\n" + patch + program
    host = hosts.start_command([sys.executable, "-W", "ignore", "-c", program])
    assert host.line() == "FlushResult(sent=1050, spooled=0, dropped=0, rejected=0)"
    host.end()
    collector.is_each_once(set(range(1000)))
    parents = {span["spanId"]: span for span in collector.spans if span["name"] == "faults/outer"}
    for span in collector.spans:  # what ran side by side did not nest in each other
        if span["name"] == "faults/work":
            assert span["traceId"] == parents[span["parentSpanId"]]["traceId"]


def test_uwsgi(collector: FlakyCollector, hosts: Hosts, tmp_path: Path) -> None:
    uwsgi = shutil.which("uwsgi") or shutil.which("uwsgi", path=str(Path(sys.executable).parent))
    if uwsgi is None:
        pytest.skip("needs uwsgi, which has to be compiled: pip install uwsgi")
    (hosts.folder / "web.py").write_text(WEB_APP)
    port = free_port()
    command = [uwsgi, "--http-socket", f"127.0.0.1:{port}", "--module", "web:app", "--master"]
    command += ["--processes", "3", "--die-on-term", "--enable-threads", "--max-requests", "15"]
    command += ["--pythonpath", str(hosts.folder), "--disable-logging"]
    for folder in sys.path:
        if folder.endswith("site-packages") or folder.endswith("src"):
            command += ["--pythonpath", folder]
    host = hosts.start_command(command)
    answered = ask(port, host)
    stop(host)
    hosts.drain()
    check(collector, answered)
