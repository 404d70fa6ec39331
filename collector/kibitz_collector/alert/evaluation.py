"""Looks at one rule now: reads its metric, steps each of its groups, writes what changed."""

from dataclasses import dataclass, replace

from kibitz_collector.alert import messages
from kibitz_collector.alert.rules import Reading, Step, step
from kibitz_collector.files.ids import random_id
from kibitz_collector.query.metrics import Metric, parse_metric
from kibitz_collector.store import Session, Store
from kibitz_collector.store.alerts import Event, Firing, Group, GroupState, Message, Rule
from kibitz_collector.store.queries import alerts as alert_queries
from kibitz_collector.store.queries import metrics as metric_queries
from kibitz_collector.store.writes import alerts as alert_writes
from kibitz_collector.store.writes import deliveries as delivery_writes

_S = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One group's step, to be written."""

    group: Group
    before: GroupState
    step: Step
    reading: Reading
    evidence: list[str]
    is_forgotten: bool = False


def evaluate_rule(
    store: Store, rule: Rule, *, now_ns: int, watching_since_ns: int, base_url: str
) -> int:
    """Bring a rule's groups up to date; returns how many messages were put in the queue.

    Raises: BadQuery: the metric no longer parses.
    """
    metric = parse_metric(rule.condition.metric)
    with store.read() as session:
        changes = _changes(session, rule, metric, now_ns, watching_since_ns)
    if not changes:
        return 0
    with store.write() as session:
        if not alert_writes.lock_rule(session, rule):
            return 0
        return sum(write_change(session, rule, change, now_ns, base_url) for change in changes)


def write_change(session: Session, rule: Rule, change: Change, now_ns: int, base_url: str) -> int:
    """Write one step: state, firing, messages; nothing if another collector was first."""
    before, taken = change.before, change.step
    if change.is_forgotten:
        is_first = alert_writes.forget_state(session, rule, change.group, before)
    else:
        is_first = alert_writes.save_state(session, rule, change.group, before, taken.state)
    if not is_first:
        return 0
    count = 0
    if taken.closed_id is not None:
        closed = alert_writes.close_firing(
            session,
            taken.closed_id,
            taken.close_reason,
            now_ns,
            value=change.reading.value,
            sample=change.reading.sample,
        )
        if closed is not None and taken.tells_close:
            count += _tell(session, rule, closed, "resolved", now_ns, base_url)
    if taken.opened is not None:
        alert_writes.open_firing(session, _firing(rule, change, now_ns))
    if taken.tells_open and taken.state.firing_id is not None:
        firing = alert_queries.get_firing(session, rule.workspace_id, taken.state.firing_id)
        count += _tell(session, rule, firing, "firing", now_ns, base_url)
    return count


def _changes(
    session: Session, rule: Rule, metric: Metric, now_ns: int, watching_since_ns: int
) -> list[Change]:
    start_ns = now_ns - metric.window_s * _S
    found = metric_queries.aggregate(session, rule.workspace_id, metric, start_ns, now_ns)
    states = alert_queries.states_of(session, rule.id)
    values = {value.group: (value.value, value.sample) for value in found}
    if len(found) < metric_queries.MAX_GROUPS:
        # Of a group that is not among the largest nothing is known, not even that it is silent.
        silence = 0.0 if metric.is_additive else None
        values |= {group: (silence, 0) for group in states if group not in values}
    changes = []
    for group, (value, sample) in values.items():
        reading = Reading(
            value=value,
            sample=sample,
            is_whole=now_ns - watching_since_ns >= metric.window_s * _S,
            is_additive=metric.is_additive,
        )
        before = states.get(group, GroupState())
        taken = step(
            rule.condition,
            before,
            reading,
            now_ns=now_ns,
            is_snoozed=rule.is_snoozed(now_ns),
            firing_id=random_id("fire_"),
        )
        is_silent_group = bool(metric.group_by) and sample == 0
        is_forgotten = (
            is_silent_group
            and before.revision > 0
            and taken.state.firing_id is None
            and taken.state.state != "pending"
            and rule.condition.no_data == "ignore"
        )
        # Only a group that is remembered can be missed later.
        is_news = (
            before.revision == 0 and bool(metric.group_by) and rule.condition.no_data == "fire"
        )
        if not (is_forgotten or is_news or taken != Step(state=before)):
            continue
        change = Change(
            group=group,
            before=before,
            step=taken,
            reading=reading,
            evidence=[],
            is_forgotten=is_forgotten,
        )
        if taken.opened == "threshold":
            change = replace(change, evidence=_evidence(session, rule, metric, group, now_ns))
        changes.append(change)
    return changes


def _evidence(session: Session, rule: Rule, metric: Metric, group: Group, now_ns: int) -> list[str]:
    return metric_queries.examples(
        session,
        rule.workspace_id,
        metric,
        group,
        now_ns - metric.window_s * _S,
        now_ns,
        lowest=rule.condition.comparison in ("<", "<="),
    )


def _firing(rule: Rule, change: Change, now_ns: int) -> Firing:
    assert change.step.opened is not None
    assert change.step.state.firing_id is not None
    return Firing(
        id=change.step.state.firing_id,
        workspace_id=rule.workspace_id,
        rule_id=rule.id,
        rule_name=rule.name,
        group=change.group,
        reason=change.step.opened,
        condition=rule.condition,
        value=change.reading.value,
        sample=change.reading.sample,
        evidence=change.evidence,
        opened_ns=now_ns,
    )


def _tell(
    session: Session, rule: Rule, firing: Firing, event: Event, now_ns: int, base_url: str
) -> int:
    message = Message(
        firing_id=firing.id,
        event=event,
        channels=rule.channels,
        payload=messages.payload(firing, event, base_url, now_ns),
    )
    return delivery_writes.enqueue(session, rule.workspace_id, message, now_ns)
