from dataclasses import MISSING, fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kibitz_collector.records import LogSummary, Tokens
from kibitz_collector.store.queries.trees import order_tree


def summary(number: int, parent: str | None) -> LogSummary:
    known = {"id", "seq", "kind", "name", "trace_parent_id", "start_ns", "status", "tokens"}
    known |= {"flags", "keep_probability", "received_ns"}
    required = (f.name for f in fields(LogSummary) if f.default_factory is f.default is MISSING)
    nothing: dict[str, Any] = {name: None for name in required if name not in known}
    return LogSummary(
        id=str(number),
        seq=number,
        kind="tool",
        name="x",
        trace_parent_id=parent,
        start_ns=number,
        status="complete",
        tokens=Tokens(),
        flags=[],
        keep_probability=1.0,
        received_ns=0,
        **nothing,
    )


def shape(*parents: str | None) -> list[tuple[int, str, bool]]:
    logs = [summary(number, parent) for number, parent in enumerate(parents)]
    return [(depth, log.id, orphan) for depth, log, orphan in order_tree(list(reversed(logs)))]


def test_children_follow_their_parent_in_the_order_of_their_start() -> None:
    assert shape(None, "0", "1", "0", None) == [
        (0, "0", False),
        (1, "1", False),
        (2, "2", False),
        (1, "3", False),
        (0, "4", False),
    ]


def test_logs_whose_parent_is_missing_are_orphans_at_the_top() -> None:
    assert shape("gone", "0") == [(0, "0", True), (1, "1", False)]


def test_cycles_and_self_parents_are_shown_from_their_earliest_log() -> None:
    assert shape("2", "0", "1", "3") == [
        (0, "3", True),
        (0, "0", True),
        (1, "1", False),
        (2, "2", False),
    ]


def test_a_chain_longer_than_the_stack_is_placed() -> None:
    parents = [None, *(str(number) for number in range(4999))]
    assert shape(*parents)[-1] == (4999, "4999", False)


@given(st.lists(st.none() | st.integers(-2, 12).map(str), max_size=12))
def test_every_log_comes_out_once(parents: list[str | None]) -> None:
    assert sorted(id_ for _, id_, _ in shape(*parents)) == sorted(
        str(number) for number in range(len(parents))
    )
