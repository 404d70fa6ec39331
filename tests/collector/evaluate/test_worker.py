"""From a stored Log to its judgment: once, typed, and not held up by a hostile neighbour."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kibitz_collector.config import Settings
from kibitz_collector.errors import Busy
from kibitz_collector.evaluate.sandbox import Limits, Sandbox, SandboxFailure, open_jail
from kibitz_collector.evaluate.worker import EvaluationWorker, IdleTraceWorker
from kibitz_collector.query import parse
from kibitz_collector.records import LogBody
from kibitz_collector.store import Store
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.writes import claims
from kibitz_collector.store.writes import evaluation as writes
from tests.collector.evaluate.samples import WORKSPACE, log_record, register

SETTINGS = Settings(evaluator_timeout_s=0.5)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    jail = open_jail(Limits(wall_s=0.5, batch_wall_s=2.5))
    yield jail
    jail.close()


def run_all(store: Store, sandbox: Sandbox) -> None:
    worker = EvaluationWorker(store, sandbox, SETTINGS)
    while worker.run_once():
        pass


def judgments(store: Store, log_id: str) -> dict[str, Any]:
    """Return the judgments of a Log that stand: evaluator path -> value, or the error's type."""
    with store.read() as session:
        views = log_queries.get_log(session, WORKSPACE, log_id).summary.judgments
    return {view.evaluator_path: "error" if view.is_error else view.value for view in views}


def test_arriving_log_is_judged_and_the_judgment_is_a_log(store: Store, sandbox: Sandbox) -> None:
    code = "def evaluator(log):\n    print('seen', log['id'])\n    return log['output'] == 'fine'\n"
    file_id, version_id = register(store, code=code, on="support/reply")
    store.ingest(
        WORKSPACE, [log_record("log_a", environment="staging"), log_record("log_b", output="bad")]
    )
    run_all(store, sandbox)
    assert judgments(store, "log_a") == {"checks/good": True}
    assert judgments(store, "log_b") == {"checks/good": False}
    with store.read() as session:
        summary = log_queries.get_log(session, WORKSPACE, "log_a").summary
        (judgment,) = summary.judgments
        detail = log_queries.get_log(session, WORKSPACE, judgment.log_id)
    assert (judgment.where, judgment.evaluator_id) == ("arrival", file_id)
    assert judgment.evaluator_version_id == version_id
    assert (detail.summary.kind, detail.summary.parent_id) == ("evaluator", "log_a")
    assert (detail.summary.source, detail.summary.environment) == ("evaluator", "staging")
    assert (detail.body.output, detail.body.stdout) == (True, "seen log_a\n")
    assert detail.summary.status == "complete"


def test_error_of_an_evaluator_is_recorded_with_its_line(store: Store, sandbox: Sandbox) -> None:
    register(store, code="def evaluator(log):\n    return log['nothing']\n", on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, sandbox)
    with store.read() as session:
        (judgment,) = log_queries.get_log(session, WORKSPACE, "log_a").summary.judgments
        detail = log_queries.get_log(session, WORKSPACE, judgment.log_id)
        view = queries.get_evaluator(session, WORKSPACE, "checks/good")
    assert judgment.is_error
    assert detail.summary.status == "error"
    assert detail.body.error is not None
    assert detail.body.error.type == "KeyError"
    assert detail.body.error.message == "'nothing' (line 2)"
    assert (view.judged_count, view.error_count) == (1, 1)
    assert view.last_error == "KeyError: 'nothing'"
    assert view.state == "active"


def test_wrong_type_is_an_error_and_none_abstains(store: Store, sandbox: Sandbox) -> None:
    register(store, "checks/type", code="def evaluator(log): return 'yes'", on="support/reply")
    register(store, "checks/none", code="def evaluator(log): return None", on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, sandbox)
    assert judgments(store, "log_a") == {"checks/type": "error", "checks/none": None}


def test_second_run_of_the_same_job_makes_no_double(store: Store, sandbox: Sandbox) -> None:
    register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    ingest, store.ingest = store.ingest, fail_after(store.ingest)  # type: ignore[method-assign]
    now_ns = [time.time_ns()]
    worker = EvaluationWorker(store, sandbox, SETTINGS, clock=lambda: now_ns[0])
    with pytest.raises(OSError, match="after the commit"):
        worker.run_once()
    store.ingest = ingest  # type: ignore[method-assign]
    now_ns[0] += 60_000_000_000
    assert worker.run_once()
    assert not worker.run_once()
    with store.read() as session:
        (judgment,) = log_queries.get_log(session, WORKSPACE, "log_a").summary.judgments
    assert judgment.value is True


def fail_after(ingest: Any) -> Any:
    """Stand for a process that dies between its two commits."""

    def failing(*arguments: Any) -> Any:
        ingest(*arguments)
        raise OSError("after the commit")

    return failing


def test_changed_log_is_judged_again_and_the_new_judgment_stands(
    store: Store, sandbox: Sandbox
) -> None:
    code = "def evaluator(log): return log['metadata'].get('plan') == 'pro'"
    register(store, code=code, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, sandbox)
    assert judgments(store, "log_a") == {"checks/good": False}
    store.ingest(WORKSPACE, [log_record("log_a", body=LogBody(metadata={"plan": "pro"}))])
    run_all(store, sandbox)
    assert judgments(store, "log_a") == {"checks/good": True}


def test_flow_is_judged_with_all_that_is_below_it(store: Store, sandbox: Sandbox) -> None:
    code = """
def evaluator(log):
    tools = log.find(kind="tool")
    return len(tools) == 2 and tools[1]["output"] == "found" and len(log["children"]) == 2
"""
    register(store, code=code, on="support/answer")
    store.ingest(
        WORKSPACE,
        [
            log_record("log_t1", kind="tool", path="a/t", parent="log_p"),
            log_record("log_p", parent="log_f"),
            log_record("log_t2", kind="tool", path="a/t", output="found", parent="log_f"),
            log_record("log_f", kind="flow", path="support/answer"),
        ],
    )
    run_all(store, sandbox)
    assert judgments(store, "log_f") == {"checks/good": True}


def test_late_child_of_a_finished_flow_changes_its_judgment(store: Store, sandbox: Sandbox) -> None:
    register(store, code="def e(log): return len(log['children']) == 1", on="support/answer")
    store.ingest(WORKSPACE, [log_record("log_f", kind="flow", path="support/answer")])
    run_all(store, sandbox)
    assert judgments(store, "log_f") == {"checks/good": False}
    store.ingest(WORKSPACE, [log_record("log_p", parent="log_f")])
    late = EvaluationWorker(store, sandbox, SETTINGS, lambda: time.time_ns() + 5_000_000_000)
    while late.run_once():
        pass
    assert judgments(store, "log_f") == {"checks/good": True}


def test_flow_that_never_ends_is_judged_once_it_is_idle(store: Store, sandbox: Sandbox) -> None:
    register(store, code="def e(log): return log['log_status'] == 'incomplete'", on="f/a")
    start = log_record("log_f", kind="flow", path="f/a", status="incomplete", end_ns=None)
    start.is_start = True
    store.ingest(WORKSPACE, [start, log_record("log_p", parent="log_f")])
    now_ns = [time.time_ns()]
    idle = IdleTraceWorker(store, Settings(trace_idle_s=60), clock=lambda: now_ns[0])
    assert not idle.run_once()
    run_all(store, sandbox)
    assert judgments(store, "log_f") == {}
    now_ns[0] += 61_000_000_000
    assert idle.run_once()
    assert not idle.run_once()
    run_all(store, sandbox)
    assert judgments(store, "log_f") == {"checks/good": True}


def test_log_that_is_gone_does_not_stop_the_others(store: Store, sandbox: Sandbox) -> None:
    register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a"), log_record("log_b")])
    with store.write() as session:
        session.connection().exec_driver_sql("UPDATE log SET id = 'log_x' WHERE id = 'log_a'")
    run_all(store, sandbox)
    assert judgments(store, "log_b") == {"checks/good": True}
    with store.read() as session:
        counts = queries.count_jobs(session, WORKSPACE, time.time_ns())
    assert (counts.waiting, counts.running, counts.dead) == (0, 0, 0)


class BrokenSandbox:
    """A sandbox on a machine where no process can be had."""

    engine, reason = "jail", "broken"

    def run(self, *_: Any, **__: Any) -> Any:
        raise SandboxFailure("no process can be started")

    def check(self, source: str) -> None: ...

    def close(self) -> None: ...


def test_failing_sandbox_puts_jobs_off_and_does_not_blame_the_evaluator(
    store: Store, sandbox: Sandbox
) -> None:
    register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    now_ns = [time.time_ns()]
    broken = EvaluationWorker(store, BrokenSandbox(), SETTINGS, clock=lambda: now_ns[0])
    with pytest.raises(SandboxFailure):
        broken.run_once()
    assert not broken.run_once()
    with store.read() as session:
        counts = queries.count_jobs(session, WORKSPACE, now_ns[0])
        view = queries.get_evaluator(session, WORKSPACE, "checks/good")
    assert (counts.later, view.strikes, view.state) == (1, 0, "active")
    now_ns[0] += 2_000_000_000
    assert EvaluationWorker(store, sandbox, SETTINGS, clock=lambda: now_ns[0]).run_once()
    assert judgments(store, "log_a") == {"checks/good": True}


HOSTILE = {
    "loops": "def evaluator(log):\n    while True:\n        try:\n            pass\n"
    "        except BaseException:\n            pass",
    "reads": "def evaluator(log):\n    return bool(open('/etc/passwd').read())",
    "connects": "import socket\ndef evaluator(log):\n    return bool(socket.socket())",
    "forks": "import os\ndef evaluator(log):\n    return os.fork() >= 0",
    "hoards": "def evaluator(log):\n    return bool(bytearray(10 * 2**30))",
    "exits": "import os\ndef evaluator(log):\n    os._exit(0)",
}


def test_hostile_evaluators_are_suspended_and_the_good_one_keeps_judging(
    store: Store, sandbox: Sandbox
) -> None:
    register(store, on="support/reply")
    for name, code in HOSTILE.items():
        register(store, f"hostile/{name}", code=code, on="support/reply")
    stop = threading.Event()
    lanes = [
        EvaluationWorker(store, sandbox, SETTINGS, lane=lane) for lane in ("proven", "unproven")
    ]

    def work(worker: EvaluationWorker) -> None:
        while not stop.is_set():
            if not worker.run_once():
                stop.wait(0.01)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in lanes]
    for thread in threads:
        thread.start()
    try:
        for n in range(30):
            store.ingest(WORKSPACE, [log_record(f"log_{n}")])
            started = time.monotonic()
            while "checks/good" not in judgments(store, f"log_{n}"):
                assert time.monotonic() - started < 10
                stop.wait(0.005)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with store.read() as session:
                states = {
                    view.evaluator.path: view for view in queries.list_monitors(session, WORKSPACE)
                }
            if sum(view.state == "suspended" for view in states.values()) == len(HOSTILE):
                break
            stop.wait(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert states["checks/good"].state == "active"
    reasons = {
        path.removeprefix("hostile/"): view.evaluator.reason
        for path, view in states.items()
        if view.state == "suspended"
    }
    times = "3 times in a row: "
    assert reasons == {
        "loops": times + "Timeout: not finished after 0.5 s",
        "reads": times + "PermissionError: [Errno 1] Operation not permitted: '/etc/passwd'",
        "connects": times + "PermissionError: [Errno 1] Operation not permitted",
        "forks": times + "PermissionError: [Errno 1] Operation not permitted",
        "hoards": times + "MemoryError: more memory than an evaluation may use",
        "exits": times + "Crash: it ended its own process (exit status 0)",
    }


def test_resumed_evaluator_judges_what_waited(store: Store, sandbox: Sandbox) -> None:
    code = "def evaluator(log):\n    while log['output'] == 'bad':\n        pass\n    return True"
    _, version_id = register(store, code=code, on="support/reply")
    store.ingest(WORKSPACE, [log_record(f"log_{n}", output="bad") for n in range(3)])
    store.ingest(WORKSPACE, [log_record("log_fine")])
    run_all(store, sandbox)
    assert judgments(store, "log_fine") == {}
    with store.write() as session:
        writes.resume_evaluator(session, WORKSPACE, version_id)
    run_all(store, sandbox)
    assert judgments(store, "log_fine") == {"checks/good": True}


def test_worker_that_ended_after_judging_leaves_one_judgment(
    store: Store, sandbox: Sandbox
) -> None:
    register(store, code="def evaluator(log):\n    return True\n", on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    first, late = (EvaluationWorker(store, sandbox, SETTINGS) for _ in range(2))
    with store.write() as session:
        claim = claims.claim(session, now_ns=time.time_ns(), lease_ns=1)
    assert claim is not None
    time.sleep(0.001)  # the lease is over
    assert first.run_once()
    late._judge(claim)  # held up until now
    with store.read() as session:
        summary = log_queries.get_log(session, WORKSPACE, "log_a").summary
        assert len(summary.judgments) == 1
        assert log_queries.count_logs(session, WORKSPACE, parse("kind:evaluator")) == 1


def test_database_that_is_away_costs_a_job_no_attempt(sqlite_store: Store) -> None:
    class Away(Sandbox):
        """Stands for what a batch meets when the database goes away under it."""

        def run(self, *_: Any, **__: Any) -> Any:
            raise Busy("the database cannot be used now")

        def close(self) -> None:
            return

    register(sqlite_store, code="def evaluator(log):\n    return True\n", on="support/reply")
    sqlite_store.ingest(WORKSPACE, [log_record("log_a")])
    worker = EvaluationWorker(sqlite_store, Away(), SETTINGS)
    for _ in range(7):
        with pytest.raises(Busy):
            worker.run_once()
    with sqlite_store.read() as session:
        counts = queries.count_jobs(session, WORKSPACE, time.time_ns())
    assert (counts.running, counts.dead) == (1, 0)
    worker._release_owed()
    with sqlite_store.read() as session:
        assert queries.count_jobs(session, WORKSPACE, time.time_ns()).waiting == 1
