"""One Log, one question to a model, one verdict."""

from collections.abc import Iterator
from typing import Any

import pytest

from kibitz_collector.config import Settings
from kibitz_collector.evaluate.evaluators import llm
from kibitz_collector.evaluate.evaluators.llm import ModelVerdict, judge, judge_one
from kibitz_collector.files.kinds.evaluator import read_evaluator
from kibitz_collector.store import Store
from tests.collector.evaluate.judges import (
    COST_USD,
    Gate,
    always,
    caller_of,
    content,
    error,
    last_message,
    said,
    settings_for,
)
from tests.integrations.wire.server import Reply, Request, WireServer

LOG: dict[str, Any] = {
    "id": "log_a",
    "kind": "prompt",
    "inputs": {"question": "Open?"},
    "messages": [],
    "output": "At nine, please.",
    "error": None,
}


@pytest.fixture
def model() -> Iterator[WireServer]:
    server = WireServer(always("It says please.\n\nTrue"))
    yield server
    server.close()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "RETRY_DELAYS_S", (0.01, 0.02))


def ask(store: Store, model: WireServer, log: dict[str, Any] = LOG, **more: Any) -> ModelVerdict:
    settings = more.pop("settings", None) or settings_for(model)
    return judge_one(caller_of(store, settings), read_evaluator(content(**more)), log)


def test_model_is_asked_with_the_filled_prompt_and_its_last_line_is_the_verdict(
    sqlite_store: Store, model: WireServer
) -> None:
    verdict = ask(sqlite_store, model, prompt={"temperature": 0, "max_tokens": 50})
    (request,) = model.requests
    assert last_message(request) == ("Question: Open?\nAnswer: At nine, please.\nIs it polite?")
    assert (request.body["temperature"], request.body["max_tokens"]) == (0, 50)
    assert request.headers["authorization"] == "Bearer sk-judge"
    assert (verdict.value, verdict.error) == (True, None)
    assert verdict.inputs == {"log.inputs.question": "Open?", "log.output": "At nine, please."}
    assert verdict.sample is not None
    assert verdict.sample.output == "It says please.\n\nTrue"
    costs = (verdict.sample.prompt_cost_usd, verdict.sample.output_cost_usd)
    assert sum(c or 0 for c in costs) == pytest.approx(COST_USD)
    assert verdict.duration_ms > 0


def test_messages_and_jinja_are_filled_too(sqlite_store: Store, model: WireServer) -> None:
    chat = [
        {"role": "system", "content": "You judge. {{testcase.target}}"},
        {"role": "user", "content": "{{log_output}}"},
    ]
    ask(sqlite_store, model, {**LOG, "testcase": {"target": {"a": 1}}}, template=chat)
    jinja = "{% if log.error %}failed{% else %}{{ log.output }}{% endif %}"
    ask(sqlite_store, model, template=jinja, prompt={"template_language": "jinja"})
    asked = [[m["content"] for m in r.body["messages"]] for r in model.requests]
    assert asked == [['You judge. {"a":1}', "At nine, please."], ["At nine, please."]]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{log.inputs.nothing}} {{question}}", "not given: log.inputs.nothing, question"),
        ("{{testcase.target}}", "not given: testcase.target"),
        (None, "has no prompt with a template"),
    ],
)
def test_template_that_cannot_be_filled_is_an_error_and_nobody_is_asked(
    sqlite_store: Store, model: WireServer, template: Any, words: str
) -> None:
    verdict = ask(sqlite_store, model, template=template)
    assert verdict.error is not None
    assert verdict.error.type == "BadPrompt"
    assert words in verdict.error.message
    assert model.requests == []
    assert not verdict.is_strike


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (said("I think it is fine"), "Unparsable", "not true or false: 'I think it is fine'"),
        (said("I think", "length"), "Unparsable", "cut off: raise the limit"),
        (said("", "stop"), "NoVerdict", "the judge said nothing"),
        (said(None, "tool_calls"), "NoVerdict", "wanted to call a tool"),
    ],
)
def test_answer_without_a_verdict_is_an_error_that_keeps_the_text(
    sqlite_store: Store, model: WireServer, answer: Reply, kind: str, words: str
) -> None:
    model.script = lambda _request: answer
    verdict = ask(sqlite_store, model)
    assert verdict.error is not None
    assert verdict.error.type == kind
    assert words in verdict.error.message
    assert verdict.value is None
    assert verdict.sample is not None
    assert verdict.sample.output == answer.body["choices"][0]["message"]["content"]
    assert (verdict.is_transient, verdict.is_strike) == (False, False)


def test_number_outside_the_limits_is_an_error(sqlite_store: Store, model: WireServer) -> None:
    model.script = always("7")
    limits = {"min": 1, "max": 5, "step": 1}
    verdict = ask(sqlite_store, model, return_type="number", number_limits=limits)
    assert verdict.error is not None
    assert (verdict.error.type, verdict.value) == ("WrongType", None)
    assert verdict.error.message == "7 is over the greatest number allowed, 5"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failure_of_a_moment_is_asked_again(
    sqlite_store: Store, model: WireServer, status: int
) -> None:
    answers = [error(status), error(status), said("true")]
    model.script = lambda _request: answers.pop(0)
    assert ask(sqlite_store, model).value is True
    assert len(model.requests) == 3


def test_failure_that_lasts_through_the_retries_is_worth_another_try_later(
    sqlite_store: Store, model: WireServer
) -> None:
    model.script = lambda _request: error(503, "overloaded")
    verdict = ask(sqlite_store, model)
    assert len(model.requests) == 3
    assert verdict.error is not None
    assert (verdict.error.type, verdict.error.message) == ("server_error", "overloaded")
    assert (verdict.is_transient, verdict.is_strike) == (True, False)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_failure_of_the_evaluator_itself_counts_against_it(
    sqlite_store: Store, model: WireServer, status: int
) -> None:
    model.script = lambda _request: error(status)
    verdict = ask(sqlite_store, model)
    assert len(model.requests) == 1
    assert (verdict.is_transient, verdict.is_strike) == (False, True)


def test_provider_without_a_key_is_an_error_that_says_what_to_do(
    sqlite_store: Store, model: WireServer
) -> None:
    settings = Settings(openai_base_url=f"{model.url}/v1", openai_api_key=None)
    verdict = ask(sqlite_store, model, settings=settings)
    assert verdict.error is not None
    assert verdict.error.type == "configuration_error"
    assert "PUT /api/providers/openai" in verdict.error.message
    assert verdict.is_strike


def test_model_that_never_ends_is_left_after_the_time_there_is(
    sqlite_store: Store, model: WireServer
) -> None:
    gate = Gate()
    model.script = gate
    settings = settings_for(model, judge_timeout_s=0.2)
    verdict = ask(sqlite_store, model, settings=settings)
    gate.is_open.set()
    assert verdict.error is not None
    assert verdict.error.type == "timeout_error"
    assert (verdict.is_transient, verdict.is_strike) == (True, False)


def test_several_logs_are_judged_at_once_and_come_back_in_order(
    sqlite_store: Store, model: WireServer
) -> None:
    gate = Gate()

    def answer(request: Request) -> Reply:
        gate(request)
        return said("true" if "log 1" in last_message(request) else "false")

    model.script = answer
    logs = [{**LOG, "output": f"log {number}"} for number in range(3)]
    gate.is_open.set()
    caller = caller_of(sqlite_store, settings_for(model))
    verdicts = judge(read_evaluator(content()), logs, caller=caller)
    assert [verdict.value for verdict in verdicts] == [False, True, False]


@pytest.mark.parametrize("body", ["<html>oops</html>", [], {"choices": []}])
def test_answer_that_is_none_is_an_error(sqlite_store: Store, model: WireServer, body: Any) -> None:
    model.script = lambda _request: Reply(body)
    verdict = ask(sqlite_store, model)
    assert verdict.error is not None
    assert verdict.error.type in ("server_error", "NoVerdict")
    assert (verdict.value, verdict.is_strike) == (None, False)


@pytest.mark.parametrize(
    "prompt",
    [{"template": [1]}, {"response_format": "json"}, {"tools": 5, "stop": {}}, {"model": 7}],
)
def test_prompt_of_no_known_form_is_an_error_of_the_evaluator(
    sqlite_store: Store, model: WireServer, prompt: dict[str, Any]
) -> None:
    verdict = ask(sqlite_store, model, prompt=prompt)
    if verdict.error is not None:
        assert verdict.error.type == "BadPrompt"
        assert model.requests == []
