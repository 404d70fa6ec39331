"""init, flush, exit, kill and fork, with real processes."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import kibitz._setup as setup
from kibitz import _runtime
from kibitz._runtime import SPAN
from kibitz._setup import FlushResult
from kibitz.errors import ConfigError
from tests.kibitz.local_collector import (
    LocalCollector,
    always,
    hex_ids,
    local_collector,
    span_payload,
    well,
)

PRELUDE = """
import os, signal, sys, time
from kibitz import _runtime, _setup
from kibitz._setup import init, flush, shutdown
def put(*numbers):
    for number in numbers:
        span = b'{"traceId":"%032x","spanId":"%016x","name":"n"}' % (1, number)
        _runtime.get().put(1, b'{"scope":{"name":"kibitz"},"spans":[%b]}' % span)
"""


@pytest.fixture
def collector() -> Iterator[LocalCollector]:
    with local_collector() as found:
        yield found
        found.behave = well
        found.released.set()


@pytest.fixture
def started(collector: LocalCollector, tmp_path: Path) -> Iterator[LocalCollector]:
    setup.init(collector.url, spool_dir=tmp_path / "spool", service="svc")
    yield collector
    collector.behave = well
    setup.shutdown(2.0)


@pytest.fixture
def dead_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def start(program: str, url: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program), *arguments],
        env=os.environ | {"KIBITZ_COLLECTOR": url, "KIBITZ_SPOOL_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, url: str, folder: Path) -> tuple[str, float]:
    """Run to the end: what it printed, and how long the exit took."""
    program = textwrap.dedent(program) + "\nprint(time.time(), flush=True)\n"
    process = start(program, url, folder)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    *lines, last = out.splitlines()
    return "\n".join(lines), time.time() - float(last)


def drain(collector: LocalCollector, folder: Path, expected: set[str]) -> None:
    """Let another process of the same app send what is left."""
    run("init()\nput(0xFFFF)\nflush(20)", collector.url, folder)
    if not expected <= set(collector.span_ids):
        run("init()\nput(0xFFFF)\nflush(20)", collector.url, folder)
    assert expected <= set(collector.span_ids)
    assert set(collector.span_ids) - expected <= {"000000000000ffff"}


# --- init


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"collector": "localhost:4318"}, "collector"),
        ({"collector": "ftp://x"}, "collector"),
        ({"collector": "http://user:pw@host"}, "collector"),
        ({"collector": "http://host:99999"}, "collector"),
        ({"collector": 7}, "collector"),
        ({"collector": "sqlite:///:memory:"}, "collector"),
        ({"api_key": "two words"}, "api_key"),
        ({"capture": "everything"}, "capture"),
        ({"capture": {"a/*": "some"}}, "capture"),
        ({"redact": 5}, "redact"),
        ({"sample_rate": 2}, "sample_rate"),
        ({"sample_rate": "often"}, "sample_rate"),
        ({"sample_rate": True}, "sample_rate"),
        ({"durability": "forever"}, "durability"),
        ({"otel": "yes"}, "otel"),
        ({"otel_provider": object()}, "otel_provider"),
        ({"exit_timeout_s": -1}, "exit_timeout_s"),
        ({"exit_timeout_s": float("nan")}, "exit_timeout_s"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"service": "  "}, "service"),
        ({"segment_bytes": 1}, "segment_bytes"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        setup.init(**arguments)  # type: ignore[arg-type]
    assert _runtime.get() is None


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIBITZ_SAMPLE_RATE", "lots")
    with pytest.raises(
        ConfigError, match=r"KIBITZ_SAMPLE_RATE='lots' must be a number from 0 to 1"
    ):
        setup.init()


def test_flush_tells_what_became_of_everything(started: LocalCollector) -> None:
    runtime = _runtime.get()
    assert runtime is not None
    for number in range(1, 11):
        runtime.put(SPAN, span_payload(number))
    assert setup.flush(20) == FlushResult(sent=10, spooled=0, dropped=0, rejected=0)
    started.behave = always(503)
    runtime.put(SPAN, span_payload(11))
    assert setup.flush(0.3) == FlushResult(sent=10, spooled=1, dropped=0, rejected=0)


def test_init_again_with_other_settings_takes_over(started: LocalCollector, tmp_path: Path) -> None:
    first = _runtime.get()
    assert first is not None
    first.put(SPAN, span_payload(1))
    setup.init(started.url, spool_dir=tmp_path / "spool", service="svc")
    assert _runtime.get() is first
    setup.init(started.url, spool_dir=tmp_path / "spool", service="other")
    second = _runtime.get()
    assert second not in (first, None)
    assert started.span_ids == hex_ids(range(1, 2))


def test_disabled_records_nothing(tmp_path: Path) -> None:
    setup.init(enabled=False, spool_dir=tmp_path / "spool")
    assert _runtime.get() is None
    assert not (tmp_path / "spool").exists()


def test_shutdown_sends_what_is_left_and_leaves_no_files(
    collector: LocalCollector, tmp_path: Path
) -> None:
    setup.init(collector.url, spool_dir=tmp_path / "spool")
    runtime = _runtime.get()
    assert runtime is not None
    runtime.put(SPAN, span_payload(1))
    setup.shutdown(10)
    assert collector.span_ids == hex_ids(range(1, 2))
    assert list((tmp_path / "spool").glob("*/*.seg")) == []
    assert _runtime.get() is None


def test_import_and_init_are_quick_and_load_nothing_heavy(tmp_path: Path) -> None:
    program = """
        init()
        heavy = {"opentelemetry.sdk", "pydantic", "httpx", "wrapt", "asyncio"}
        print(sorted(heavy & set(sys.modules)))
    """
    assert run(program, "http://127.0.0.1:9", tmp_path)[0] == "[]"
    program = "init()\nprint(time.process_time())"
    took_s = min(float(run(program, "http://127.0.0.1:9", tmp_path)[0]) for _ in range(3))
    assert took_s < 0.3  # 0.15 on a quiet machine


# --- exit and kill


def test_a_program_that_ends_normally_delivers_everything(
    collector: LocalCollector, tmp_path: Path
) -> None:
    run("init()\nput(*range(1, 5001))", collector.url, tmp_path)
    assert collector.span_ids == hex_ids(range(1, 5001))
    assert list(tmp_path.glob("*/*.seg")) == []


def test_without_a_collector_the_exit_is_quick_and_logs_arrive_later(
    collector: LocalCollector, dead_url: str, tmp_path: Path
) -> None:
    # One port, first dead and then alive, is the same collector: here the folder is moved instead.
    _, took_s = run("init()\nput(1, 2, 3)", dead_url, tmp_path)
    assert took_s < 2.2 + 1.0
    _move_spool(tmp_path, dead_url, collector.url)
    drain(collector, tmp_path, set(hex_ids(range(1, 4))))


def _move_spool(folder: Path, old: str, new: str) -> None:
    from kibitz._directory import directory_of

    directory_of(folder, new, None).mkdir(mode=0o700, exist_ok=True)
    for path in directory_of(folder, old, None).glob("*.seg"):
        path.rename(directory_of(folder, new, None) / path.name)


@pytest.mark.parametrize("behaviour", ["hangs", "503", "resets"])
def test_exit_is_bounded_whatever_the_collector_does(
    collector: LocalCollector, tmp_path: Path, behaviour: str
) -> None:
    from tests.kibitz.local_collector import Answer

    collector.behave = {
        "hangs": collector.hang,
        "503": always(503, Retry_After="60"),
        "resets": lambda _: Answer(does_reset=True, does_store=False),
    }[behaviour]
    _, took_s = run("init()\nput(1)", collector.url, tmp_path)
    assert took_s < 2.2 + 1.0  # the interpreter's own exit, with other tests beside it
    collector.behave = well
    drain(collector, tmp_path, set(hex_ids(range(1, 2))))


def test_a_process_that_records_nothing_touches_nothing(
    collector: LocalCollector, tmp_path: Path
) -> None:
    run("init()", collector.url, tmp_path)
    assert collector.requests == []
    assert list(tmp_path.glob("*/*")) == []


def test_with_no_exit_timeout_the_next_process_sends(
    collector: LocalCollector, tmp_path: Path
) -> None:
    _, took_s = run("init(exit_timeout_s=0)\nput(1)", collector.url, tmp_path)
    assert took_s < 1.0
    drain(collector, tmp_path, set(hex_ids(range(1, 2))))


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_a_sudden_end_loses_no_finished_span(
    collector: LocalCollector, tmp_path: Path, end: str
) -> None:
    collector.behave = always(503)
    process = start(f"init()\nput(*range(1, 3001))\n{end}", collector.url, tmp_path)
    process.communicate(timeout=30)
    collector.behave = well
    drain(collector, tmp_path, set(hex_ids(range(1, 3001))))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("is_up", [True, False])
def test_kills_at_random_moments_lose_no_finished_span(
    collector: LocalCollector, tmp_path: Path, number: int, is_up: bool
) -> None:
    program = """
        init()
        first = int(sys.argv[1])
        for number in range(first, first + 10**6):
            put(number)
            os.write(1, b"%d\\n" % number)
    """
    expected: set[str] = set()
    torn: set[str] = set()
    collector.behave = well if is_up else always(503)
    for turn in range(4):
        first = 1 + turn * 10**6
        process = start(program, collector.url, tmp_path, str(first))
        assert process.stdout is not None
        for _ in range(300 + 731 * turn):  # the moment is random because nothing is in step
            process.stdout.readline()
        process.send_signal(number)
        last = max([first + 299 + 731 * turn, *map(int, process.stdout.read().split())])
        process.communicate(timeout=30)
        expected.update(hex_ids(range(first, last + 1)))
        torn.update(hex_ids(range(last + 1, last + 2)))  # finished, but not yet told
    collector.behave = well
    run("init()\nput(0xFFFF)\nflush(30)", collector.url, tmp_path)
    collector.wait_for(lambda: True)
    if not expected <= set(collector.span_ids):
        run("init()\nput(0xFFFF)\nflush(30)", collector.url, tmp_path)
    arrived = set(collector.span_ids)
    assert expected <= arrived
    assert arrived - expected - torn <= {"000000000000ffff"}


# --- fork


def test_parent_and_forked_child_deliver_all_once_under_their_own_pid(
    collector: LocalCollector, tmp_path: Path
) -> None:
    program = """
        init()
        put(*range(1, 201))
        child = os.fork()
        if child == 0:
            put(*range(1001, 1101))
            sys.exit(0)
        put(*range(201, 301))
        os.waitpid(child, 0)
        print(os.getpid(), child)
    """
    out, _ = run_fork(program, collector.url, tmp_path)
    parent, child = map(int, out.split())
    assert sorted(collector.span_ids) == hex_ids(range(1, 301)) + hex_ids(range(1001, 1101))
    pids: dict[int, int] = {}
    for request in collector.stored:
        pids[request.pid] = pids.get(request.pid, 0) + len(request.spans)
    assert pids == {parent: 300, child: 100}


def run_fork(program: str, url: str, folder: Path) -> tuple[str, float]:
    process = start(program, url, folder)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out, 0.0


def test_a_child_that_ends_by_os_exit_is_adopted_by_its_parent(
    collector: LocalCollector, tmp_path: Path
) -> None:
    program = """
        init()
        put(1)
        child = os.fork()
        if child == 0:
            put(*range(1001, 1101))
            os._exit(0)
        os.waitpid(child, 0)
        put(2)
    """
    run_fork(program, collector.url, tmp_path)
    assert set(collector.span_ids) == set(hex_ids(range(1, 3)) + hex_ids(range(1001, 1101)))


def test_a_fork_without_pythons_hooks_is_noticed(collector: LocalCollector, tmp_path: Path) -> None:
    program = """
        import ctypes
        init()
        put(1)
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            put(1001)
            os._exit(0)
        os.waitpid(child, 0)
        put(2)
    """
    run_fork(program, collector.url, tmp_path)
    assert set(collector.span_ids) == set(hex_ids(range(1, 3)) + hex_ids(range(1001, 1002)))


def test_the_master_of_a_prefork_server_starts_no_thread(tmp_path: Path) -> None:
    program = """
        import threading
        init()
        print(threading.active_count(), len(os.listdir("/proc/self/task")))
    """
    out, _ = run(program, "http://127.0.0.1:9", tmp_path)
    assert out == "1 1"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_deliver_all(
    collector: LocalCollector, tmp_path: Path, method: str
) -> None:
    assert method in multiprocessing.get_all_start_methods()
    module = tmp_path / "worker.py"
    module.write_text(
        PRELUDE
        + textwrap.dedent(
            """
            import multiprocessing
            def work(first):
                init()
                put(*range(first, first + 100))
            if __name__ == "__main__":
                init()
                put(1, 2, 3)
                context = multiprocessing.get_context(sys.argv[1])
                children = [context.Process(target=work, args=(1000 * n,)) for n in (1, 2, 3)]
                [child.start() for child in children]
                [child.join() for child in children]
                print([child.exitcode for child in children])
            """
        )
    )
    environment = os.environ | {
        "KIBITZ_COLLECTOR": collector.url,
        "KIBITZ_SPOOL_DIR": str(tmp_path / "spool"),
    }
    done = subprocess.run(
        [sys.executable, str(module), method],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("[0, 0, 0]", "")
    expected = hex_ids(range(1, 4))
    for first in (1000, 2000, 3000):
        expected += hex_ids(range(first, first + 100))
    assert sorted(collector.span_ids) == expected


def test_the_settings_of_a_running_process_do_not_change_with_its_environment(
    started: LocalCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIBITZ_COLLECTOR", "http://elsewhere:1")
    runtime = _runtime.get()
    assert runtime is not None
    runtime.put(SPAN, span_payload(1))
    assert setup.flush(20).sent == 1


def test_the_note_in_a_parked_record_is_json(started: LocalCollector, tmp_path: Path) -> None:
    started.behave = always(400)
    runtime = _runtime.get()
    assert runtime is not None
    runtime.put(SPAN, span_payload(1))
    assert setup.flush(20).rejected == 1
    (path,) = (tmp_path / "spool").glob("*/rejected/*.json")
    assert json.loads(path.read_text())["path"] == "/v1/traces"
