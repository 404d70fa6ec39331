"""The life of an alert: one firing per crossing, each told once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kibitz_collector.alert.rules import (
    Reading,
    check_condition,
    close,
    default_recover_s,
    step,
)
from kibitz_collector.errors import Invalid
from kibitz_collector.store.alerts import Condition, GroupState

S = 10**9
LOW = Condition(metric="m", comparison="<", threshold=0.8)


def run(condition, readings, *, snoozed=(), start=GroupState()):  # noqa: B008  # frozen
    """Feed one reading per second; returns the steps."""
    steps, state = [], start
    for second, reading in enumerate(readings):
        if not isinstance(reading, Reading):
            reading = Reading(value=reading, sample=0 if reading is None else 10)
        taken = step(
            condition,
            state,
            reading,
            now_ns=second * S,
            is_snoozed=second in snoozed,
            firing_id=f"fire_{second}",
        )
        steps.append(taken)
        state = taken.state
    return steps


def names(steps):
    return [one.state.state for one in steps]


def opened(steps):
    return [i for i, one in enumerate(steps) if one.opened]


def closed(steps):
    return [i for i, one in enumerate(steps) if one.closed_id]


def told(steps):
    return [
        kind
        for one in steps
        for kind, is_told in (("close", one.tells_close), ("open", one.tells_open))
        if is_told
    ]


def test_a_crossing_fires_once_and_recovers_once():
    steps = run(LOW, [0.9, 0.7, 0.6, 0.5, 0.9, 0.9])
    assert names(steps) == ["ok", "firing", "firing", "firing", "resolved", "resolved"]
    assert (opened(steps), closed(steps)) == ([1], [4])
    assert told(steps) == ["open", "close"]
    assert steps[1].state == GroupState(
        state="firing", since_ns=S, firing_id="fire_1", is_announced=True, value=0.7, sample=10
    )


def test_a_breach_must_last_for_the_set_time():
    patient = replace(LOW, for_s=3)
    assert names(run(patient, [0.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.5])) == [
        "pending", "pending", "ok", "pending", "pending", "pending", "firing",
    ]  # fmt: skip


def test_too_few_to_say_neither_fires_nor_ends_a_firing():
    few = Reading(value=0.1, sample=4)
    strict = replace(LOW, min_sample=5)
    assert names(run(strict, [few, few])) == ["ok", "ok"]
    steps = run(strict, [0.5, few, Reading(value=1.0, sample=4), 0.9])
    assert names(steps) == ["firing", "firing", "firing", "resolved"]


def test_a_value_that_swings_around_the_threshold_is_told_once():
    calm = replace(LOW, recover_s=3)
    steps = run(calm, [0.7, 0.9, 0.7, 0.9, 0.7, 0.9, 0.9, 0.9, 0.9, 0.9])
    assert (opened(steps), closed(steps)) == ([0], [8])


def test_between_the_thresholds_nothing_changes():
    hysteresis = replace(LOW, recovery_threshold=0.9)
    assert names(run(hysteresis, [0.85, 0.7, 0.85, 0.85, 0.95, 0.85])) == [
        "ok", "firing", "firing", "firing", "resolved", "resolved",
    ]  # fmt: skip


def test_an_empty_window_ends_a_firing_when_silence_is_ignored():
    steps = run(LOW, [0.5, None])
    assert names(steps) == ["firing", "resolved"]
    assert steps[1].close_reason == "no_data"


def test_silence_fires_once_when_the_rule_says_so():
    loud = replace(LOW, no_data="fire")
    steps = run(loud, [0.9, None, None, None, 0.9])
    assert names(steps) == ["ok", "no_data", "no_data", "no_data", "resolved"]
    assert told(steps) == ["open", "close"]
    assert steps[1].opened == "no_data"


def test_silence_turning_into_a_breach_closes_one_firing_and_opens_another():
    steps = run(replace(LOW, no_data="fire"), [None, 0.5])
    assert (steps[1].closed_id, steps[1].opened, steps[1].state.firing_id) == (
        "fire_0", "threshold", "fire_1",
    )  # fmt: skip


def test_silence_during_a_firing_opens_no_second_one():
    steps = run(replace(LOW, no_data="fire"), [0.5, None, None, 0.9])
    assert names(steps) == ["firing", "firing", "firing", "resolved"]


def test_silence_is_not_believed_before_a_whole_window_was_watched():
    unsure = Reading(value=None, sample=0, is_whole=False)
    assert names(run(replace(LOW, no_data="fire"), [unsure, unsure])) == ["ok", "ok"]
    assert names(run(LOW, [0.5, unsure])) == ["firing", "firing"]


def test_a_count_of_nothing_is_zero_but_only_in_a_watched_window():
    silent = Condition(metric="m", comparison="<", threshold=1)
    none = Reading(value=0, sample=0, is_additive=True)
    assert names(run(silent, [none])) == ["firing"]
    assert names(run(silent, [replace(none, is_whole=False)])) == ["ok"]


def test_a_snoozed_rule_is_silent_and_tells_afterwards_what_is_still_open():
    steps = run(LOW, [0.5, 0.5, 0.5, 0.9], snoozed={0, 1})
    assert opened(steps) == [0]
    assert [one.tells_open for one in steps] == [False, False, True, False]
    assert steps[3].tells_close
    silent = run(LOW, [0.5, 0.9], snoozed={0, 1})
    assert told(silent) == []


def test_a_told_firing_tells_its_end_even_under_a_snooze():
    assert told(run(LOW, [0.5, 0.9], snoozed={1})) == ["open", "close"]


def test_ending_a_rule_closes_what_is_open():
    firing = run(LOW, [0.5])[0].state
    ended = close(firing, "rule_deleted")
    assert (ended.closed_id, ended.tells_close, ended.state.state) == ("fire_0", True, "ok")
    assert close(GroupState(), "rule_deleted").closed_id is None


def test_a_recovery_threshold_on_the_wrong_side_is_refused():
    check_condition(replace(LOW, recovery_threshold=0.9))
    with pytest.raises(Invalid, match="lies below the threshold"):
        check_condition(replace(LOW, recovery_threshold=0.7))
    with pytest.raises(Invalid, match="lies above the threshold"):
        check_condition(Condition(metric="m", comparison=">", threshold=1, recovery_threshold=2))
    for change in ({"for_s": -1.0}, {"recover_s": 1e9}, {"min_sample": -1}):
        with pytest.raises(Invalid, match="between"):
            check_condition(replace(LOW, **change))
    with pytest.raises(Invalid, match="finite"):
        check_condition(replace(LOW, threshold=float("nan")))


def test_recovery_takes_a_tenth_of_the_window_and_at_most_a_minute():
    assert [default_recover_s(window) for window in (10, 600, 86_400)] == [1.0, 60.0, 60.0]


_READINGS = st.builds(
    Reading,
    value=st.one_of(st.none(), st.floats(0, 1), st.just(float("nan"))),
    sample=st.integers(0, 8),
    is_whole=st.booleans(),
    is_additive=st.booleans(),
)
_CONDITIONS = st.builds(
    Condition,
    metric=st.just("m"),
    comparison=st.sampled_from(["<", "<=", ">", ">="]),
    threshold=st.floats(0, 1),
    min_sample=st.integers(0, 4),
    for_s=st.integers(0, 3).map(float),
    recover_s=st.integers(0, 3).map(float),
    no_data=st.sampled_from(["ignore", "fire"]),
)


@given(_CONDITIONS, st.lists(_READINGS, max_size=40), st.sets(st.integers(0, 40)))
def test_whatever_comes_firings_open_and_close_in_turn_and_are_told_at_most_once(
    condition, readings, snoozed
):
    is_open, told_open, told_close = None, [], []
    for second, taken in enumerate(run(condition, readings, snoozed=snoozed)):
        if taken.closed_id:
            assert taken.closed_id == is_open
            assert taken.tells_close == (is_open in told_open)
            told_close += [is_open] if taken.tells_close else []
            is_open = None
        if taken.opened:
            assert is_open is None
            is_open = f"fire_{second}"
        if taken.tells_open:
            assert is_open is not None
            assert second not in snoozed
            told_open.append(is_open)
        assert taken.state.firing_id == is_open
        assert (taken.state.state in ("firing", "no_data")) == (is_open is not None)
    assert len(set(told_open)) == len(told_open)
    assert len(set(told_close)) == len(told_close)


@given(_CONDITIONS, st.lists(_READINGS, max_size=40))
def test_a_breach_shorter_than_the_set_time_never_fires(condition, readings):
    steps = run(condition, readings)
    for second in opened(steps):
        if steps[second].opened == "threshold":
            before = names(steps)[max(0, second - int(condition.for_s)) : second]
            assert len(before) == int(condition.for_s)
            assert set(before) <= {"pending"}


@given(_CONDITIONS, st.lists(_READINGS, max_size=20), st.lists(_READINGS, max_size=20))
def test_a_restart_between_two_readings_changes_nothing(condition, first, second):
    whole = run(condition, first + second)
    half = run(condition, first)
    state = half[-1].state if half else GroupState()
    for index, reading in enumerate(second, len(first)):
        taken = step(condition, state, reading, now_ns=index * S, firing_id=f"fire_{index}")
        assert taken == whole[index]
        state = taken.state
