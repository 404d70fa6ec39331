"""Computes metrics over narrow rows by their time of arrival: for alert rules, previews and charts.

Only what production did counts: not what an Evaluator or an offline run did, not imports, and not
what arrived more than 15 minutes after its end (an outage's backlog is not news); that is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlmodel import Session

from kibitz_collector.query.ast import And, Comparison, Node, Not, Or
from kibitz_collector.query.metrics import GroupField, Metric
from kibitz_collector.store.alerts import Group
from kibitz_collector.store.expressions import Glob, JsonListHas
from kibitz_collector.store.filters import FILE, JUDGMENT, LOG, amount, compile_filter

LATE_NS = 15 * 60 * 10**9
MAX_GROUPS = 200
"""Groups one rule looks at, those with the largest sample: a typo must not open thousands."""

_OFFLINE = ("run", "test", "notebook")
_NOT_LIVE = ("evaluator", "import")
_PERCENT = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
_LOG_GROUPS = {"version": "version_id", "session": "session_id"}
Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupValue:
    """A metric's value for one group, and how many Logs or judgments it rests on."""

    group: Group
    value: float | None
    sample: int


def aggregate(
    session: Session, workspace_id: int, metric: Metric, start_ns: int, end_ns: int
) -> list[GroupValue]:
    """Compute a metric over what arrived after `start_ns` up to `end_ns`.

    Without group-by exactly one value; else one per group with data, the largest samples first.
    Weighted by 1 / keep probability, except percentiles, which are nearest-rank on both databases.
    """
    rows = _rows(session, workspace_id, metric, start_ns, end_ns, late=False).subquery()
    groups = [rows.c[f"g{index}"] for index in range(len(metric.group_by))]
    statement: Select[Any]
    if metric.aggregation in _PERCENT:
        statement = _percentile(rows, groups, _PERCENT[metric.aggregation])
    else:
        sample = func.count(rows.c.x)
        columns: list[Any] = [*groups, _fold(metric, rows), sample, func.count()]
        statement = select(*columns).group_by(*groups)
        statement = statement.order_by(sample.desc(), *groups).limit(MAX_GROUPS)
    found = [
        GroupValue(
            group=tuple(row[:-3]), value=_value(metric, row[-3], row[-1]), sample=int(row[-2])
        )
        for row in session.execute(statement)
    ]
    if not found and not metric.group_by:
        found = [GroupValue(group=(), value=0.0 if metric.is_additive else None, sample=0)]
    return found


def count_late(
    session: Session, workspace_id: int, metric: Metric, start_ns: int, end_ns: int
) -> int:
    """Count what matches but arrived too late to be looked at."""
    rows = _rows(session, workspace_id, metric, start_ns, end_ns, late=True).subquery()
    return int(session.execute(select(func.count()).select_from(rows)).scalar_one())


def examples(
    session: Session,
    workspace_id: int,
    metric: Metric,
    group: Group,
    start_ns: int,
    end_ns: int,
    *,
    lowest: bool,
    limit: int = 3,
) -> list[str]:
    """Return ids of the Logs that speak most for the value: lowest or highest, then newest."""
    rows = _rows(session, workspace_id, metric, start_ns, end_ns, late=False).subquery()
    matches = [
        rows.c[f"g{index}"].is_(None) if value is None else rows.c[f"g{index}"] == value
        for index, value in enumerate(group)
    ]
    order = rows.c.x.asc() if lowest else rows.c.x.desc()
    statement = (
        select(rows.c.log_id)
        .where(*matches, rows.c.x.is_not(None), rows.c.log_id.is_not(None))
        .order_by(order, rows.c.seq.desc())
        .limit(limit)
    )
    return [str(log_id) for log_id in session.execute(statement).scalars()]


def _rows(
    session: Session, workspace_id: int, metric: Metric, start_ns: int, end_ns: int, *, late: bool
) -> Select[Any]:
    """Select one row per Log or judgment: its groups, x (what is folded), weight, Log id, seq."""
    if metric.measure == "judgment":
        statement = _judgment_rows(workspace_id, metric, start_ns, end_ns, late=late)
    else:
        statement = _log_rows(workspace_id, metric, start_ns, end_ns, late=late)
    if "file" in metric.group_by:
        statement = statement.outerjoin(FILE, FILE.c.id == LOG.c.file_id)
    return statement


def _log_rows(
    workspace_id: int, metric: Metric, start_ns: int, end_ns: int, *, late: bool
) -> Select[Any]:
    is_late = LOG.c.final_ns - func.coalesce(LOG.c.end_ns, LOG.c.start_ns) > LATE_NS
    conditions: list[Condition] = [
        LOG.c.workspace_id == workspace_id,
        LOG.c.final_ns > start_ns,
        LOG.c.final_ns <= end_ns,
        LOG.c.is_hidden.is_(False),
        LOG.c.run_id.is_(None),
        or_(LOG.c.source.is_(None), LOG.c.source.not_in(_NOT_LIVE)),
        is_late if late else not_(is_late),
        compile_filter(metric.filter, end_ns, workspace_id=workspace_id),
    ]
    if "kind" not in _fields(metric.filter):
        conditions.append(LOG.c.kind != "evaluator")
    x = _log_x(metric)
    if metric.measure in ("cost", "tokens") or metric.measure.startswith("tokens."):
        # A flow that repeats the sums of its model calls would count them twice.
        conditions.append(LOG.c.is_covered.is_(False))
    if metric.aggregation != "sum":
        conditions.append(x.is_not(None))
    weight = 1.0 / func.nullif(LOG.c.keep_probability, 0.0)
    return (
        select(
            *_groups(metric), x.label("x"), weight.label("w"), LOG.c.id.label("log_id"), LOG.c.seq
        )
        .select_from(LOG)
        .where(*conditions)
    )


def _log_x(metric: Metric) -> ColumnElement[Any]:
    if metric.aggregation == "count":
        return literal(1.0, Double)
    if metric.aggregation == "error_rate":
        return case((LOG.c.status == "error", 1.0), else_=0.0)
    return cast(amount(metric.measure), Double)


def _judgment_rows(
    workspace_id: int, metric: Metric, start_ns: int, end_ns: int, *, late: bool
) -> Select[Any]:
    # The judged Log decides too: a verdict on an outage's backlog is as old as the backlog.
    is_late = or_(
        JUDGMENT.c.received_ns - JUDGMENT.c.created_ns > LATE_NS,
        and_(
            LOG.c.final_ns.is_not(None),
            LOG.c.final_ns - func.coalesce(LOG.c.end_ns, LOG.c.start_ns) > LATE_NS,
        ),
    )
    path = metric.evaluator or ""
    named = select(FILE.c.id).where(
        FILE.c.workspace_id == workspace_id,
        Glob(FILE.c.path, path) if "*" in path else FILE.c.path == path,
    )
    x = _judgment_x(metric)
    conditions: list[Condition] = [
        JUDGMENT.c.workspace_id == workspace_id,
        JUDGMENT.c.received_ns > start_ns,
        JUDGMENT.c.received_ns <= end_ns,
        JUDGMENT.c.evaluator_id.in_(named),
        JUDGMENT.c.superseded_by.is_(None),
        JUDGMENT.c.where.not_in(_OFFLINE),
        or_(LOG.c.seq.is_(None), LOG.c.source.is_(None), LOG.c.source != "import"),
        is_late.is_(True) if late else is_late.is_not(True),
        x.is_not(None),
    ]
    if metric.where:
        conditions.append(LOG.c.seq.is_not(None))
        conditions.append(compile_filter(metric.filter, end_ns, workspace_id=workspace_id))
    weight = 1.0 / func.nullif(JUDGMENT.c.keep_probability, 0.0)
    judged = and_(LOG.c.workspace_id == workspace_id, LOG.c.id == JUDGMENT.c.judged_log_id)
    return (
        select(
            *_groups(metric),
            x.label("x"),
            weight.label("w"),
            JUDGMENT.c.judged_log_id.label("log_id"),
            JUDGMENT.c.seq,
        )
        .select_from(JUDGMENT.outerjoin(LOG, judged))
        .where(*conditions)
    )


def _judgment_x(metric: Metric) -> ColumnElement[Any]:
    judgment = JUDGMENT.c
    is_verdict = judgment.is_error.is_(False)
    match metric.aggregation:
        case "count":
            return literal(1.0, Double)
        case "error_rate":
            return case((judgment.is_error.is_(True), 1.0), else_=0.0)
        case "pass_rate":
            return case((and_(is_verdict, judgment.return_type == "boolean"), judgment.number))
        case "rate":
            has_label = JsonListHas(judgment.labels, metric.label or "")
            known = and_(is_verdict, judgment.labels.is_not(None))
            return case((and_(known, has_label), 1.0), (known, 0.0))
        case _:
            return case((is_verdict, judgment.number))


def _groups(metric: Metric) -> list[ColumnElement[Any]]:
    return [_group(field).label(f"g{index}") for index, field in enumerate(metric.group_by)]


def _group(field: GroupField) -> ColumnElement[Any]:
    if field == "file":
        return FILE.c.path
    if field == "evaluator":
        evaluator = FILE.alias("evaluator_file")
        named = select(evaluator.c.path).where(evaluator.c.id == JUDGMENT.c.evaluator_id)
        return named.correlate(JUDGMENT).scalar_subquery()
    return LOG.c[_LOG_GROUPS.get(field, field)]


def _fold(metric: Metric, rows: Any) -> ColumnElement[Any]:
    if metric.aggregation == "count":
        return func.sum(rows.c.w)
    if metric.aggregation == "sum":
        return func.sum(rows.c.w * rows.c.x)
    return func.sum(rows.c.w * rows.c.x) / func.sum(rows.c.w)


def _percentile(rows: Any, groups: Sequence[ColumnElement[Any]], percent: int) -> Select[Any]:
    # Nearest rank, in integers: SQLite has no percentile function, and interpolation would differ.
    rank = func.row_number().over(partition_by=groups or None, order_by=rows.c.x)
    count = func.count().over(partition_by=groups or None)
    columns: list[Any] = [*groups, rows.c.x, rank.label("rank"), count.label("n")]
    ranked = select(*columns).subquery()
    names = [ranked.c[group.name] for group in groups]
    return (
        select(*names, ranked.c.x, ranked.c.n, ranked.c.n)
        .where(ranked.c.rank == (ranked.c.n * percent + 99) // 100)
        .order_by(ranked.c.n.desc(), *names)
        .limit(MAX_GROUPS)
    )


def _value(metric: Metric, value: float | None, row_count: int) -> float | None:
    if value is None:
        # Nothing came: that is 0. Something came without a price: that is unknown.
        return 0.0 if metric.is_additive and row_count == 0 else None
    return float(value)


def _fields(node: Node) -> set[str]:
    match node:
        case Comparison():
            return {node.field}
        case Not(part):
            return _fields(part)
        case And(parts) | Or(parts):
            return {name for part in parts for name in _fields(part)}
    return set()
