"""Reads alert rules, states, firings, deliveries and channels."""

import json
from dataclasses import asdict
from typing import Any

from sqlmodel import Session, col, select

from kibitz_collector.errors import NotFound
from kibitz_collector.records import Page
from kibitz_collector.store import alerts
from kibitz_collector.store.alerts import Condition, Group, GroupState, read_group
from kibitz_collector.store.queries.cursors import read_cursor, write_cursor
from kibitz_collector.store.tables.alerts import AlertRule, AlertState, Channel, Delivery, Firing

_CONDITION = tuple(Condition.__dataclass_fields__)


def active_rules(session: Session) -> list[alerts.Rule]:
    """Return the rules to be evaluated, of all workspaces."""
    statement = select(AlertRule).where(col(AlertRule.is_active).is_(True))
    return [rule_view(row) for row in session.exec(statement)]


def list_rules(session: Session, workspace_id: int) -> list[alerts.Rule]:
    """Return a workspace's rules, oldest first."""
    statement = (
        select(AlertRule)
        .where(AlertRule.workspace_id == workspace_id)
        .order_by(col(AlertRule.created_ns), col(AlertRule.id))
    )
    return [rule_view(row) for row in session.exec(statement)]


def get_rule(session: Session, workspace_id: int, rule_id: str) -> alerts.Rule:
    """Return one rule.

    Raises: NotFound.
    """
    row = session.get(AlertRule, rule_id)
    if row is None or row.workspace_id != workspace_id:
        raise NotFound(f"no alert rule {rule_id!r}")
    return rule_view(row)


def states_of(session: Session, rule_id: str) -> dict[Group, GroupState]:
    """Return the groups of a rule that are remembered; all others are ok."""
    statement = select(AlertState).where(AlertState.rule_id == rule_id)
    return {read_group(row.group_key): state_view(row) for row in session.exec(statement)}


def list_firings(
    session: Session,
    workspace_id: int,
    *,
    rule_id: str | None = None,
    is_open: bool | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[alerts.Firing]:
    """Return firings, the last opened first.

    Raises: BadQuery: the cursor is not one of ours.
    """
    statement = select(Firing).where(Firing.workspace_id == workspace_id)
    if rule_id is not None:
        statement = statement.where(Firing.rule_id == rule_id)
    if is_open is not None:
        closed = col(Firing.closed_ns)
        statement = statement.where(closed.is_(None) if is_open else closed.is_not(None))
    if cursor is not None:
        opened_ns, firing_id = read_cursor(cursor, int, str)
        older = (col(Firing.opened_ns) == opened_ns) & (col(Firing.id) < firing_id)
        statement = statement.where((col(Firing.opened_ns) < opened_ns) | older)
    statement = statement.order_by(col(Firing.opened_ns).desc(), col(Firing.id).desc())
    rows = session.exec(statement.limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(
        items=[firing_view(row) for row in rows[:limit]],
        next_cursor=None if last is None else write_cursor(last.opened_ns, last.id),
    )


def get_firing(session: Session, workspace_id: int, firing_id: str) -> alerts.Firing:
    """Return one firing.

    Raises: NotFound.
    """
    row = session.get(Firing, firing_id)
    if row is None or row.workspace_id != workspace_id:
        raise NotFound(f"no firing {firing_id!r}")
    return firing_view(row)


def deliveries_of(session: Session, firing_id: str) -> list[alerts.Delivery]:
    """Return what was and is told of a firing, in order."""
    statement = (
        select(Delivery)
        .where(Delivery.firing_id == firing_id)
        .order_by(col(Delivery.created_ns), col(Delivery.event), col(Delivery.id))
    )
    return [delivery_view(row) for row in session.exec(statement)]


def is_delivery_due(session: Session, now_ns: int) -> bool:
    """Tell whether a message waits to be sent now."""
    waiting = (col(Delivery.state) == "waiting") & (col(Delivery.due_ns) <= now_ns)
    expired = (col(Delivery.state) == "sending") & (col(Delivery.lease_until_ns) <= now_ns)
    return session.exec(select(Delivery.id).where(waiting | expired).limit(1)).first() is not None


def last_delivery(session: Session, channel_id: str) -> alerts.Delivery | None:
    """Return what was last told to a channel, to show whether it works."""
    statement = (
        select(Delivery)
        .where(Delivery.channel_id == channel_id)
        .order_by(col(Delivery.created_ns).desc())
        .limit(1)
    )
    row = session.exec(statement).first()
    return None if row is None else delivery_view(row)


def list_channels(session: Session, workspace_id: int) -> list[alerts.Channel]:
    """Return a workspace's channels by name."""
    statement = (
        select(Channel).where(Channel.workspace_id == workspace_id).order_by(col(Channel.name))
    )
    return [channel_view(row) for row in session.exec(statement)]


def get_channel(session: Session, workspace_id: int, channel_id: str) -> alerts.Channel:
    """Return one channel.

    Raises: NotFound.
    """
    row = session.get(Channel, channel_id)
    if row is None or row.workspace_id != workspace_id:
        raise NotFound(f"no channel {channel_id!r}")
    return channel_view(row)


def rule_view(row: AlertRule) -> alerts.Rule:
    """Shape a row of `alert_rule`."""
    return alerts.Rule(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        condition=Condition(**{name: getattr(row, name) for name in _CONDITION}),
        channels=tuple(json.loads(row.channels)),
        is_active=row.is_active,
        snoozed_until_ns=row.snoozed_until_ns,
        revision=row.revision,
        created_ns=row.created_ns,
        updated_ns=row.updated_ns,
    )


def state_view(row: AlertState) -> GroupState:
    """Shape a row of `alert_state`."""
    return GroupState(**{name: getattr(row, name) for name in GroupState.__dataclass_fields__})


def firing_view(row: Firing) -> alerts.Firing:
    """Shape a row of `firing`."""
    values = _columns(row, "group_key", "condition", "evidence")
    return alerts.Firing(
        **values,
        group=read_group(row.group_key),
        condition=Condition(**json.loads(row.condition)),
        evidence=json.loads(row.evidence),
    )


def condition_json(condition: Condition) -> str:
    """Write a condition as firings keep it."""
    return json.dumps(asdict(condition), ensure_ascii=False)


def delivery_view(row: Delivery) -> alerts.Delivery:
    """Shape a row of `delivery`."""
    values = _columns(row, "payload", "lease_until_ns")
    return alerts.Delivery(**values, payload=json.loads(row.payload))


def channel_view(row: Channel) -> alerts.Channel:
    """Shape a row of `channel`."""
    return alerts.Channel(**_columns(row, "config"), config=json.loads(row.config))


def _columns(row: Any, *without: str) -> dict[str, Any]:
    return {name: value for name, value in row.model_dump().items() if name not in without}
