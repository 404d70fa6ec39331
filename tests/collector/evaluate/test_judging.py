"""From a stored Log to the judgment of a model: once, with its cost, and in nobody's way."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import insert

from kibitz_collector.evaluate.dispatch import JudgeDispatcher
from kibitz_collector.evaluate.evaluators import llm
from kibitz_collector.evaluate.sandbox import Limits, Sandbox, open_jail
from kibitz_collector.evaluate.worker import EvaluationWorker
from kibitz_collector.records import FileReference, LogBody, LogDetail
from kibitz_collector.store import Store
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.datasets import Datapoint
from kibitz_collector.store.tables.jobs import EvaluatorState, Job
from kibitz_collector.store.writes import evaluation as writes
from tests.collector.evaluate import judges, samples
from tests.collector.evaluate.judges import (
    COST_USD,
    MODEL,
    PRICES,
    Gate,
    always,
    error,
    last_message,
    said,
    settings_for,
)
from tests.collector.evaluate.samples import WORKSPACE, log_record
from tests.collector.store.facts import rows
from tests.integrations.wire.server import Reply, Request, WireServer


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(always("It is fine.\ntrue"))
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs be put off at once: the quick second tries have tests of their own."""
    monkeypatch.setattr(llm, "RETRY_DELAYS_S", ())


def worker_of(
    store: Store, model: WireServer, clock: Callable[[], int] = time.time_ns, **more: Any
) -> EvaluationWorker:
    settings = settings_for(model, **more)
    return EvaluationWorker(store, None, settings, clock, lane="model", prices=PRICES)


def run_all(store: Store, model: WireServer) -> None:
    worker = worker_of(store, model)
    while worker.run_once():
        pass


def detail_of(store: Store, log_id: str) -> LogDetail:
    with store.read() as session:
        return log_queries.get_log(session, WORKSPACE, log_id)


def judgment_log(store: Store, log_id: str = "log_a") -> LogDetail:
    """Return the Log of the one judgment of a Log."""
    (judgment,) = detail_of(store, log_id).summary.judgments
    return detail_of(store, judgment.log_id)


def state_of(store: Store) -> dict[str, Any]:
    (state,) = rows(store, EvaluatorState)
    return state


def test_arriving_log_is_judged_by_a_model_and_the_judgment_tells_all(
    store: Store, model: WireServer
) -> None:
    file_id, version_id = judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a", output="Yes, please.")])
    run_all(store, model)
    (judgment,) = detail_of(store, "log_a").summary.judgments
    assert (judgment.value, judgment.where, judgment.is_error) == (True, "arrival", False)
    assert (judgment.evaluator_id, judgment.evaluator_version_id) == (file_id, version_id)
    assert judgment.explanation == "It is fine.\ntrue"
    detail = detail_of(store, judgment.log_id)
    summary, body = detail.summary, detail.body
    assert (summary.kind, summary.parent_id, summary.source) == ("evaluator", "log_a", "evaluator")
    assert (summary.provider, summary.model, summary.model_served) == ("openai", MODEL, MODEL)
    tokens = summary.tokens
    assert (tokens.input_uncached, tokens.cache_read) == (16, 4)
    assert (tokens.output, tokens.reasoning) == (6, 3)
    assert summary.cost_usd == pytest.approx(COST_USD)
    assert (summary.finish_reason, summary.response_id) == ("stop", "chatcmpl-1")
    assert body.inputs == {"log.inputs.question": "?", "log.output": "Yes, please."}
    assert body.output == "It is fine.\ntrue"
    assert body.provider_request is not None
    assert body.provider_request["messages"][0]["content"].startswith("Question: ?\nAnswer: Yes")
    assert body.provider_response is not None
    assert "sk-judge" not in str(body)


def test_what_a_judge_costs_is_not_the_applications(store: Store, model: WireServer) -> None:
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a", cost_usd=1.0)])
    run_all(store, model)
    assert judgment_log(store).summary.cost_usd == pytest.approx(COST_USD)
    with store.read() as session:
        totals = log_queries.trace_totals(session, WORKSPACE, "a" * 32)
    assert (totals.cost_usd, totals.log_count) == (1.0, 1)


def test_unparsable_answer_is_an_error_whose_text_is_kept(store: Store, model: WireServer) -> None:
    model.script = always("Hard to say.")
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, model)
    (judgment,) = detail_of(store, "log_a").summary.judgments
    assert (judgment.value, judgment.is_error) == (None, True)
    assert judgment.error is not None
    assert judgment.error.startswith("the judge's last line is not true or false: 'Hard to say.'")
    detail = detail_of(store, judgment.log_id)
    assert (detail.summary.status, detail.summary.error_type) == ("error", "Unparsable")
    assert detail.body.output == "Hard to say."
    assert detail.summary.cost_usd == pytest.approx(COST_USD)  # it was paid for all the same
    assert state_of(store)["state"] == "active"


def test_answer_of_ten_megabytes_is_read_at_its_end_and_not_kept_whole(
    store: Store, model: WireServer
) -> None:
    model.script = always("because " * 1_250_000 + "\ntrue")
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, model)
    detail = judgment_log(store)
    assert detail.summary.status == "complete"
    assert isinstance(detail.body.output, str)
    assert len(detail.body.output) == llm.MAX_ANSWER_CHARS
    assert detail.body.output.endswith("\ntrue")
    assert (detail.body.output_message, detail.body.provider_response) == (None, None)


def test_judge_reads_the_template_and_the_datapoint_of_what_it_judges(
    store: Store, model: WireServer
) -> None:
    judges.register(store, template="{{log_prompt}} = {{testcase.target.a}}", on="p")
    datapoint = {"id": "dp_1", "workspace_id": WORKSPACE, "file_id": "ds_1", "created_ns": 0}
    with store.write() as session:
        session.connection().execute(
            insert(table(Datapoint)).values(**datapoint, content='{"target": {"a": "b"}}')
        )
    prompt = FileReference(kind="prompt", path="p", content={"template": "Say {{question}}"})
    record = log_record("log_a", path="p", datapoint_id="dp_1")
    record.file = prompt
    store.ingest(WORKSPACE, [record])
    run_all(store, model)
    assert [last_message(request) for request in model.requests] == ["Say ? = b"]


def test_judge_of_a_flow_sees_its_trace_once_it_is_complete(
    store: Store, model: WireServer
) -> None:
    judges.register(store, template="{{log.children[0].output}}", on="support/answer")
    flow = log_record("log_f", kind="flow", path="support/answer", status="incomplete", end_ns=None)
    flow.is_start = True
    store.ingest(WORKSPACE, [flow, log_record("log_p", parent="log_f", output="below")])
    run_all(store, model)
    assert model.requests == []
    store.ingest(WORKSPACE, [log_record("log_f", kind="flow", path="support/answer")])
    run_all(store, model)
    assert [last_message(request) for request in model.requests] == ["below"]


def test_judge_never_judges_its_own_judgments(store: Store, model: WireServer) -> None:
    judges.register(store, on="kind:prompt OR kind:evaluator")
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, model)
    assert len(model.requests) == 1


def test_one_judge_may_judge_the_judgments_of_another(store: Store, model: WireServer) -> None:
    judges.register(store, on="support/reply")
    judges.register(
        store, "judges/meta", template="{{log.output}}|{{log.inputs}}", on="judges/polite"
    )
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, model)
    first = judgment_log(store)
    second = judgment_log(store, first.summary.id)
    assert (second.summary.file_path, second.summary.parent_id) == (
        "judges/meta",
        first.summary.id,
    )
    assert second.body.inputs is not None
    assert second.body.inputs["log.output"] == "It is fine.\ntrue"


def test_changed_log_is_judged_again_and_the_new_judgment_stands(
    store: Store, model: WireServer
) -> None:
    model.script = lambda request: said("true" if "pro" in last_message(request) else "false")
    judges.register(store, template="{{log.metadata}}", on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    run_all(store, model)
    store.ingest(WORKSPACE, [log_record("log_a", body=LogBody(metadata={"plan": "pro"}))])
    run_all(store, model)
    (judgment,) = detail_of(store, "log_a").summary.judgments
    assert judgment.value is True


def test_provider_that_is_away_for_a_moment_delays_the_judgment(
    store: Store, model: WireServer
) -> None:
    model.script = lambda _request: error(503, "overloaded")
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    now_ns = [time.time_ns()]
    worker = worker_of(store, model, lambda: now_ns[0])
    assert worker.run_once()
    assert not worker.run_once()
    (job,) = rows(store, Job)
    assert (job["state"], job["attempts"]) == ("waiting", 1)
    assert job["last_error"] == "server_error: overloaded"
    assert job["due_ns"] == now_ns[0] + 10_000_000_000
    assert detail_of(store, "log_a").summary.judgments == []
    state = state_of(store)
    assert (state["state"], state["strikes"], state["is_proven"]) == ("active", 0, False)
    now_ns[0] += 11_000_000_000
    model.script = always("true")
    assert worker.run_once()
    assert judgment_log(store).summary.status == "complete"
    assert state_of(store)["is_proven"]


def test_provider_that_stays_away_ends_in_an_error_not_in_silence(
    store: Store, model: WireServer
) -> None:
    model.script = lambda _request: error(503, "overloaded")
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    now_ns = [time.time_ns()]
    worker = worker_of(store, model, lambda: now_ns[0])
    for _attempt in range(5):
        assert worker.run_once()
        now_ns[0] += 200_000_000_000
    assert not worker.run_once()
    (judgment,) = detail_of(store, "log_a").summary.judgments
    assert (judgment.is_error, judgment.error) == (True, "overloaded")
    assert state_of(store)["state"] == "active"


def test_key_that_is_refused_suspends_the_judge_and_says_why(
    store: Store, model: WireServer
) -> None:
    model.script = lambda _request: error(401, "Incorrect API key provided")
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(5)])
    run_all(store, model)
    assert len(model.requests) == 3
    with store.read() as session:
        (view,) = queries.list_monitors(session, WORKSPACE)
    assert view.state == "suspended"
    assert view.evaluator.reason == (
        "3 times in a row: authentication_error: Incorrect API key provided"
    )
    with store.write() as session:
        writes.resume_evaluator(session, WORKSPACE, view.evaluator.version_id)
    model.script = always("true")
    run_all(store, model)
    counts = [len(detail_of(store, f"log_{n}").summary.judgments) for n in range(5)]
    assert counts == [1, 1, 1, 1, 1]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    jail = open_jail(Limits(wall_s=0.5, batch_wall_s=2.5))
    yield jail
    jail.close()


def test_judge_that_hangs_does_not_hold_up_code(
    store: Store, model: WireServer, sandbox: Sandbox
) -> None:
    gate = Gate()
    model.script = gate
    judges.register(store, on="support/reply")
    samples.register(store, on="support/reply")
    dispatcher = JudgeDispatcher([worker_of(store, model)])
    store.ingest(WORKSPACE, [log_record("log_a")])
    assert dispatcher.run_once()
    gate.wait_for(1)
    settings = settings_for(model)
    for lane in ("unproven", "proven"):
        code = EvaluationWorker(store, sandbox, settings, lane=lane)  # type: ignore[arg-type]
        while code.run_once():
            pass
    judged = detail_of(store, "log_a").summary.judgments
    assert [judgment.evaluator_path for judgment in judged] == ["checks/good"]
    gate.is_open.set()
    assert dispatcher.join(20)
    assert len(detail_of(store, "log_a").summary.judgments) == 2


def test_models_are_asked_so_many_at_once_and_no_more(store: Store, model: WireServer) -> None:
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_first")])
    run_all(store, model)  # proven: now it may be asked several at once
    gate = Gate()
    model.script = gate
    dispatcher = JudgeDispatcher([worker_of(store, model) for _ in range(3)])
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(6)])
    for _slot in range(3):
        assert dispatcher.run_once()
    gate.wait_for(3)
    assert dispatcher.run_once()  # all are taken: it has waited for one, and asks to come again
    gate.is_open.set()
    while dispatcher.run_once() or open_jobs(store):  # one that is ending keeps others from a claim
        pass
    assert dispatcher.join(20)
    assert gate.most == 3
    assert all(len(detail_of(store, f"log_{n}").summary.judgments) == 1 for n in range(6))


def test_judge_that_has_not_answered_yet_is_asked_one_at_a_time(
    store: Store, model: WireServer
) -> None:
    gate = Gate()
    model.script = gate
    judges.register(store, on="support/reply")
    dispatcher = JudgeDispatcher([worker_of(store, model) for _ in range(3)])
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(3)])
    assert dispatcher.run_once()
    gate.wait_for(1)
    assert not dispatcher.run_once()
    gate.is_open.set()
    assert dispatcher.join(20)
    assert gate.most == 1


def test_job_given_back_at_the_end_is_judged_by_another(store: Store, model: WireServer) -> None:
    gate = Gate()
    answers: list[Callable[[Request], Reply]] = [gate, always("false")]
    model.script = lambda request: answers.pop(0)(request)
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    worker = worker_of(store, model)
    dispatcher = JudgeDispatcher([worker])
    assert dispatcher.run_once()
    gate.wait_for(1)
    assert not dispatcher.join(0.01)
    worker.give_back()
    run_all(store, model)
    gate.is_open.set()
    assert dispatcher.join(20)
    (judgment,) = detail_of(store, "log_a").summary.judgments
    assert judgment.value is False
    (job,) = rows(store, Job)
    assert (job["state"], job["attempts"]) == ("done", 1)


def test_slot_is_free_again_when_the_database_fails(
    store: Store, model: WireServer, caplog: pytest.LogCaptureFixture
) -> None:
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record("log_a")])
    dispatcher = JudgeDispatcher([worker_of(store, model)])
    ingest = store.ingest

    def failing(*_: Any) -> Any:
        raise OSError("no disk")

    store.ingest = failing  # type: ignore[method-assign]
    assert dispatcher.run_once()
    assert dispatcher.join(20)
    store.ingest = ingest  # type: ignore[method-assign]
    assert "its job is put off" in caplog.text
    (job,) = rows(store, Job)
    assert (job["state"], job["last_error"]) == ("waiting", "OSError: no disk")


def test_dispatcher_in_threads_judges_each_log_once(store: Store, model: WireServer) -> None:
    judges.register(store, on="support/reply")
    store.ingest(WORKSPACE, [log_record(f"log_{n}") for n in range(12)])
    dispatchers = [JudgeDispatcher([worker_of(store, model) for _ in range(2)]) for _ in range(2)]

    def drain(dispatcher: JudgeDispatcher) -> None:
        while dispatcher.run_once() or open_jobs(store):
            pass
        assert dispatcher.join(20)

    threads = [threading.Thread(target=drain, args=(one,)) for one in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(model.requests) == 12
    assert all(len(detail_of(store, f"log_{n}").summary.judgments) == 1 for n in range(12))


def open_jobs(store: Store) -> int:
    return sum(job["state"] != "done" for job in rows(store, Job))
