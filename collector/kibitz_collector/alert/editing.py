"""Makes, changes, removes and tries out rules and channels: for the API and the pages alike."""

import json
import time
from dataclasses import dataclass
from typing import Any

from kibitz_collector.access.seal import open_sealer
from kibitz_collector.alert import messages
from kibitz_collector.alert.channels import kind_named
from kibitz_collector.alert.channels.outgoing import NotDelivered, Outgoing
from kibitz_collector.alert.evaluation import Change, write_change
from kibitz_collector.alert.rules import Reading, check_condition, close, default_recover_s
from kibitz_collector.alert.sending import base_url, send, surroundings
from kibitz_collector.config import Settings
from kibitz_collector.errors import Invalid
from kibitz_collector.files.ids import random_id
from kibitz_collector.query.metrics import Metric, metric_text, parse_metric
from kibitz_collector.store import Session, Store
from kibitz_collector.store.alerts import (
    Channel,
    CloseReason,
    Comparison,
    Condition,
    NoData,
    Rule,
    RuleDraft,
)
from kibitz_collector.store.queries import alerts as alert_queries
from kibitz_collector.store.queries import metrics as metric_queries
from kibitz_collector.store.queries.metrics import GroupValue
from kibitz_collector.store.writes import alerts as alert_writes
from kibitz_collector.store.writes import deliveries as delivery_writes

_S = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a metric says now, before a rule is made of it."""

    metric: Metric
    text: str  # canonical
    values: list[GroupValue]
    late_count: int  # arrived too late to be looked at
    examples: dict[tuple[str | None, ...], list[str]]


def draft_rule(
    name: str,
    metric: str,
    comparison: Comparison,
    threshold: float,
    *,
    channels: tuple[str, ...] = (),
    recovery_threshold: float | None = None,
    min_sample: int | None = None,
    for_s: float = 0.0,
    recover_s: float | None = None,
    no_data: NoData = "ignore",
    is_active: bool = True,
) -> RuleDraft:
    """Check what a rule says and fill in what it leaves open.

    Raises: BadQuery: the metric does not parse. Invalid: a value makes no sense.
    """
    if not name.strip():
        raise Invalid("a rule needs a name")
    parsed = parse_metric(metric)
    condition = Condition(
        metric=metric_text(parsed),
        comparison=comparison,
        threshold=threshold,
        recovery_threshold=recovery_threshold,
        min_sample=(0 if parsed.is_additive else 1) if min_sample is None else min_sample,
        for_s=for_s,
        recover_s=default_recover_s(parsed.window_s) if recover_s is None else recover_s,
        no_data=no_data,
    )
    check_condition(condition)
    return RuleDraft(
        name=name,
        condition=condition,
        channels=tuple(dict.fromkeys(channels)),
        is_active=is_active,
    )


def create_rule(store: Store, workspace_id: int, draft: RuleDraft) -> Rule:
    """Make a rule; it is looked at within a second.

    Raises: Invalid: a channel does not exist.
    """
    with store.write() as session:
        rule = alert_writes.create_rule(session, workspace_id, draft, time.time_ns())
    store.announce("logs")
    return rule


def update_rule(
    store: Store, settings: Settings, workspace_id: int, rule_id: str, draft: RuleDraft
) -> Rule:
    """Change a rule; if its condition changes, what is open ends and its groups begin anew.

    Raises: NotFound. Invalid: a channel does not exist.
    """
    with store.write() as session:
        old = alert_queries.get_rule(session, workspace_id, rule_id)
        if old.condition != draft.condition or not draft.is_active:
            _end_groups(session, old, "rule_changed", base_url(settings))
        rule = alert_writes.update_rule(session, workspace_id, rule_id, draft, time.time_ns())
    store.announce("firings")
    store.announce("logs")
    return rule


def delete_rule(store: Store, settings: Settings, workspace_id: int, rule_id: str) -> None:
    """Remove a rule; what is open ends, and whoever was told of it is told that.

    Raises: NotFound.
    """
    with store.write() as session:
        rule = alert_queries.get_rule(session, workspace_id, rule_id)
        _end_groups(session, rule, "rule_deleted", base_url(settings))
        alert_writes.delete_rule(session, workspace_id, rule_id)
    store.announce("firings")


def snooze_rule(store: Store, workspace_id: int, rule_id: str, for_s: float) -> Rule:
    """Hold a rule's messages back for a while; 0 ends that.

    Raises: NotFound.
    """
    until_ns = time.time_ns() + int(for_s * _S) if for_s > 0 else None
    with store.write() as session:
        return alert_writes.snooze_rule(session, workspace_id, rule_id, until_ns)


def preview(store: Store, workspace_id: int, metric: str, *, lowest: bool = True) -> Preview:
    """Compute a metric as it stands now, with example Logs of the largest groups.

    Raises: BadQuery: it does not parse.
    """
    parsed = parse_metric(metric)
    end_ns = time.time_ns()
    start_ns = end_ns - parsed.window_s * _S
    with store.read() as session:
        values = metric_queries.aggregate(session, workspace_id, parsed, start_ns, end_ns)
        late = metric_queries.count_late(session, workspace_id, parsed, start_ns, end_ns)
        examples = {
            value.group: metric_queries.examples(
                session, workspace_id, parsed, value.group, start_ns, end_ns, lowest=lowest
            )
            for value in values[:10]
        }
    return Preview(
        metric=parsed,
        text=metric_text(parsed),
        values=values,
        late_count=late,
        examples=examples,
    )


def create_channel(
    store: Store,
    settings: Settings,
    workspace_id: int,
    name: str,
    kind: str,
    config: dict[str, Any],
) -> tuple[Channel, dict[str, Any]]:
    """Make a channel; returns it and its whole configuration, secrets included, this once.

    Raises: Invalid: the configuration is not allowed. Conflict: the name is taken.
    """
    if not name.strip():
        raise Invalid("a channel needs a name")
    chosen = kind_named(kind)
    whole = chosen.read(config, surroundings(store, settings))
    sealed = open_sealer(settings).seal(json.dumps(whole))
    with store.write() as session:
        channel = delivery_writes.create_channel(
            session,
            workspace_id,
            name=name,
            kind=kind,
            config=chosen.show(whole),
            secrets=sealed,
            now_ns=time.time_ns(),
        )
    return channel, whole


def update_channel(
    store: Store,
    settings: Settings,
    workspace_id: int,
    channel_id: str,
    name: str,
    config: dict[str, Any] | None,
) -> Channel:
    """Rename a channel; replace its configuration when one is given.

    Raises: NotFound. Invalid: the configuration is not allowed. Conflict: the name is taken.
    """
    with store.read() as session:
        old = alert_queries.get_channel(session, workspace_id, channel_id)
    shown, sealed = None, None
    if config is not None:
        chosen = kind_named(old.kind)
        whole = chosen.read(config, surroundings(store, settings))
        shown, sealed = chosen.show(whole), open_sealer(settings).seal(json.dumps(whole))
    with store.write() as session:
        return delivery_writes.update_channel(
            session,
            workspace_id,
            channel_id,
            name=name,
            config=shown,
            secrets=sealed,
            now_ns=time.time_ns(),
        )


def try_channel(
    store: Store, settings: Settings, workspace_id: int, channel_id: str
) -> NotDelivered | None:
    """Send a test message now; returns why it was not taken, or None.

    Raises: NotFound.
    """
    with store.read() as session:
        channel = alert_queries.get_channel(session, workspace_id, channel_id)
    payload = messages.test_payload(channel.name, base_url(settings), time.time_ns())
    outgoing = Outgoing(id=random_id("msg_"), payload=payload)
    try:
        send(channel, outgoing, open_sealer(settings), surroundings(store, settings))
    except NotDelivered as problem:
        return problem
    return None


def _end_groups(session: Session, rule: Rule, reason: CloseReason, url: str) -> None:
    metric = parse_metric(rule.condition.metric)
    for group, state in alert_queries.states_of(session, rule.id).items():
        change = Change(
            group=group,
            before=state,
            step=close(state, reason),
            reading=Reading(value=None, sample=0, is_additive=metric.is_additive),
            evidence=[],
            is_forgotten=True,
        )
        write_change(session, rule, change, time.time_ns(), url)
