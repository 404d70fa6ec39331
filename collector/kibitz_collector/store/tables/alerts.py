"""Alert rules, the state of each of their groups, firings, and what is told to which channel."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, partial_index, real, string


class AlertRule(Table, table=True):
    """A condition on a metric, and where a crossing of it is told."""

    __tablename__ = "alert_rule"
    __table_args__: ClassVar[Any] = (
        Index("ix_alert_rule_workspace", "workspace_id", "created_ns"),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    name: str = string()
    metric: str = string()  # canonical text of `query.metrics`
    comparison: str = string()  # < <= > >=
    threshold: float = real()
    recovery_threshold: float | None = real(default=None)  # None: the threshold
    min_sample: int = big(default=0)
    for_s: float = real(default=0.0)
    recover_s: float = real(default=0.0)
    no_data: str = string(default="ignore")  # ignore, fire
    channels: str = string(default="[]")  # JSON list of channel ids
    is_active: bool = True
    snoozed_until_ns: int | None = big(default=None)
    revision: int = big(default=1)  # rises with each change of the condition
    created_ns: int = big()
    updated_ns: int = big()


class AlertState(Table, table=True):
    """Where one group of a rule stands; a group without a row is ok."""

    __tablename__ = "alert_state"

    rule_id: str = string(primary_key=True)
    group_key: str = string(primary_key=True)  # JSON list of the group's values
    workspace_id: int
    state: str = string()  # ok, pending, firing, resolved, no_data
    since_ns: int = big()
    clear_since_ns: int | None = big(default=None)
    firing_id: str | None = string(default=None)
    is_announced: bool = False
    value: float | None = real(default=None)  # when the state was reached
    sample: int = big(default=0)
    revision: int = big(default=1)  # a change is only written over the revision it was made from


class Firing(Table, table=True):
    """One crossing: opened once, closed once."""

    __tablename__ = "firing"
    __table_args__: ClassVar[Any] = (
        partial_index(
            "uq_firing_open", "rule_id", "group_key", where="closed_ns IS NULL", unique=True
        ),
        Index("ix_firing_opened", "workspace_id", "opened_ns"),
        Index("ix_firing_rule", "rule_id", "opened_ns"),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    rule_id: str = string()
    rule_name: str = string()
    group_key: str = string()
    reason: str = string()  # threshold, no_data
    condition: str = string()  # JSON: metric, comparison, threshold ... as they were
    value: float | None = real(default=None)
    sample: int = big(default=0)
    evidence: str = string(default="[]")  # JSON list of Log ids
    opened_ns: int = big()
    closed_ns: int | None = big(default=None)
    close_reason: str | None = string(
        default=None
    )  # recovered, no_data, rule_changed, rule_deleted
    closed_value: float | None = real(default=None)
    closed_sample: int | None = big(default=None)


class Delivery(Table, table=True):
    """One message on its way to one channel; its id is the message id the receiver sees."""

    __tablename__ = "delivery"
    __table_args__: ClassVar[Any] = (
        partial_index("ix_delivery_due", "due_ns", where="state = 'waiting'"),
        partial_index("ix_delivery_lease", "lease_until_ns", where="state = 'sending'"),
        Index("ix_delivery_firing", "firing_id", "channel_id"),
        Index("ix_delivery_channel", "channel_id", "created_ns"),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    firing_id: str = string()
    channel_id: str = string()
    event: str = string()  # firing, resolved
    payload: str = string()  # JSON, the same at each attempt
    state: str = string(default="waiting")  # waiting, sending, delivered, failed
    attempts: int = 0
    due_ns: int = big()
    give_up_ns: int = big()
    lease_until_ns: int | None = big(default=None)
    last_error: str | None = string(default=None)
    created_ns: int = big()
    delivered_ns: int | None = big(default=None)


class Channel(Table, table=True):
    """Where firings are told."""

    __tablename__ = "channel"
    __table_args__: ClassVar[Any] = (Index("uq_channel_name", "workspace_id", "name", unique=True),)

    id: str = string(primary_key=True)
    workspace_id: int
    name: str = string()
    kind: str = string()  # webhook, slack, email, apprise
    config: str = string(default="{}")  # JSON that may be shown
    secrets: str | None = string(default=None)  # sealed JSON
    created_ns: int = big()
    updated_ns: int = big()
