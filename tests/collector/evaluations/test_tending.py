"""What happens to open runs: who joins, who is asked to judge, when they end."""

import time
from typing import Any

from kibitz_collector.evaluations.giving_up import LOST_IDS
from kibitz_collector.evaluations.tending import (
    MATCH_INPUTS_NS,
    catch_up,
    judge_again,
    take_up,
)
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.evaluations_gaps import targets_of
from kibitz_collector.store.queries.files import get_file
from kibitz_collector.store.queries.judgments import judgments_of
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.jobs import EvaluatorState, Job
from kibitz_collector.store.writes import claims
from kibitz_collector.store.writes import evaluation as evaluator_writes
from kibitz_collector.store.writes import evaluations as writes
from kibitz_collector.store.writes import evaluations_runs as run_writes
from kibitz_collector.store.writes.updates import LogPatch, update_log
from kibitz_collector.store.writes.versions import delete_file
from tests.collector.evaluations.conftest import SECOND, WORKSPACE, World

POINTS = [{"inputs": {"q": f"q{n}"}, "target": {"a": f"q{n}"}} for n in range(2)]
JOB = table(Job)


def jobs(world: World) -> list[Any]:
    with world.store.read() as session:
        return list(session.connection().execute(JOB.select().order_by(JOB.c.id)))


def flow(world: World) -> tuple[str, str]:
    return world.file("flow", "qa", attributes={"v": 1})


def code(world: World, path: str = "here") -> Any:
    source = "def f(log):\n    return True\n"
    return world.evaluator(path, evaluator_type="code", code=source)


def test_a_run_waits_for_every_log_and_every_judgment(world: World) -> None:
    used, version, points = world.evaluator(), flow(world), world.dataset(*POINTS)
    run_id = world.run(world.evaluation(used), version, points)
    assert world.status(run_id) == "pending"
    logs = []
    for point in world.points(points):
        logs.append(world.log("flow", "qa", version, run_id=run_id, datapoint_id=point.id))
        world.tend()
        assert world.status(run_id) == "running"
    world.judge("exact", used, logs[0], True)
    world.tend()
    assert world.status(run_id) == "running"
    world.judge("exact", used, logs[1], None)
    world.tend()
    assert world.status(run_id) == "completed"


def test_an_open_log_is_waited_for(world: World) -> None:
    version, points = flow(world), world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(), version, points)
    (point,) = world.points(points)
    of_run = {"run_id": run_id, "datapoint_id": point.id}
    world.log("flow", "qa", version, id="log_open", status="incomplete", is_start=True, **of_run)
    world.tend()
    assert world.status(run_id) == "running"
    world.log("flow", "qa", version, id="log_open", **of_run)
    world.tend()
    assert world.status(run_id) == "completed"


def test_a_run_over_nothing_is_complete(world: World) -> None:
    run_id = world.run(world.evaluation(), flow(world), world.dataset())
    world.tend()
    assert world.status(run_id) == "completed"


def test_a_run_without_dataset_ends_when_what_it_has_is_judged(world: World) -> None:
    used, version = world.evaluator(), flow(world)
    run_id = world.run(world.evaluation(used), version, None)
    world.tend()
    assert world.status(run_id) == "pending"
    for expected in (True, False):  # each Log opens it again
        log_id = world.log("flow", "qa", version, run_id=run_id)
        take_up(world.store, WORKSPACE, run_id)
        catch_up(world.store, [run_id])
        assert world.status(run_id) == "running"
        world.judge("exact", used, log_id, expected)
        catch_up(world.store, [run_id])
        assert world.status(run_id) == "completed"


def test_evaluators_here_are_asked_once_for_each_log(world: World) -> None:
    used, version, points = code(world), flow(world), world.dataset(*POINTS)
    run_id = world.run(world.evaluation(used), version, points)
    for point in world.points(points):
        world.log("flow", "qa", version, run_id=run_id, datapoint_id=point.id)
        world.tend()
        world.tend()
    found = jobs(world)
    assert [(job.kind, job.monitor_id, job.scope) for job in found] == [("run", None, "trace")] * 2
    assert {job.evaluator_version_id for job in found} == {used.version_id}
    with world.store.write() as session:
        claim = claims.claim(session, now_ns=world.clock() + 60 * SECOND, lease_ns=SECOND)
    assert claim is not None
    assert all(job.is_for_run for job in claim.jobs)


def test_what_a_monitor_has_asked_for_is_not_asked_twice(world: World) -> None:
    used, version, points = code(world), flow(world), world.dataset(POINTS[0])
    with world.store.write() as session:
        monitor = evaluator_writes.attach_monitor(
            session, WORKSPACE, evaluator_id=used.evaluator_id, file_path="qa"
        )
    run_id = world.run(world.evaluation(used), version, points)
    (point,) = world.points(points)
    world.log("flow", "qa", version, run_id=run_id, datapoint_id=point.id)
    world.tend()
    assert [job.kind for job in jobs(world)] == ["evaluation"]
    with world.store.write() as session:
        evaluator_writes.detach_monitor(session, WORKSPACE, monitor)
    world.tend()
    (job,) = jobs(world)
    assert (job.state, job.attempts, job.last_error) == ("waiting", 0, None)


def test_who_is_suspended_or_never_done_is_not_waited_for(world: World) -> None:
    suspended, dead = code(world, "suspended"), code(world, "dead")
    version, points = flow(world), world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(suspended, dead), version, points)
    (point,) = world.points(points)
    log_id = world.log("flow", "qa", version, run_id=run_id, datapoint_id=point.id)
    world.tend()
    with world.store.write() as session:
        state = session.get(EvaluatorState, suspended.version_id)
        assert state is not None
        state.state = "suspended"
        session.add(state)
        session.connection().execute(
            JOB.update()
            .where(JOB.c.evaluator_version_id == dead.version_id)
            .values(state="dead", last_error="SandboxFailure: gone")
        )
    world.tend()
    assert world.status(run_id) == "completed"
    with world.store.read() as session:
        views = judgments_of(session, WORKSPACE, [log_id], whole=True)[log_id]
    errors = {view.evaluator_path: view.error or "" for view in views}
    assert all(view.is_error and view.where == "run" for view in views)
    assert errors["suspended"].startswith("the evaluator is suspended")
    assert errors["dead"] == "it could not be judged: SandboxFailure: gone"


def test_a_log_that_names_a_datapoint_joins_the_run_of_its_version(world: World) -> None:
    version, points = flow(world), world.dataset(*POINTS)
    other = world.file("flow", "qa", attributes={"v": 2})
    run_id = world.run(world.evaluation(), version, points)
    named = [point.id for point in world.points(points)]
    world.log("flow", "qa", other, datapoint_id=named[0])
    world.log("flow", "qa", version, datapoint_id="dp_of_another_dataset")
    world.tend()
    assert (world.entries(run_id), world.status(run_id)) == ([], "pending")
    for datapoint_id in named:
        world.log("flow", "qa", version, datapoint_id=datapoint_id)
    world.tend()
    assert {one.datapoint.id for one in world.entries(run_id) if one.datapoint} == set(named)
    assert world.status(run_id) == "completed"


def test_without_ids_a_log_joins_by_its_inputs(world: World) -> None:
    version, points = flow(world), world.dataset(*POINTS, {"inputs": {"q": "q1"}, "target": {}})
    before = world.log("flow", "qa", version, inputs={"q": "q0"})
    world.clock.now_ns = time.time_ns()  # of what came before the run, the store's clock decides
    run_id = world.run(world.evaluation(), version, points)
    world.log("flow", "qa", version, inputs={"q": "something else"})
    world.log("flow", "qa", version, inputs={"q": "q0", "more": 1}, output="first")
    world.log("flow", "qa", version, inputs={"q": "q0"}, output="second")
    world.log("flow", "qa", version, inputs={"q": "q1"}, output="third")
    world.tend()
    assert world.status(run_id) == "running"
    world.log("flow", "qa", version, inputs={"q": "q1"}, output="fourth")
    world.tend()
    assert world.status(run_id) == "completed"
    entries = world.entries(run_id)
    assert before not in {one.detail.summary.id for one in entries}
    assert {one.detail.body.output for one in entries} == {"first", "third", "fourth"}
    assert len({one.datapoint.id for one in entries if one.datapoint}) == 3
    with world.store.read() as session:
        ids = [one.detail.summary.id for one in entries]
        assert set(targets_of(session, WORKSPACE, ids)) == set(ids)


def test_a_log_that_names_only_its_run_is_about_the_datapoint_of_its_inputs(world: World) -> None:
    local, version, points = world.evaluator(), flow(world), world.dataset(*POINTS)
    run_id = world.run(world.evaluation(local), version, points)
    for number in (1, 0):
        world.log("flow", "qa", version, inputs={"q": f"q{number}"}, run_id=run_id)
    world.tend()
    for one in world.entries(run_id):
        assert one.datapoint is not None
        assert one.datapoint.content["inputs"] == one.detail.body.inputs
    world.clock.pass_s(60)
    world.tend()
    assert world.status(run_id) == "running"  # who knows the run is told, and waited for


def test_a_changed_log_of_a_run_is_judged_again(world: World) -> None:
    used, version = code(world), flow(world)
    evaluation = world.evaluation(used, world.evaluator("outside"))
    log_id = world.log("flow", "qa", version)
    judge_again(world.store, WORKSPACE, log_id)
    assert jobs(world) == []
    run_id = world.run(evaluation, version, None)
    with world.store.write() as session:
        run_writes.add_run_logs(session, world.view(run_id), {log_id: None}, "added", world.clock())
    world.tend()
    with world.store.write() as session:
        update_log(session, WORKSPACE, log_id, LogPatch(body={"output": "another"}))
    for _time in range(2):
        judge_again(world.store, WORKSPACE, log_id)
    assert len({job.content_hash for job in jobs(world)}) == len(jobs(world)) == 2


def test_a_forgotten_run_collects_nothing_by_inputs(world: World) -> None:
    version, points = flow(world), world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(), version, points)
    world.log("flow", "qa", version, inputs={"q": "q0"})
    world.clock.now_ns += MATCH_INPUTS_NS + 1
    world.tend()
    assert world.entries(run_id) == []


def test_the_newest_run_takes_first(world: World) -> None:
    version, points, evaluation = flow(world), world.dataset(POINTS[0]), world.evaluation()
    older = world.run(evaluation, version, points)
    world.clock.pass_s(0.001)
    newer = world.run(evaluation, version, points)
    world.log("flow", "qa", version, inputs={"q": "q0"}, start_ns=world.clock() + SECOND)
    world.tend()
    assert (world.status(older), world.status(newer)) == ("pending", "completed")


def test_judgments_that_cannot_come_are_given_up_after_a_while(world: World) -> None:
    local = world.evaluator("local")
    people = world.evaluator("people", evaluator_type="human")
    version, points = flow(world), world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(local, people), version, points)
    log_id = world.log("flow", "qa", version, inputs={"q": "q0"})
    world.tend()
    assert len(world.entries(run_id)) == 1
    world.clock.pass_s(29)
    world.tend()
    with world.store.read() as session:
        assert judgments_of(session, WORKSPACE, [log_id]) == {}
    world.clock.pass_s(10)
    world.tend()
    with world.store.read() as session:
        (view,) = judgments_of(session, WORKSPACE, [log_id], whole=True)[log_id]
    assert (view.evaluator_path, view.error) == ("local", LOST_IDS)
    assert world.status(run_id) == "running"  # people may take their time
    world.judge("people", people, log_id, True)
    world.tend()
    assert world.status(run_id) == "completed"


def test_existing_logs_are_used_and_only_the_rest_is_generated(world: World) -> None:
    prompt, points = world.prompt(), world.dataset(*POINTS)
    first = world.points(points)[0].id
    world.log("prompt", "p", prompt, datapoint_id=first, output="older")
    world.clock.pass_s(1)
    world.log("prompt", "p", prompt, datapoint_id=first, output="newer")
    run_id = world.run(
        world.evaluation(), prompt, points, orchestrated=True, use_existing_logs=True
    )
    assert world.work() == 1
    world.tend()
    assert world.status(run_id) == "completed"
    assert {one.detail.body.output for one in world.entries(run_id)} == {"newer", "q1"}


def test_evaluators_added_later_judge_what_is_there(world: World) -> None:
    version, points, evaluation = flow(world), world.dataset(POINTS[0]), world.evaluation()
    run_id = world.run(evaluation, version, points)
    (point,) = world.points(points)
    world.log("flow", "qa", version, run_id=run_id, datapoint_id=point.id)
    world.tend()
    assert world.status(run_id) == "completed"
    used = code(world)
    with world.store.write() as session:
        writes.use_evaluators(session, WORKSPACE, evaluation, [used], world.clock())
    world.tend()
    assert world.status(run_id) == "running"
    assert len(jobs(world)) == 1
    with world.store.write() as session:
        writes.drop_evaluator(session, evaluation, used.version_id, world.clock())
    world.tend()
    assert world.status(run_id) == "completed"


def test_an_evaluator_that_is_deleted_is_not_waited_for(world: World) -> None:
    used, version, points = world.evaluator(), flow(world), world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(used), version, points)
    (point,) = world.points(points)
    world.log("flow", "qa", version, run_id=run_id, datapoint_id=point.id)
    with world.store.write() as session:
        delete_file(session, WORKSPACE, get_file(session, WORKSPACE, used.evaluator_id))
    world.tend()
    assert world.status(run_id) == "completed"


def test_a_run_of_two_evaluations_waits_for_the_evaluators_of_both(world: World) -> None:
    one, two = world.evaluator("one"), world.evaluator("two")
    version, points = flow(world), world.dataset(POINTS[0])
    run_id = world.run(world.evaluation(one), version, points)
    (point,) = world.points(points)
    log_id = world.log("flow", "qa", version, run_id=run_id, datapoint_id=point.id)
    world.judge("one", one, log_id, True)
    world.tend()
    assert world.status(run_id) == "completed"
    other = world.evaluation(two)
    with world.store.write() as session:
        writes.place_run(session, WORKSPACE, other, run_id, world.clock())
    world.tend()
    assert world.status(run_id) == "running"
    world.judge("two", two, log_id, True)
    world.tend()
    assert world.status(run_id) == "completed"


def test_a_run_of_no_evaluation_generates_nothing_more(world: World) -> None:
    evaluation = world.evaluation()
    run_id = world.run(evaluation, world.prompt(), world.dataset(*POINTS), orchestrated=True)
    with world.store.write() as session:
        writes.delete_evaluation(session, evaluation, world.clock())
    assert world.status(run_id) == "cancelled"
    assert world.work() == 0


def test_logs_added_by_hand_belong_to_several_runs(world: World) -> None:
    version, evaluation = flow(world), world.evaluation()
    log_id = world.log("flow", "qa", version)
    runs = [world.run(evaluation, version, None) for _ in range(2)]
    for run_id in runs:
        with world.store.write() as session:
            run_writes.add_run_logs(
                session, world.view(run_id), {log_id: None}, "added", world.clock()
            )
    world.tend()
    for run_id in runs:
        assert [one.detail.summary.id for one in world.entries(run_id)] == [log_id]
        assert world.status(run_id) == "completed"
    with world.store.read() as session:
        assert log_queries.get_log(session, WORKSPACE, log_id).summary.run_id is None
