"""Changes alert rules, the states of their groups, and firings.

Several collectors may evaluate the same rule: a state is only written over the revision it was made
from, so one of them is first and the others find nothing to do.
"""

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, insert, update
from sqlmodel import Session, col, select

from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.files.ids import random_id
from kibitz_collector.store import dialect
from kibitz_collector.store.alerts import (
    CloseReason,
    Firing,
    Group,
    GroupState,
    Rule,
    RuleDraft,
    group_key,
)
from kibitz_collector.store.queries.alerts import condition_json, firing_view, get_rule
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.tables import alerts as tables

STATE = table(tables.AlertState)


def create_rule(session: Session, workspace_id: int, draft: RuleDraft, now_ns: int) -> Rule:
    """Keep a new rule.

    Raises: Invalid: a channel does not exist.
    """
    _check_channels(session, workspace_id, draft.channels)
    row = tables.AlertRule(
        id=random_id("rule_"),
        workspace_id=workspace_id,
        **_columns(draft),
        created_ns=now_ns,
        updated_ns=now_ns,
    )
    session.add(row)
    session.flush()
    return get_rule(session, workspace_id, row.id)


def update_rule(
    session: Session, workspace_id: int, rule_id: str, draft: RuleDraft, now_ns: int
) -> Rule:
    """Replace what a rule says; its revision rises, so no step made of the old one is written.

    Raises: NotFound. Invalid: a channel does not exist.
    """
    _check_channels(session, workspace_id, draft.channels)
    _update(session, workspace_id, rule_id, **_columns(draft), updated_ns=now_ns)
    return get_rule(session, workspace_id, rule_id)


def delete_rule(session: Session, workspace_id: int, rule_id: str) -> None:
    """Remove a rule and its states; its firings stay as history.

    Raises: NotFound.
    """
    get_rule(session, workspace_id, rule_id)
    session.execute(delete(STATE).where(STATE.c.rule_id == rule_id))
    session.execute(delete(tables.AlertRule).where(col(tables.AlertRule.id) == rule_id))


def snooze_rule(session: Session, workspace_id: int, rule_id: str, until_ns: int | None) -> Rule:
    """Hold a rule's messages back until then; None: tell again.

    Raises: NotFound.
    """
    _update(session, workspace_id, rule_id, snoozed_until_ns=until_ns)
    return get_rule(session, workspace_id, rule_id)


def lock_rule(session: Session, rule: Rule) -> bool:
    """Hold a rule for this transaction; False: it was changed or removed since it was read."""
    found = session.execute(
        update(tables.AlertRule)
        .where(
            col(tables.AlertRule.id) == rule.id,
            col(tables.AlertRule.revision) == rule.revision,
            col(tables.AlertRule.is_active).is_(True),
        )
        .values(revision=rule.revision)
    )
    return bool(found.rowcount == 1)  # type: ignore[attr-defined]  # an UPDATE's result has it


def save_state(
    session: Session, rule: Rule, group: Group, before: GroupState, after: GroupState
) -> bool:
    """Write a group's new state over the one it was made from; False: another was first."""
    key = group_key(group)
    values = asdict(after) | {"revision": before.revision + 1}
    if before.revision == 0:
        row = {"rule_id": rule.id, "group_key": key, "workspace_id": rule.workspace_id, **values}
        statement = dialect.insert(session.connection(), STATE).values(row)
        # RETURNING says what was inserted; psycopg's row count of such an INSERT is -1.
        new = statement.on_conflict_do_nothing().returning(STATE.c.rule_id)
        return session.execute(new).first() is not None
    done = session.execute(update(STATE).where(*_state(rule, key, before)).values(values))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def forget_state(session: Session, rule: Rule, group: Group, before: GroupState) -> bool:
    """Remove a group that is ok and of which nothing comes any more; False: another was first."""
    statement = delete(STATE).where(*_state(rule, group_key(group), before))
    return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]


def forget_states(session: Session, rule_id: str) -> None:
    """Let all groups of a rule begin anew."""
    session.execute(delete(STATE).where(STATE.c.rule_id == rule_id))


def open_firing(session: Session, firing: Firing) -> None:
    """Keep a new firing; the database refuses a second open one of the same rule and group."""
    values = asdict(firing) | {
        "rule_name": storable(firing.rule_name),
        "group_key": group_key(firing.group),
        "condition": condition_json(firing.condition),
        "evidence": json.dumps(firing.evidence),
    }
    del values["group"]
    session.execute(insert(tables.Firing).values(values))


def close_firing(
    session: Session,
    firing_id: str,
    reason: CloseReason,
    now_ns: int,
    *,
    value: float | None,
    sample: int,
) -> Firing | None:
    """End a firing; None: it has ended already."""
    row = session.exec(
        select(tables.Firing).where(
            tables.Firing.id == firing_id, col(tables.Firing.closed_ns).is_(None)
        )
    ).first()
    if row is None:
        return None
    row.closed_ns, row.close_reason = now_ns, reason
    row.closed_value, row.closed_sample = value, sample
    session.add(row)
    session.flush()
    return firing_view(row)


def _state(rule: Rule, key: str, before: GroupState) -> list[Any]:
    return [
        STATE.c.rule_id == rule.id,
        STATE.c.group_key == key,
        STATE.c.revision == before.revision,
    ]


def _columns(draft: RuleDraft) -> dict[str, Any]:
    return asdict(draft.condition) | {
        "name": storable(draft.name),
        "channels": json.dumps(list(draft.channels)),
        "is_active": draft.is_active,
    }


def _update(session: Session, workspace_id: int, rule_id: str, **values: object) -> None:
    rule = tables.AlertRule
    found = session.execute(
        update(rule)
        .where(col(rule.id) == rule_id, col(rule.workspace_id) == workspace_id)
        .values(**values, revision=col(rule.revision) + 1)
        .execution_options(synchronize_session=False)
    )
    if found.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound(f"no alert rule {rule_id!r}")


def _check_channels(session: Session, workspace_id: int, channels: tuple[str, ...]) -> None:
    known = set(
        session.exec(select(tables.Channel.id).where(tables.Channel.workspace_id == workspace_id))
    )
    for channel_id in channels:
        if channel_id not in known:
            raise Invalid(f"no channel {channel_id!r}; make it first with POST /api/channels")
