"""`/api/alert-rules`, `/api/firings`: conditions on metrics, and every crossing of them."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.alert import editing
from kibitz_collector.alert.rules import holds
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.query.metrics import parse_metric
from kibitz_collector.store.alerts import (
    Comparison,
    Delivery,
    Firing,
    GroupState,
    NoData,
    Rule,
    RuleDraft,
)
from kibitz_collector.store.queries import alerts as alert_queries

router = APIRouter(prefix="/api", tags=["alerts"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]
Row = dict[str, Any]
_EXAMPLE = 'pass_rate(judgment "support/is_polite") where file:"support/answer" by model over 10m'
_MAX_S = 31 * 86_400


class RuleIn(BaseModel):
    """A rule to make, or what one shall say from now on."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    metric: str = Field(min_length=1, max_length=10_000, examples=[_EXAMPLE])
    comparison: Comparison
    threshold: float = Field(description="shares between 0 and 1, times in ms, money in USD")
    recovery_threshold: float | None = Field(
        None, description="the firing ends only past this; without it, past the threshold"
    )
    min_sample: int | None = Field(
        None, ge=0, le=10**9, description="fewer say nothing; default 1, for counts and sums 0"
    )
    for_s: float = Field(0.0, ge=0, le=_MAX_S, description="how long it must hold before it fires")
    recover_s: float | None = Field(
        None,
        ge=0,
        le=_MAX_S,
        description="how long it must be good before it ends; default a tenth of the window, "
        "at most 60 s",
    )
    no_data: NoData = Field("ignore", description="fire: a whole window without data is an alert")
    channels: list[str] = Field(default_factory=list, max_length=20, description="channel ids")
    is_active: bool = True

    def draft(self) -> RuleDraft:
        """Check it and fill in what it leaves open."""
        values = self.model_dump(exclude={"name", "metric", "comparison", "threshold", "channels"})
        return editing.draft_rule(
            self.name,
            self.metric,
            self.comparison,
            self.threshold,
            channels=tuple(self.channels),
            **values,
        )


class SnoozeIn(BaseModel):
    """For how long nothing is told."""

    for_s: float = Field(ge=0, le=_MAX_S, description="0 ends the snooze")


class PreviewIn(BaseModel):
    """A metric to compute now; with a threshold, also which groups would fire."""

    metric: str = Field(min_length=1, max_length=10_000, examples=[_EXAMPLE])
    comparison: Comparison | None = None
    threshold: float | None = None
    min_sample: int | None = Field(None, ge=0)


class Listing(BaseModel):
    """One page."""

    items: list[Row]
    next_cursor: str | None = None


@router.get("/alert-rules")
def list_rules(caller: Caller) -> Listing:
    """List the rules, each with where its groups stand."""
    with caller.store.read() as session:
        rules = alert_queries.list_rules(session, caller.workspace_id)
        rows = [rule_row(rule, alert_queries.states_of(session, rule.id)) for rule in rules]
    return Listing(items=rows)


@router.post("/alert-rules", status_code=201)
def create_rule(rule: RuleIn, caller: Caller) -> Row:
    """Make a rule."""
    return rule_row(editing.create_rule(caller.store, caller.workspace_id, rule.draft()), {})


@router.post("/alert-rules/preview")
def preview(asked: PreviewIn, caller: Caller) -> Row:
    """Compute a metric as it stands now, and say which groups a threshold would make fire."""
    lowest = asked.comparison in ("<", "<=", None)
    found = editing.preview(caller.store, caller.workspace_id, asked.metric, lowest=lowest)
    least = asked.min_sample if asked.min_sample is not None else int(not found.metric.is_additive)
    values = []
    for value in found.values:
        would_fire = None
        if asked.comparison is not None and asked.threshold is not None:
            would_fire = (
                value.value is not None
                and value.sample >= least
                and holds(value.value, asked.comparison, asked.threshold)
            )
        values.append(
            {
                "group": dict(zip(found.metric.group_by, value.group, strict=True)),
                "value": value.value,
                "sample": value.sample,
                "would_fire": would_fire,
                "logs": found.examples.get(value.group, []),
            }
        )
    return {
        "metric": found.text,
        "unit": found.metric.unit,
        "window_s": found.metric.window_s,
        "values": values,
        "late_count": found.late_count,
    }


@router.get("/alert-rules/{rule_id}")
def get_rule(rule_id: str, caller: Caller) -> Row:
    """Return one rule and where its groups stand."""
    with caller.store.read() as session:
        rule = alert_queries.get_rule(session, caller.workspace_id, rule_id)
        return rule_row(rule, alert_queries.states_of(session, rule.id))


@router.put("/alert-rules/{rule_id}")
def update_rule(rule_id: str, rule: RuleIn, caller: Caller) -> Row:
    """Change a rule; if the condition changes, what is open ends."""
    changed = editing.update_rule(
        caller.store, caller.settings, caller.workspace_id, rule_id, rule.draft()
    )
    return rule_row(changed, {})


@router.delete("/alert-rules/{rule_id}", status_code=204)
def delete_rule(rule_id: str, caller: Caller) -> None:
    """Remove a rule; what is open ends. Firings stay."""
    editing.delete_rule(caller.store, caller.settings, caller.workspace_id, rule_id)


@router.post("/alert-rules/{rule_id}/snooze")
def snooze_rule(rule_id: str, snooze: SnoozeIn, caller: Caller) -> Row:
    """Hold a rule's messages back; what is still open afterwards is told then."""
    rule = editing.snooze_rule(caller.store, caller.workspace_id, rule_id, snooze.for_s)
    with caller.store.read() as session:
        return rule_row(rule, alert_queries.states_of(session, rule.id))


@router.get("/firings")
def list_firings(
    caller: Caller,
    rule_id: str | None = None,
    is_open: Annotated[bool | None, Query(description="true: not over; false: over")] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Listing:
    """List firings, the last first."""
    with caller.store.read() as session:
        page = alert_queries.list_firings(
            session,
            caller.workspace_id,
            rule_id=rule_id,
            is_open=is_open,
            cursor=cursor,
            limit=limit,
        )
    return Listing(items=[firing_row(one) for one in page.items], next_cursor=page.next_cursor)


@router.get("/firings/{firing_id}")
def get_firing(firing_id: str, caller: Caller) -> Row:
    """Return one firing and what was told of it."""
    with caller.store.read() as session:
        firing = alert_queries.get_firing(session, caller.workspace_id, firing_id)
        deliveries = alert_queries.deliveries_of(session, firing_id)
    return firing_row(firing) | {"deliveries": [delivery_row(one) for one in deliveries]}


def rule_row(rule: Rule, states: dict[tuple[str | None, ...], GroupState]) -> Row:
    """Shape a rule for JSON: its condition beside its other fields, its groups' states below."""
    fields = parse_metric(rule.condition.metric).group_by
    row = asdict(rule)
    row |= row.pop("condition")
    row["channels"] = list(rule.channels)
    row["state"] = overall_state(list(states.values()))
    row["groups"] = [
        {
            "group": dict(zip(fields, group, strict=False)),
            "state": state.state,
            "since_ns": state.since_ns,
            "value": state.value,
            "sample": state.sample,
            "firing_id": state.firing_id,
        }
        for group, state in states.items()
    ]
    return row


def overall_state(states: list[GroupState]) -> str:
    """Return the worst state of a rule's groups."""
    present = {state.state for state in states}
    order = ("firing", "no_data", "pending", "resolved")
    return next((name for name in order if name in present), "ok")


def firing_row(firing: Firing) -> Row:
    """Shape a firing for JSON."""
    fields = parse_metric(firing.condition.metric).group_by
    row = asdict(firing)
    row["group"] = dict(zip(fields, firing.group, strict=False))
    row["state"] = "firing" if firing.closed_ns is None else "resolved"
    return row


def delivery_row(delivery: Delivery) -> Row:
    """Shape a delivery for JSON, without what it said."""
    row = asdict(delivery)
    del row["payload"]
    return row
