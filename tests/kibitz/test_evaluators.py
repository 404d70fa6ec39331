import json
import re
import statistics as stats
import time
from collections import Counter
from typing import Any

import pytest

import kibitz
from kibitz import _evaluators
from kibitz import semconv as sc
from kibitz._evaluators import as_log, judge_waiting
from kibitz.testing import Spans, capture

THRESHOLD = 3
Log = dict[str, Any]


def content(spans: Spans) -> dict[str, Any]:
    (record,) = spans.log_records()
    assert record["event"] == sc.FILE_REGISTER_EVENT
    assert record["attributes"][sc.FILE_TYPE] == "evaluator"
    found: dict[str, Any] = json.loads(record["attributes"][sc.FILE_CONTENT])
    return found


def test_it_registers_its_source_without_decorators_and_hints(spans: Spans) -> None:
    @kibitz.evaluator(path="support/is_polite", on="support/answer", sample_rate=0.5)
    def is_polite(log: Log) -> bool:
        """Polite?"""
        words: list[str] = re.findall("please|thank", log["output"])
        return len(words) > 0 and stats.mean([1, 1]) == 1 and Counter("a")["a"] == 1

    found = content(spans)
    code = found.pop("code")
    assert found == {
        "evaluator_type": "code",
        "return_type": "boolean",
        "where": "collector",
        "on": "support/answer",
        "sample_rate": 0.5,
    }
    assert code.splitlines()[:4] == [
        "from collections import Counter",
        "import re",
        "import statistics as stats",
        "def is_polite(log):",
    ]
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["is_polite"]({"output": "thank you"}) is True


def test_it_registers_when_init_comes_later() -> None:
    @kibitz.evaluator(path="later", return_type="select", options=["a", "b"])
    def later(log: Log) -> str:
        return "a"

    with capture() as spans:
        assert content(spans)["options"] == ["a", "b"]


def test_called_directly_it_is_a_guardrail(spans: Spans) -> None:
    @kibitz.evaluator(path="is_short", return_type="boolean")
    def is_short(log: Log) -> bool:
        return len(log["output"]) < 10

    @kibitz.flow
    def answer() -> bool:
        return is_short({"output": "hi"})

    assert answer() is True
    assert spans.tree() == {"answer": {"is_short": {}}}
    found = spans.named("is_short")["attributes"]
    assert found[sc.FILE_TYPE] == "evaluator"
    assert sc.OPERATION not in found
    assert found[sc.LOG_INPUTS] == '{"log":{"output":"hi"}}'
    assert found[sc.LOG_OUTPUT] == "true"
    assert json.loads(found[sc.FILE_CONTENT])["code"].startswith("def is_short(log):")


def helper(log: Log) -> bool:
    return True


def test_unresolved_globals_are_refused_by_name() -> None:
    limit = 3
    with pytest.raises(kibitz.ConfigError, match=r"uses THRESHOLD, helper, limit, pytest, which"):

        @kibitz.evaluator
        def bad(log: Log) -> bool:
            pytest.skip("x")
            return helper(log) and len(log) > THRESHOLD + limit


def test_what_the_function_has_itself_is_no_global(spans: Spans) -> None:
    @kibitz.evaluator
    def good(log: Log, least: int = 2) -> bool:
        import math

        def inner(x: int) -> int:
            return x + least

        return any(inner(n) > math.pi for n in [1, 2]) and {k: v for k, v in log.items()} == log

    assert good({}) is True


def test_a_lambda_cannot_be_sent_but_may_stay(spans: Spans) -> None:
    with pytest.raises(kibitz.ConfigError, match='where="app"'):
        kibitz.evaluator(path="x")(lambda log: True)
    assert kibitz.evaluator(path="x", where="app")(lambda log: log)(1) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"return_type": "bool"}, "return_type='bool'"),
        ({"options": ["a"]}, "options="),
        ({"return_type": "select"}, "options="),
        ({"where": "cloud"}, "where='cloud'"),
        ({"sample_rate": 0}, "sample_rate=0"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(kibitz.ConfigError, match=message):
        kibitz.evaluator(path="x", **arguments)(helper)


def test_where_app_judges_after_the_span_on_a_thread_of_its_own(spans: Spans) -> None:
    seen = []

    @kibitz.evaluator(path="long", where="app", on="support/*", return_type="number")
    def long(log: Log) -> int:
        seen.append(log)
        return THRESHOLD + len(log["output"])

    @kibitz.flow(path="support/answer")
    def answer(question: str) -> str:
        return "hello"

    with kibitz.session("s", user="u"):
        answer("hi")
    deadline = time.monotonic() + 5
    while len(spans.log_records()) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)  # another thread's work, not a clock of ours
    verdict = spans.log_records()[1]["attributes"]
    assert verdict[sc.JUDGMENT_VALUE] == "8"
    assert verdict[sc.EVALUATION_NAME] == "long"
    assert verdict[sc.JUDGED_LOG_ID] == seen[0]["id"]
    assert seen[0]["inputs"] == {"question": "hi"}
    assert (seen[0]["session_id"], seen[0]["user"], seen[0]["error"]) == ("s", "u", None)


def test_a_failing_evaluator_of_the_app_says_why(spans: Spans) -> None:
    made = _evaluators.declare(
        lambda log: log["no"],
        "e",
        return_type="boolean",
        options=None,
        where="app",
        on=None,
        sample_rate=1.0,
    )
    judge_waiting(made, {"id": "log_1"})
    verdict = spans.log_records()[1]["attributes"]
    assert verdict[sc.JUDGMENT_VALUE] == "null"
    assert verdict[sc.EVALUATION_EXPLANATION] == "KeyError: 'no'"


def test_a_span_reads_as_a_log() -> None:
    from kibitz._opening import open_span

    with capture():
        span = open_span("chat")
        assert span is not None
        span.set_json(sc.INPUT_MESSAGES, [{"role": "user"}])
        span.fail(ValueError("x"))
        log = as_log(span)
    assert (log["messages"], log["error"], log["output"]) == ([{"role": "user"}], "x", None)
