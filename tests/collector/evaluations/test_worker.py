"""The calls of orchestrated runs: each datapoint once, whatever happens to those who make them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kibitz_collector.evaluations import worker as workers
from kibitz_collector.evaluations.worker import run_log_id
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.files import get_file
from kibitz_collector.store.writes import evaluations_runs as run_writes
from kibitz_collector.store.writes import evaluations_tasks as tasks
from kibitz_collector.store.writes.evaluations_runs import TASK
from kibitz_collector.store.writes.versions import delete_file
from tests.collector.evaluations.conftest import SECOND, WORKSPACE, World

POINTS = [{"inputs": {"q": f"q{n}"}, "target": {"a": f"q{n}"}} for n in range(3)]
CODE = {"function": {"name": "add", "description": "."}, "source_code": "def add(a): return a"}


def task_states(world: World) -> list[str]:
    with world.store.read() as session:
        rows = session.connection().execute(TASK.select().order_by(TASK.c.position))
        return [row.state for row in rows]


def test_a_prompt_is_called_once_for_each_datapoint(world: World) -> None:
    prompt, points = world.prompt(), world.dataset(*POINTS)
    run_id = world.run(world.evaluation(), prompt, points, orchestrated=True)
    assert world.status(run_id) == "running"
    assert world.work() == 3
    assert world.work() == 0
    entries = world.entries(run_id)
    found = {one.datapoint.content["inputs"]["q"]: one.detail for one in entries if one.datapoint}
    assert {name: one.body.output for name, one in found.items()} == {
        "q0": "q0",
        "q1": "q1",
        "q2": "q2",
    }
    for one in entries:
        summary = one.detail.summary
        assert one.datapoint is not None
        assert (summary.run_id, summary.datapoint_id) == (run_id, one.datapoint.id)
        assert summary.id == run_log_id(run_id, one.datapoint.id)
        assert (summary.file_id, summary.version_id) == prompt
    world.tend()
    assert world.status(run_id) == "completed"


def test_messages_of_a_datapoint_follow_the_template(world: World) -> None:
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "content": "gone", "tool_call_id": "c"},
        {"role": "user", "content": "and?"},
    ]
    points = world.dataset({"inputs": {"q": "hello"}, "messages": messages})
    run_id = world.run(world.evaluation(), world.prompt(), points, orchestrated=True)
    world.work()
    (entry,) = world.entries(run_id)
    body = entry.detail.body
    assert body.output == "and?"
    assert body.messages is not None
    assert body.messages[1]["tool_calls"] == [{"id": "c", "name": "f", "arguments": "{}"}]
    assert body.provider_request is not None
    assert body.provider_request["messages"][0]["content"] == "hello"


def test_what_the_model_refuses_and_what_cannot_be_asked_are_failed_logs(world: World) -> None:
    failing = world.prompt(other={"error": {"message": "tired", "code": 429}})
    points = world.dataset({"inputs": {"q": "x"}}, {"inputs": {"other": "x"}})
    run_id = world.run(world.evaluation(), failing, points, orchestrated=True)
    assert world.work() == 2
    errors = [one.detail.body.error for one in world.entries(run_id)]
    assert sorted(error.message or "" for error in errors if error)[0].find("q") >= 0
    assert "tired" in [error.message for error in errors if error]
    world.tend()
    assert world.status(run_id) == "completed"


def test_tools_and_agents_are_called(world: World) -> None:
    tool = world.file("tool", "add", **CODE)
    points = world.dataset({"inputs": {"a": "1"}})
    run_id = world.run(world.evaluation(), tool, points, orchestrated=True)
    world.work()
    (entry,) = world.entries(run_id)
    assert (entry.detail.summary.kind, entry.detail.body.output) == ("tool", "add [('a', '1')]")
    inline = {"type": "inline", "json_schema": {"name": "ask", "description": "."}}
    agent = world.file(
        "agent",
        "a",
        model="m",
        provider="mock",
        template=[{"role": "user", "content": "{{a}}"}],
    )
    run_id = world.run(world.evaluation(), agent, points, orchestrated=True)
    world.work()
    (entry,) = world.entries(run_id)
    assert (entry.detail.summary.status, entry.detail.body.output) == ("complete", "1")
    waiting = world.file(
        "agent",
        "b",
        model="m",
        provider="mock",
        tools=[{**inline, "on_agent_call": "stop"}],
        template=[{"role": "user", "content": "{{a}}"}],
    )
    run_id = world.run(world.evaluation(), waiting, points, orchestrated=True)
    world.work()
    (entry,) = world.entries(run_id)
    assert entry.detail.summary.status == "complete"
    world.tend()
    assert world.status(run_id) == "completed"


def test_what_a_dead_worker_had_is_taken_up_after_its_lease(world: World) -> None:
    run_id = world.run(
        world.evaluation(), world.prompt(), world.dataset(*POINTS), orchestrated=True
    )
    with world.store.write() as session:
        lost = tasks.claim_task(session, now_ns=world.clock(), lease_ns=60 * SECOND)
    assert lost is not None
    assert world.work() == 2
    world.clock.pass_s(30)
    with world.store.write() as session:
        assert tasks.keep_task(session, lost.token, now_ns=world.clock(), lease_ns=60 * SECOND)
    world.clock.pass_s(50)
    assert world.work() == 0
    world.clock.pass_s(11)
    assert world.work() == 1
    assert len(world.entries(run_id)) == 3
    with world.store.write() as session:
        assert not tasks.finish_task(session, lost.token)


def test_a_log_that_is_there_is_not_made_again(world: World) -> None:
    prompt, points = world.prompt(), world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(), prompt, points, orchestrated=True)
    (point,) = world.points(points)
    log_id = run_log_id(run_id, point.id)
    world.log("prompt", "p", prompt, id=log_id, output="from before", run_id=run_id)
    assert world.work() == 1
    (entry,) = world.entries(run_id)
    assert entry.detail.body.output == "from before"


def test_what_a_dead_worker_left_open_is_begun_again(world: World) -> None:
    agent = world.file(
        "agent", "a", model="m", provider="mock", template=[{"role": "user", "content": "{{q}}"}]
    )
    points = world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(), agent, points, orchestrated=True)
    (point,) = world.points(points)
    log_id = run_log_id(run_id, point.id)
    open_log = {"run_id": run_id, "datapoint_id": point.id, "trace_id": "c" * 32}
    world.log("agent", "a", agent, id=log_id, status="incomplete", is_start=True, **open_log)
    turn = world.log("prompt", "p", world.prompt(), trace_parent_id=log_id, trace_id="c" * 32)
    assert world.work() == 1
    (entry,) = world.entries(run_id)
    assert (entry.detail.summary.id, entry.detail.summary.status) == (log_id, "complete")
    with world.store.read() as session:
        assert turn not in log_queries.get_logs(session, WORKSPACE, [turn])


def test_two_workers_never_have_the_same_datapoint(world: World) -> None:
    world.run(world.evaluation(), world.prompt(), world.dataset(*POINTS), orchestrated=True)
    found = []
    for _worker in range(4):
        with world.store.write() as session:
            found.append(tasks.claim_task(session, now_ns=world.clock(), lease_ns=SECOND))
    assert found.pop() is None
    assert len({one.datapoint_id for one in found if one}) == 3


def test_workers_side_by_side_make_each_call_once(world: World) -> None:
    points = world.dataset(*({"inputs": {"q": f"q{n}"}} for n in range(24)))
    run_id = world.run(world.evaluation(), world.prompt(), points, orchestrated=True)
    for _lost in range(3):
        with world.store.write() as session:
            tasks.claim_task(session, now_ns=world.clock(), lease_ns=SECOND)
    world.clock.pass_s(2)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: world.work(), range(4)))
    assert sum(made) == 24
    assert len(world.entries(run_id)) == 24


def test_what_is_given_back_counts_no_attempt(world: World) -> None:
    world.run(world.evaluation(), world.prompt(), world.dataset(POINTS[0]), orchestrated=True)
    for _time in range(tasks.MAX_ATTEMPTS + 1):
        with world.store.write() as session:
            task = tasks.claim_task(session, now_ns=world.clock(), lease_ns=SECOND)
            assert task is not None
            assert task.attempts == 1
            tasks.release_task(session, task.token)


def test_a_call_that_cannot_be_made_now_is_tried_later_and_given_up_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_sandbox(*_: Any) -> Any:
        raise workers.Busy("the sandbox does not work now")

    tool = world.file("tool", "add", **CODE)
    run_id = world.run(world.evaluation(), tool, world.dataset(POINTS[0]), orchestrated=True)
    worker = world.worker()
    monkeypatch.setattr(worker, "_run_tool", no_sandbox)
    for _time in range(tasks.MAX_ATTEMPTS):
        assert worker.run_once()
        assert not worker.run_once()
        world.clock.pass_s(100)
    assert not worker.run_once()
    (entry,) = world.entries(run_id)
    assert entry.detail.body.error is not None
    assert entry.detail.body.error.message == "the sandbox does not work now"
    world.tend()
    assert world.status(run_id) == "completed"


def test_a_cancelled_run_makes_no_more_calls(world: World) -> None:
    run_id = world.run(
        world.evaluation(), world.prompt(), world.dataset(*POINTS), orchestrated=True
    )
    worker = world.worker()
    assert worker.run_once()
    with world.store.write() as session:
        assert run_writes.set_run_status(
            session, run_id, "cancelled", world.clock(), only_from=("running",)
        )
    assert not worker.run_once()
    assert len(world.entries(run_id)) == 1
    assert task_states(world) == []
    world.tend()
    assert world.status(run_id) == "cancelled"


def test_datapoints_deleted_meanwhile_are_skipped(world: World) -> None:
    points = world.dataset(*POINTS)
    run_id = world.run(world.evaluation(), world.prompt(), points, orchestrated=True)
    with world.store.write() as session:
        delete_file(session, WORKSPACE, get_file(session, WORKSPACE, points[0]))
    assert world.work() == 3
    assert world.entries(run_id) == []
    assert task_states(world) == ["done"] * 3
