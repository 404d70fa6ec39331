"""Rules, states, firings, deliveries and channels as the rooms outside the store see them."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

Comparison = Literal["<", "<=", ">", ">="]
NoData = Literal["ignore", "fire"]
StateName = Literal["ok", "pending", "firing", "resolved", "no_data"]
OpenReason = Literal["threshold", "no_data"]
CloseReason = Literal["recovered", "no_data", "rule_changed", "rule_deleted"]
Event = Literal["firing", "resolved"]
DeliveryState = Literal["waiting", "sending", "delivered", "failed"]
Group = tuple[str | None, ...]
"""Values of the metric's group-by fields, in its order; `()` when it groups by nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What of a rule decides about its state."""

    metric: str  # canonical text of `query.metrics`
    comparison: Comparison
    threshold: float
    recovery_threshold: float | None = None  # None: the threshold
    min_sample: int = 0
    for_s: float = 0.0
    recover_s: float = 0.0
    no_data: NoData = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDraft:
    """A rule as a caller wants it."""

    name: str
    condition: Condition
    channels: tuple[str, ...] = ()
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A stored rule."""

    id: str
    workspace_id: int
    name: str
    condition: Condition
    channels: tuple[str, ...]
    is_active: bool
    snoozed_until_ns: int | None
    revision: int
    created_ns: int
    updated_ns: int

    def is_snoozed(self, now_ns: int) -> bool:
        """Tell whether its messages are held back now."""
        return self.snoozed_until_ns is not None and now_ns < self.snoozed_until_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """Where one group of a rule stands."""

    state: StateName = "ok"
    since_ns: int = 0
    clear_since_ns: int | None = None  # while firing: since when the condition does not hold
    firing_id: str | None = None
    is_announced: bool = False  # the open firing has been told
    value: float | None = None
    sample: int = 0
    revision: int = 0  # 0: no row yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One crossing."""

    id: str
    workspace_id: int
    rule_id: str
    rule_name: str
    group: Group
    reason: OpenReason
    condition: Condition
    value: float | None
    sample: int
    evidence: list[str]  # ids of example Logs
    opened_ns: int
    closed_ns: int | None = None
    close_reason: CloseReason | None = None
    closed_value: float | None = None
    closed_sample: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one event of a firing says to every channel of its rule."""

    firing_id: str
    event: Event
    channels: tuple[str, ...]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on its way to one channel."""

    id: str
    workspace_id: int
    firing_id: str
    channel_id: str
    event: Event
    payload: dict[str, Any]
    state: DeliveryState
    attempts: int
    due_ns: int
    give_up_ns: int
    last_error: str | None
    created_ns: int
    delivered_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where firings are told; `secrets` stays sealed until it is used."""

    id: str
    workspace_id: int
    name: str
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    secrets: str | None = None
    created_ns: int = 0
    updated_ns: int = 0


def group_key(group: Group) -> str:
    """Write a group as the text rows are found by."""
    return json.dumps(list(group), ensure_ascii=False, separators=(",", ":"))


def read_group(key: str) -> Group:
    """Read what `group_key` wrote."""
    return tuple(json.loads(key))
