"""The life of an alert, pure: what a group of a rule was, what its metric says now -> what it is.

    ok ──▶ pending ──▶ firing ──▶ resolved (as ok, remembered)        ok ──▶ no_data ──▶ resolved

A firing opens once per crossing and closes once; each is told once. A snoozed rule opens and closes
in silence; a firing still open when the snooze ends is told then.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

from kibitz_collector.errors import Invalid
from kibitz_collector.store.alerts import (
    CloseReason,
    Comparison,
    Condition,
    GroupState,
    OpenReason,
    StateName,
)

LONGEST_RECOVERY_S = 60.0
LONGEST_S = 31 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a metric says about one group.

    `is_whole` is False while the collector has not run for a whole window: what is missing may have
    come while it was down. `is_additive`: nothing arriving means 0, not unknown.
    """

    value: float | None
    sample: int
    is_whole: bool = True
    is_additive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The next state and what happened on the way; a close comes before an open."""

    state: GroupState
    closed_id: str | None = None
    close_reason: CloseReason = "recovered"
    opened: OpenReason | None = None
    tells_close: bool = False
    tells_open: bool = False  # also later than the opening, when a snooze has ended


class _Verdict(Enum):
    BREACH = auto()
    BETWEEN = auto()  # no longer past the threshold, not yet past the recovery threshold
    CLEAR = auto()
    UNKNOWN = auto()  # too few to say
    EMPTY = auto()  # nothing at all in a whole window


def step(
    condition: Condition,
    before: GroupState,
    reading: Reading,
    *,
    now_ns: int,
    is_snoozed: bool = False,
    firing_id: str,
) -> Step:
    """Return the next state; `firing_id` is used if a firing opens."""
    match _judge(condition, reading):
        case _Verdict.BREACH:
            after = _breach(condition, before, now_ns, firing_id)
        case _Verdict.CLEAR:
            after = _clear(condition, before, now_ns)
        case _Verdict.EMPTY:
            after = _empty(condition, before, now_ns, firing_id)
        case _Verdict.BETWEEN:
            after = _calm(before, now_ns, has_data=True)
        case _Verdict.UNKNOWN:
            after = _calm(before, now_ns, has_data=reading.sample > 0)
    return _tell(after, before, reading, is_snoozed=is_snoozed)


def close(before: GroupState, reason: CloseReason) -> Step:
    """Return what ending the rule (or its condition) does to a group."""
    return Step(
        state=GroupState(revision=before.revision),
        closed_id=before.firing_id,
        close_reason=reason,
        tells_close=before.firing_id is not None and before.is_announced,
    )


def holds(value: float, comparison: Comparison, threshold: float) -> bool:
    """Tell whether `value comparison threshold`."""
    match comparison:
        case "<":
            return value < threshold
        case "<=":
            return value <= threshold
        case ">":
            return value > threshold
        case ">=":
            return value >= threshold


def default_recover_s(window_s: int) -> float:
    """Return how long a value must be good before an alert ends, where the rule does not say.

    Without it, a value that swings around the threshold would tell of every swing.
    """
    return min(LONGEST_RECOVERY_S, window_s / 10)


def check_condition(condition: Condition) -> None:
    """Make sure a condition can hold and can end.

    Raises: Invalid, naming the field.
    """
    for name in ("threshold", "recovery_threshold", "for_s", "recover_s"):
        number = getattr(condition, name)
        if number is not None and not math.isfinite(number):
            raise Invalid(f"{name} must be a finite number")
    for name in ("for_s", "recover_s"):
        if not 0 <= getattr(condition, name) <= LONGEST_S:
            raise Invalid(f"{name} must be between 0 and {LONGEST_S} (31 days)")
    if not 0 <= condition.min_sample <= 10**9:
        raise Invalid("min_sample must be between 0 and a billion")
    recovery = condition.recovery_threshold
    if recovery is None:
        return
    is_below = condition.comparison in ("<", "<=")
    if (recovery < condition.threshold) if is_below else (recovery > condition.threshold):
        side = "below" if is_below else "above"
        raise Invalid(
            f"recovery_threshold {recovery:g} lies {side} the threshold {condition.threshold:g}: "
            "the alert would end while its condition still holds"
        )


def _judge(condition: Condition, reading: Reading) -> _Verdict:
    value, comparison = reading.value, condition.comparison
    is_silence = reading.sample == 0 and not (reading.is_additive and condition.min_sample == 0)
    if is_silence:
        return _Verdict.EMPTY if reading.is_whole else _Verdict.UNKNOWN
    if value is None or not math.isfinite(value) or reading.sample < condition.min_sample:
        return _Verdict.UNKNOWN
    if reading.is_additive and comparison in ("<", "<=") and not reading.is_whole:
        return _Verdict.UNKNOWN
    if holds(value, comparison, condition.threshold):
        return _Verdict.BREACH
    recovery = condition.recovery_threshold
    if recovery is not None and holds(value, comparison, recovery):
        return _Verdict.BETWEEN
    return _Verdict.CLEAR


def _breach(condition: Condition, before: GroupState, now_ns: int, firing_id: str) -> Step:
    if before.state == "firing":
        return Step(state=replace(before, clear_since_ns=None))
    since_ns = before.since_ns if before.state == "pending" else now_ns
    if now_ns - since_ns >= condition.for_s * 1e9:
        return _open(before, "threshold", now_ns, firing_id)
    if before.state == "pending":
        return Step(state=before)
    return _end(before, "pending", now_ns, "recovered")


def _clear(condition: Condition, before: GroupState, now_ns: int) -> Step:
    if before.state == "firing":
        clear_since_ns = now_ns if before.clear_since_ns is None else before.clear_since_ns
        if now_ns - clear_since_ns < condition.recover_s * 1e9:
            return Step(state=replace(before, clear_since_ns=clear_since_ns))
    if before.state in ("firing", "no_data"):
        return _end(before, "resolved", now_ns, "recovered")
    return _calm(before, now_ns, has_data=True)


def _empty(condition: Condition, before: GroupState, now_ns: int, firing_id: str) -> Step:
    if condition.no_data == "fire":
        if before.state in ("firing", "no_data"):
            return Step(state=before)
        return _open(before, "no_data", now_ns, firing_id)
    if before.state in ("firing", "no_data"):
        return _end(before, "resolved", now_ns, "no_data")
    return _calm(before, now_ns, has_data=False)


def _calm(before: GroupState, now_ns: int, *, has_data: bool) -> Step:
    """Neither good nor bad: what is open stays open, what was only pending is forgotten."""
    if before.state == "pending":
        return _end(before, "ok", now_ns, "recovered")
    if before.state == "no_data" and has_data:
        return _end(before, "resolved", now_ns, "recovered")
    return Step(state=replace(before, clear_since_ns=None))


def _open(before: GroupState, reason: OpenReason, now_ns: int, firing_id: str) -> Step:
    name: StateName = "firing" if reason == "threshold" else "no_data"
    ended = _end(before, name, now_ns, "recovered")
    return replace(ended, state=replace(ended.state, firing_id=firing_id), opened=reason)


def _end(before: GroupState, state: StateName, now_ns: int, reason: CloseReason) -> Step:
    return Step(
        state=GroupState(state=state, since_ns=now_ns, revision=before.revision),
        closed_id=before.firing_id,
        close_reason=reason,
        tells_close=before.firing_id is not None and before.is_announced,
    )


def _tell(after: Step, before: GroupState, reading: Reading, *, is_snoozed: bool) -> Step:
    state = after.state
    if state.state != before.state or after.opened:
        state = replace(state, value=reading.value, sample=reading.sample)
    tells_open = state.firing_id is not None and not state.is_announced and not is_snoozed
    if tells_open:
        state = replace(state, is_announced=True)
    return replace(after, state=state, tells_open=tells_open)
