import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kibitz_collector.records import (
    FileReference,
    LogBody,
    LogError,
    LogRecord,
    Status,
    Tokens,
)
from kibitz_collector.store.bodies import to_values
from kibitz_collector.store.merge import Facts, collides, merge, read_facts
from kibitz_collector.store.rows import to_row
from tests.collector.store.facts import START_NS, log

SCALARS = st.one_of(st.none(), st.sampled_from(["a", "b", "bb", ""]))
DICTS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["k", "l", "m:n"]),
        st.sampled_from([1, 1.0, True, "1", None, [1]]),
        max_size=3,
    ),
)


@st.composite
def pieces(draw: st.DrawFn) -> LogRecord:
    """One piece of one Log: a start record, a span, a log record about it, an API post."""
    is_start = draw(st.booleans())
    status: Status = draw(st.sampled_from(["incomplete", "complete", "error", "lost", "abandoned"]))
    return log(
        "log_x",
        draw(st.sampled_from([None, "log_p"])),
        # Two whole records of one Log agree on start and name: that is what makes them one.
        name=draw(st.sampled_from(["early", "late"])) if is_start else "whole",
        start_ns=START_NS + (draw(st.integers(-2, 2)) if is_start else 0),
        end_ns=draw(st.sampled_from([None, START_NS + 5, START_NS + 9])),
        kind=draw(st.sampled_from(["span", "prompt", "tool"])),
        trace_id=draw(st.sampled_from([None, "t1", "t2"])),
        session_id=draw(SCALARS),
        user=draw(SCALARS),
        model=draw(SCALARS),
        status=status,
        tokens=draw(
            st.one_of(
                st.none(),
                st.builds(Tokens, input_uncached=st.sampled_from([None, 0, 5]), output=st.just(7)),
            )
        ),
        cost_usd=draw(st.sampled_from([None, 0.0, 0.5])),
        flags=draw(st.lists(st.sampled_from(["x", "y"]), max_size=2)),
        keep_probability=draw(st.sampled_from([1.0, 0.5])),
        mapper_version=draw(st.integers(0, 2)),
        is_genai=draw(st.booleans()),
        is_start=is_start,
        file=draw(st.sampled_from([None, FileReference(kind="prompt", path="a"), None])),
        body=LogBody(
            inputs=draw(DICTS),
            metadata=draw(DICTS),
            attributes=draw(DICTS),
            output=draw(st.sampled_from([None, 0, False, "", "text", {"a": 1}, [1, 2]])),
            tags=draw(st.sampled_from([None, ["a"], ["b"]])),
            error=draw(st.sampled_from([None, LogError(type="E"), LogError(message="m")])),
        ),
    )


def facts(record: LogRecord, now_ns: int = 1) -> Facts:
    file_id = None if record.file is None else f"pr_{record.file.path}"
    row = to_row(record, 1, file_id, file_id and "prv_1", now_ns)
    row["seq"] = 1
    return Facts(row, to_values(record.body))


def fold(records: list[LogRecord]) -> dict[str, Any]:
    whole = facts(records[0])
    for record in records[1:]:
        # Through the stored form each time, as in the database.
        whole = read_facts(whole.row, whole.values)
        whole = merge(whole, facts(record), 1)
    typed = {name: (type(value), value) for name, value in whole.row.items()}
    return {**typed, "values": whole.values}


@given(st.lists(pieces(), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_any_order_and_any_repetition_gives_the_same_log(
    records: list[LogRecord], luck: random.Random
) -> None:
    expected = fold(records)
    shuffled = [*records, *luck.choices(records, k=3)]
    luck.shuffle(shuffled)
    assert fold(shuffled) == expected


@pytest.mark.parametrize("start_first", [True, False])
def test_the_end_wins_over_the_start_record(start_first: bool) -> None:
    start = log(
        "log_x",
        name="old name",
        is_start=True,
        status="incomplete",
        end_ns=None,
        model="asked-for",
        body=LogBody(inputs={"q": 1}, metadata={"step": 1, "only_at_start": True}),
    )
    end = log(
        "log_x", name="new name", model="used", body=LogBody(metadata={"step": 2}, output="x")
    )
    order = [start, end] if start_first else [end, start]
    whole = merge(facts(order[0]), facts(order[1]), 2)
    assert whole.row["name"] == "new name"
    assert whole.row["status"] == "complete"
    assert whole.row["model"] == "used"
    assert whole.row["duration_ms"] == 1000.0
    assert whole.row["is_start"] is False
    assert whole.values == {
        "inputs": {"q": 1},
        "metadata": {"step": 2, "only_at_start": True},
        "output": "x",
    }


def test_a_log_record_fills_what_the_span_leaves_open() -> None:
    span = log("log_x", body=LogBody(output="from the span"))
    record = log(
        "log_x", is_start=True, body=LogBody(output="from the record", messages=[{"role": "user"}])
    )
    whole = merge(facts(span), facts(record), 2)
    assert whole.values == {"output": "from the span", "messages": [{"role": "user"}]}


def test_two_whole_records_with_another_start_or_name_collide() -> None:
    one = facts(log("log_x")).row
    assert not collides(one, facts(log("log_x")).row)
    assert collides(one, facts(log("log_x", name="other")).row)
    assert collides(one, facts(log("log_x", start_ns=START_NS + 1)).row)
    assert not collides(one, facts(log("log_x", name="other", is_start=True)).row)


def test_zero_and_false_are_values_that_nothing_fills() -> None:
    whole = merge(
        facts(log("log_x", cost_usd=0.0, body=LogBody(output=False))),
        facts(log("log_x", is_start=True, cost_usd=1.0, body=LogBody(output="x"))),
        2,
    )
    assert whole.row["cost_usd"] == 0.0
    assert whole.values["output"] is False
