"""Alerts: rules with where they stand, firings with who was told, channels."""

import math
import time
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kibitz_collector.access.http import Context, context, full_context
from kibitz_collector.alert import editing
from kibitz_collector.errors import CollectorError, Invalid
from kibitz_collector.query.metrics import parse_metric
from kibitz_collector.store.alerts import Channel, Comparison, Group, NoData, Rule, StateName
from kibitz_collector.store.queries import alerts as alert_queries
from kibitz_collector.store.queries import metrics as metric_queries
from kibitz_collector.store.queries.metrics import GroupValue
from kibitz_collector.store.writes import deliveries
from kibitz_collector.ui.forms import read_form
from kibitz_collector.ui.render import page

_SNOOZE_S = 3600.0
_MOST_GROUPS = 8
# What to look at first, when a rule has several groups.
_URGENCY: tuple[StateName, ...] = ("firing", "no_data", "pending", "resolved", "ok")
_EMPTY = {
    "name": "",
    "metric": 'pass_rate(judgment "support/is_polite") where file:"support/answer" over 10m',
    "comparison": "<",
    "threshold": "0.8",
    "min_sample": "",
    "for_s": "0",
    "no_data": "ignore",
    "channel": "",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One rule as the page draws it."""

    rule: Rule
    worst: StateName
    states: dict[Group, StateName]
    now: list[GroupValue]
    channels: list[Channel]


def alerts_page(request: Request) -> Response:
    """Render rules, firings and channels."""
    return _render(request, context(request), _EMPTY, request.query_params.get("problem", ""))


def _render(
    request: Request,
    caller: Context,
    draft: dict[str, str],
    problem: str,
    status: int = 200,
    notice: str = "",
) -> Response:
    with caller.store.read() as session:
        channels = alert_queries.list_channels(session, caller.workspace_id)
        firings = alert_queries.list_firings(session, caller.workspace_id, limit=50).items
        told = [alert_queries.deliveries_of(session, firing.id) for firing in firings]
        rules = alert_queries.list_rules(session, caller.workspace_id)
    return page(
        request,
        "alerts.html",
        status,
        section="alerts",
        title="Alerts",
        cards=[_card(caller, rule, channels) for rule in rules],
        firings=list(zip(firings, told, strict=True)),
        channels=channels,
        draft=draft,
        problem=problem,
        notice=notice or request.query_params.get("notice", ""),
    )


def _card(caller: Context, rule: Rule, channels: list[Channel]) -> Card:
    now_ns = time.time_ns()
    metric = parse_metric(rule.condition.metric)
    with caller.store.read() as session:
        states = {
            group: state.state for group, state in alert_queries.states_of(session, rule.id).items()
        }
        values = metric_queries.aggregate(
            session, caller.workspace_id, metric, now_ns - metric.window_s * 10**9, now_ns
        )
    worst: StateName = min(states.values(), key=_URGENCY.index, default="ok")
    values.sort(key=lambda value: _URGENCY.index(states.get(value.group, "ok")))
    told = [channel for channel in channels if channel.id in rule.channels]
    return Card(rule, worst, states, values[:_MOST_GROUPS], told)


async def create_rule(request: Request) -> Response:
    """Make a rule from the form; what is refused stays in the form."""
    caller = await run_in_threadpool(full_context, request)
    draft = _EMPTY | await read_form(request)
    try:
        await run_in_threadpool(_save_rule, caller, draft)
    except CollectorError as error:
        return await run_in_threadpool(_render, request, caller, draft, error.message, error.status)
    return RedirectResponse("/alerts", 303)


def _save_rule(caller: Context, draft: dict[str, str]) -> None:
    comparison, no_data = draft["comparison"], draft["no_data"]
    if comparison not in ("<", "<=", ">", ">="):
        raise Invalid(f"comparison {comparison!r} is not known; use <, <=, > or >=")
    if no_data not in ("ignore", "fire"):
        raise Invalid(f"no_data {no_data!r} is not known; use ignore or fire")
    rule = editing.draft_rule(
        draft["name"].strip()[:200],
        draft["metric"],
        cast(Comparison, comparison),
        _number(draft, "threshold"),
        channels=(draft["channel"],) if draft["channel"] else (),
        min_sample=round(_number(draft, "min_sample")) if draft["min_sample"].strip() else None,
        for_s=_number(draft, "for_s"),
        no_data=cast(NoData, no_data),
    )
    editing.create_rule(caller.store, caller.workspace_id, rule)


def _number(draft: dict[str, str], name: str) -> float:
    try:
        number = float(draft[name].strip() or "0")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(f"{name} {draft[name][:100]!r} is not a number")
    return number


async def change_rule(request: Request) -> Response:
    """Snooze, wake or delete a rule."""
    return await _change(request, _change_rule)


def _change_rule(caller: Context, action: str, rule_id: str) -> str:
    match action:
        case "snooze" | "unsnooze":
            pause_s = _SNOOZE_S if action == "snooze" else 0
            editing.snooze_rule(caller.store, caller.workspace_id, rule_id, pause_s)
        case "delete":
            editing.delete_rule(caller.store, caller.settings, caller.workspace_id, rule_id)
        case _:
            raise Invalid(f"no action {action!r}; known: snooze, unsnooze, delete")
    return ""


async def create_channel(request: Request) -> Response:
    """Add a webhook; its secret is shown once, in the answer itself and in no URL."""
    caller = await run_in_threadpool(full_context, request)
    form = await read_form(request)
    try:
        notice = await run_in_threadpool(_save_channel, caller, form)
    except CollectorError as error:
        return _back(problem=error.message)
    return await run_in_threadpool(_render, request, caller, _EMPTY, "", 201, notice)


def _save_channel(caller: Context, form: dict[str, str]) -> str:
    config: dict[str, Any] = {"url": form.get("url", "").strip()}
    if form.get("secret", "").strip():
        config["secret"] = form["secret"].strip()
    channel, whole = editing.create_channel(
        caller.store,
        caller.settings,
        caller.workspace_id,
        form.get("name", "").strip()[:200],
        "webhook",
        config,
    )
    return f"{channel.name} is ready. Its signing secret, shown this once: {whole['secret']}"


async def change_channel(request: Request) -> Response:
    """Test or delete a channel."""
    return await _change(request, _change_channel)


def _change_channel(caller: Context, action: str, channel_id: str) -> str:
    match action:
        case "test":
            problem = editing.try_channel(
                caller.store, caller.settings, caller.workspace_id, channel_id
            )
            if problem is not None:
                raise Invalid(f"the test message was not taken: {problem.reason}")
            return "The test message was taken."
        case "delete":
            with caller.store.write() as session:
                deliveries.delete_channel(session, caller.workspace_id, channel_id)
            return ""
        case _:
            raise Invalid(f"no action {action!r}; known: test, delete")


async def _change(request: Request, act: Any) -> Response:
    caller = await run_in_threadpool(full_context, request)
    form = await read_form(request)
    try:
        notice = await run_in_threadpool(act, caller, form.get("action", ""), form.get("id", ""))
    except CollectorError as error:
        return _back(problem=error.message)
    return _back(notice=notice)


def _back(**told: str) -> Response:
    query = "&".join(f"{name}={quote(text)}" for name, text in told.items() if text)
    return RedirectResponse(f"/alerts?{query}" if query else "/alerts", 303)


routes = [
    Route("/alerts", alerts_page, methods=["GET"]),
    Route("/alerts", create_rule, methods=["POST"]),
    Route("/alerts/change", change_rule, methods=["POST"]),
    Route("/alerts/channels", create_channel, methods=["POST"]),
    Route("/alerts/channels/change", change_channel, methods=["POST"]),
]
