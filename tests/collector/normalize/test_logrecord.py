"""Judgments, registrations and messages that come as OpenTelemetry log records."""

from typing import Any

import pytest

from kibitz import semconv as sc
from kibitz.ids import log_id_from_hex
from kibitz_collector.normalize import join_log_records, normalize, normalize_log, refusal
from kibitz_collector.records import FileRegistration, Judgment, LogRecord
from tests.collector.normalize.spans import SPAN, START_NS, TRACE, log_record, span

JUDGED = log_id_from_hex(TRACE, SPAN)
DETAILS = "gen_ai.client.inference.operation.details"


def judgment_of(attributes: dict[str, Any], **given: Any) -> LogRecord:
    log = normalize_log(
        log_record(sc.EVALUATION_EVENT, {sc.EVALUATION_NAME: "rating", **attributes}, **given)
    )
    assert isinstance(log, LogRecord)
    return log


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", {"return_type": "boolean", "number": 1.0}),
        ("0.5", {"return_type": "number", "number": 0.5}),
        ('"good"', {"return_type": "select", "labels": ["good"]}),
        ('["a", "b"]', {"return_type": "multi_select", "labels": ["a", "b"]}),
        ("null", {"return_type": "select"}),
        ('"' + "long " * 20 + '"', {"return_type": "text", "text": "long " * 20}),
    ],
)
def test_judgment_value_keeps_its_type(value: str, expected: dict[str, Any]) -> None:
    log = judgment_of({sc.JUDGMENT_VALUE: value, sc.JUDGMENT_WHERE: "feedback", sc.USER_ID: "u1"})
    assert log.judgment == Judgment(
        **{"judged_log_id": JUDGED, "where": "feedback", "made_by": "u1", **expected}
    )


def test_standard_evaluation_result_is_a_judgment() -> None:
    log = judgment_of(
        {
            sc.EVALUATION_SCORE: 0.9,
            sc.EVALUATION_LABEL: "pass",
            sc.EVALUATION_EXPLANATION: "polite",
        }
    )
    assert (log.kind, log.parent_id, log.body.output) == ("evaluator", JUDGED, "polite")
    assert log.trace_parent_id is None
    assert log.file is not None
    assert log.file.path == "rating"
    assert log.judgment is not None
    assert (log.judgment.number, log.judgment.where) == (0.9, "external")


def test_label_alone_is_a_choice() -> None:
    judgment = judgment_of({sc.EVALUATION_LABEL: "polite"}).judgment
    assert judgment is not None
    assert (judgment.return_type, judgment.labels) == ("select", ["polite"])


def test_failed_evaluation_is_an_error() -> None:
    log = judgment_of({"error.type": "TimeoutError", sc.EVALUATION_EXPLANATION: "took too long"})
    assert (log.status, log.error_type) == ("error", "TimeoutError")
    assert log.judgment is not None
    assert log.judgment.is_error


def test_judgment_sent_twice_is_one() -> None:
    once = judgment_of({sc.JUDGMENT_VALUE: "true", sc.JUDGMENT_ID: "j1"})
    again = judgment_of({sc.JUDGMENT_VALUE: "true", sc.JUDGMENT_ID: "j1"}, time_ns=START_NS + 5)
    other = judgment_of({sc.JUDGMENT_VALUE: "true", sc.JUDGMENT_ID: "j2"})
    assert once.id == again.id != other.id
    assert len(once.id) == len(JUDGED)


def test_judgment_names_the_log_it_is_about() -> None:
    log = judgment_of(
        {sc.JUDGED_LOG_ID: "log_mine", sc.JUDGMENT_VALUE: "true"}, trace_id=None, span_id=None
    )
    assert log.parent_id == "log_mine"


def test_judgment_about_nothing_is_refused_with_a_reason() -> None:
    record = log_record(sc.EVALUATION_EVENT, {sc.EVALUATION_NAME: "x"}, trace_id=None)
    assert normalize_log(record) is None
    assert sc.JUDGED_LOG_ID in (refusal(record) or "")


def test_registration_carries_the_evaluators_content() -> None:
    content = '{"evaluator_type": "code", "code": "def f(log): return True"}'
    record = log_record(
        sc.FILE_REGISTER_EVENT,
        {sc.FILE_PATH: "support/f", sc.FILE_TYPE: "evaluator", sc.FILE_CONTENT: content},
    )
    assert normalize_log(record) == FileRegistration(
        kind="evaluator",
        path="support/f",
        content={"evaluator_type": "code", "code": "def f(log): return True"},
    )
    del record.attributes[sc.FILE_CONTENT]
    assert normalize_log(record) is None
    assert sc.FILE_CONTENT in (refusal(record) or "")


def test_foreign_log_record_is_no_business_of_ours() -> None:
    record = log_record("", {"event.name": "app.started"}, body="hello")
    assert normalize_log(record) is None
    assert refusal(record) is None


def test_details_fill_the_log_of_their_span() -> None:
    asked = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    record = log_record(DETAILS, {sc.OPERATION: "chat", sc.REQUEST_MODEL: "m"})
    record.body = {sc.INPUT_MESSAGES: asked}
    log = normalize_log(record)
    assert isinstance(log, LogRecord)
    assert (log.id, log.is_start, log.status) == (JUDGED, True, "incomplete")
    assert log.body.messages == [{"role": "user", "content": "hi"}]
    assert log.id == normalize(span()).id


def test_details_without_a_span_are_a_log_of_their_own() -> None:
    first = log_record(DETAILS, {sc.OPERATION: "chat"}, trace_id=None, span_id=None)
    log, again = normalize_log(first), normalize_log(first)
    assert isinstance(log, LogRecord)
    assert isinstance(again, LogRecord)
    assert (log.status, log.is_start, log.trace_id) == ("complete", False, None)
    assert log.id == again.id


def test_messages_sent_one_by_one_are_put_together() -> None:
    records = [
        log_record("gen_ai.system.message", {"gen_ai.system": "openai"}, body={"content": "brief"}),
        log_record("", {"event.name": "gen_ai.user.message"}, body='{"content": "hi"}'),
        log_record(
            "gen_ai.choice",
            {"index": 0, "finish_reason": "stop"},
            body={"message": {"role": "assistant", "content": "ho"}},
        ),
    ]
    found = [normalize_log(record) for record in records]
    (log,) = join_log_records([f for f in found if isinstance(f, LogRecord)])
    assert log.id == JUDGED
    assert log.body.messages == [
        {"role": "system", "content": "brief"},
        {"role": "user", "content": "hi"},
    ]
    assert log.body.output == "ho"
    assert log.finish_reason == "stop"
