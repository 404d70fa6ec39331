"""Channels, and messages on their way to them: claimed by one worker, tried again, given up."""

import json
from typing import Any

from sqlalchemy import and_, exists, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from kibitz_collector.errors import Conflict, Invalid
from kibitz_collector.files.ids import hashed_id, random_id
from kibitz_collector.store import alerts, dialect
from kibitz_collector.store.alerts import Message
from kibitz_collector.store.queries.alerts import channel_view, delivery_view, get_channel
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.tables.alerts import AlertRule, Channel, Delivery

GIVE_UP_NS = 24 * 3600 * 10**9
_MAX_REASON = 500


def enqueue(session: Session, workspace_id: int, message: Message, now_ns: int) -> int:
    """Put a message in the queue of each of its channels; returns how many were new.

    The id says what the message is about, so the same event is never told twice by us.
    """
    count = 0
    for channel_id in message.channels:
        row = {
            "id": hashed_id("msg_", message.firing_id, message.event, channel_id),
            "workspace_id": workspace_id,
            "firing_id": message.firing_id,
            "channel_id": channel_id,
            "event": message.event,
            "payload": storable(json.dumps(message.payload, ensure_ascii=False)),
            "state": "waiting",
            "attempts": 0,
            "due_ns": now_ns,
            "give_up_ns": now_ns + GIVE_UP_NS,
            "created_ns": now_ns,
        }
        statement = dialect.insert(session.connection(), table(Delivery)).values(row)
        new = statement.on_conflict_do_nothing().returning(table(Delivery).c.id)
        count += session.execute(new).first() is not None
    return count


def claim(session: Session, now_ns: int, *, lease_ns: int, limit: int) -> list[alerts.Delivery]:
    """Take due messages, those least often tried first; nobody else gets them before `lease_ns`.

    That a firing is over is not told before the firing was told or given up.
    """
    earlier = aliased(Delivery)
    waits = exists().where(
        col(earlier.firing_id) == col(Delivery.firing_id),
        col(earlier.channel_id) == col(Delivery.channel_id),
        col(earlier.event) == "firing",
        col(earlier.state).in_(("waiting", "sending")),
        col(Delivery.event) == "resolved",
    )
    is_due = or_(
        and_(col(Delivery.state) == "waiting", col(Delivery.due_ns) <= now_ns),
        and_(col(Delivery.state) == "sending", col(Delivery.lease_until_ns) <= now_ns),
    )
    order = (col(Delivery.attempts), col(Delivery.due_ns), col(Delivery.id))
    rows = session.exec(select(Delivery).where(is_due, ~waits).order_by(*order).limit(limit)).all()
    claimed = []
    for row in rows:
        attempts = row.attempts
        if _update(
            session,
            [col(Delivery.id) == row.id, col(Delivery.attempts) == attempts, is_due],
            state="sending",
            attempts=attempts + 1,
            lease_until_ns=now_ns + lease_ns,
        ):
            session.refresh(row)
            claimed.append(delivery_view(row))
    return claimed


def finish(session: Session, delivery: alerts.Delivery, now_ns: int) -> bool:
    """Record that a claimed message was taken; False: the claim had expired."""
    return _update(
        session,
        _claimed(delivery),
        state="delivered",
        delivered_ns=now_ns,
        lease_until_ns=None,
        last_error=None,
    )


def put_off(session: Session, delivery: alerts.Delivery, reason: str, due_ns: int | None) -> bool:
    """Record that a claimed message was not taken; it is due again then, or never (None)."""
    return _update(
        session,
        _claimed(delivery),
        state="failed" if due_ns is None else "waiting",
        due_ns=delivery.due_ns if due_ns is None else due_ns,
        lease_until_ns=None,
        last_error=storable(reason)[:_MAX_REASON],
    )


def create_channel(
    session: Session,
    workspace_id: int,
    *,
    name: str,
    kind: str,
    config: dict[str, Any],
    secrets: str,
    now_ns: int,
) -> alerts.Channel:
    """Keep a new channel; `config` may be shown, `secrets` is sealed.

    Raises: Conflict: the name is taken.
    """
    _check_name(session, workspace_id, name, None)
    row = Channel(
        id=random_id("chan_"),
        workspace_id=workspace_id,
        name=storable(name),
        kind=kind,
        config=json.dumps(config),
        secrets=secrets,
        created_ns=now_ns,
        updated_ns=now_ns,
    )
    session.add(row)
    session.flush()
    return channel_view(row)


def update_channel(
    session: Session,
    workspace_id: int,
    channel_id: str,
    *,
    name: str,
    config: dict[str, Any] | None,
    secrets: str | None,
    now_ns: int,
) -> alerts.Channel:
    """Rename a channel, and replace what it holds when given.

    Raises: NotFound. Conflict: the name is taken.
    """
    get_channel(session, workspace_id, channel_id)
    _check_name(session, workspace_id, name, channel_id)
    row = session.get_one(Channel, channel_id)
    row.name, row.updated_ns = storable(name), now_ns
    if config is not None:
        row.config, row.secrets = json.dumps(config), secrets
    session.add(row)
    session.flush()
    return channel_view(row)


def delete_channel(session: Session, workspace_id: int, channel_id: str) -> None:
    """Remove a channel; what waits for it is given up.

    Raises: NotFound. Invalid: a rule still tells it.
    """
    get_channel(session, workspace_id, channel_id)
    for rule in session.exec(select(AlertRule).where(AlertRule.workspace_id == workspace_id)):
        if channel_id in json.loads(rule.channels):
            raise Invalid(f"the alert rule {rule.name!r} tells this channel; change the rule first")
    _update(
        session,
        [
            col(Delivery.channel_id) == channel_id,
            col(Delivery.state).in_(("waiting", "sending")),
        ],
        state="failed",
        lease_until_ns=None,
        last_error="the channel was deleted",
    )
    session.delete(session.get_one(Channel, channel_id))
    session.flush()


def _claimed(delivery: alerts.Delivery) -> list[Any]:
    return [
        col(Delivery.id) == delivery.id,
        col(Delivery.attempts) == delivery.attempts,
        col(Delivery.state) == "sending",
    ]


def _update(session: Session, conditions: list[Any], **values: Any) -> bool:
    statement = update(Delivery).where(*conditions).values(**values)
    done = session.execute(statement.execution_options(synchronize_session=False))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _check_name(session: Session, workspace_id: int, name: str, own_id: str | None) -> None:
    taken = session.exec(
        select(Channel.id).where(
            Channel.workspace_id == workspace_id, Channel.name == storable(name)
        )
    ).first()
    if taken is not None and taken != own_id:
        raise Conflict(f"a channel named {name!r} exists")
