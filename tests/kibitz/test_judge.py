from typing import Any

import pytest

import kibitz
from kibitz import _guard
from kibitz import semconv as sc
from kibitz.testing import START_NS, Spans


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, ("true", 1.0, "true")),
        (0, ("0", 0.0, None)),
        (0.5, ("0.5", 0.5, None)),
        ("good", ('"good"', None, "good")),
        (["a", "b"], ('["a","b"]', None, "a, b")),
        (None, ("null", None, None)),
    ],
)
def test_a_verdict_is_a_log_record(spans: Spans, value: Any, expected: tuple[Any, ...]) -> None:
    kibitz.judge("log_abc", "rating", value, user="u1", explanation="why", metadata={"a": 1})
    (record,) = spans.log_records()
    found = record["attributes"]
    assert record["event"] == sc.EVALUATION_EVENT
    assert len(found.pop(sc.JUDGMENT_ID)) == 24
    value_json, score, label = expected
    assert found == {
        sc.EVALUATION_NAME: "rating",
        sc.JUDGED_LOG_ID: "log_abc",
        sc.JUDGMENT_VALUE: value_json,
        **({sc.EVALUATION_SCORE: score} if score is not None else {}),
        **({sc.EVALUATION_LABEL: label} if label is not None else {}),
        sc.EVALUATION_EXPLANATION: "why",
        sc.JUDGMENT_WHERE: "feedback",
        sc.USER_ID: "u1",
        sc.METADATA: '{"a":1}',
    }
    assert spans.raw(2)[0]["timeUnixNano"] == str(START_NS)


def test_the_current_log_may_be_meant(spans: Spans) -> None:
    @kibitz.flow
    def run() -> str:
        kibitz.judge(None, "a", True)
        kibitz.judge(kibitz.current(), "b", True)
        return kibitz.current().id

    log_id = run()
    assert [each["attributes"][sc.JUDGED_LOG_ID] for each in spans.log_records()] == [log_id] * 2


def test_what_cannot_be_a_verdict_is_left_out_silently(spans: Spans) -> None:
    _guard.set_strict(False)
    kibitz.judge("", "rating", 1)
    kibitz.judge("log_1", "rating", object())  # type: ignore[arg-type]
    kibitz.judge(42, "rating", 1)  # type: ignore[arg-type]
    assert spans.log_records() == []


def test_before_init_it_does_nothing() -> None:
    kibitz.judge("log_1", "rating", "good")
