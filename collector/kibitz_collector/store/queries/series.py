"""Charts: what happened in equal pieces of time. Percentiles are exact and the same on both."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlmodel import Session

from kibitz_collector.errors import Invalid
from kibitz_collector.query.ast import EVERYTHING, Node
from kibitz_collector.store.filters import LOG, amount, compile_filter
from kibitz_collector.store.queries.logs import names_kind
from kibitz_collector.store.queries.tops import stands_for_trace

MAX_BUCKETS = 5_000
_NO_SUMS = (0, 0, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesBucket:
    """One piece of time. Cost and tokens are those of leaf model calls; None: nothing known."""

    start_ns: int
    count: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    cost_usd: float | None
    tokens: int | None


def log_series(
    session: Session,
    workspace_id: int,
    where: Node = EVERYTHING,
    start_ns: int = 0,
    end_ns: int = 0,
    bucket_ns: int = 60 * 10**9,
    *,
    roots_only: bool = False,
    percentiles: bool = True,
) -> list[SeriesBucket]:
    """Return the buckets from `start_ns` to `end_ns` by the sender's clock, empty ones too.

    `percentiles=False` leaves p50 and p95 None: they need a sort of all durations.
    Raises: Invalid: no time in it, or more than MAX_BUCKETS buckets.
    """
    if bucket_ns <= 0 or end_ns <= start_ns or (end_ns - start_ns) / bucket_ns > MAX_BUCKETS:
        raise Invalid(f"a chart needs an end after its start and at most {MAX_BUCKETS} buckets")
    placed = _placed(workspace_id, where, start_ns, end_ns, bucket_ns, roots_only)
    sums = {row[0]: tuple(row[1:]) for row in session.connection().execute(_sums(placed))}
    ranks: dict[int, tuple[Any, ...]] = {}
    if percentiles:
        ranked = session.connection().execute(_ranks(placed))
        ranks = {row[0]: tuple(row[1:]) for row in ranked}
    buckets = []
    for index in range(-(-(end_ns - start_ns) // bucket_ns)):
        count, errors, cost, tokens = sums.get(index, _NO_SUMS)
        p50, p95 = ranks.get(index, (None, None))
        buckets.append(
            SeriesBucket(
                start_ns=start_ns + index * bucket_ns,
                count=count,
                errors=errors,
                p50_ms=p50,
                p95_ms=p95,
                cost_usd=cost,
                tokens=None if tokens is None else int(tokens),
            )
        )
    return buckets


def _placed(
    workspace_id: int, where: Node, start_ns: int, end_ns: int, bucket_ns: int, roots_only: bool
) -> Select[Any]:
    """Select one row per Log: its bucket, and what is added up."""
    conditions = [
        LOG.c.workspace_id == workspace_id,
        LOG.c.start_ns >= start_ns,
        LOG.c.start_ns < end_ns,
        LOG.c.is_hidden.is_(False),
        compile_filter(where, time.time_ns(), workspace_id=workspace_id),
    ]
    if roots_only:
        conditions += stands_for_trace()
    elif not names_kind(where):
        conditions.append((LOG.c.kind != "evaluator") | LOG.c.parent_id.is_(None))
    # A flow that repeats the sums of its model calls would count them twice.
    is_leaf = and_(LOG.c.is_covered.is_(False), LOG.c.kind != "evaluator")
    return select(
        ((LOG.c.start_ns - start_ns) // bucket_ns).label("bucket"),
        LOG.c.status,
        LOG.c.duration_ms,
        case((is_leaf, LOG.c.cost_usd)).label("cost"),
        case((is_leaf, amount("tokens"))).label("tokens"),
    ).where(*conditions)


def _sums(rows: Select[Any]) -> Select[Any]:
    placed = rows.subquery()
    return select(
        placed.c.bucket,
        func.count(),
        func.count().filter(placed.c.status == "error"),
        func.sum(placed.c.cost),
        func.sum(placed.c.tokens),
    ).group_by(placed.c.bucket)


def _ranks(rows: Select[Any]) -> Select[Any]:
    """Pick the durations at the nearest rank: SQLite has no percentiles, both have row numbers."""
    placed = rows.where(LOG.c.duration_ms.is_not(None)).subquery()
    numbered = select(
        placed.c.bucket,
        placed.c.duration_ms,
        func.row_number()
        .over(partition_by=placed.c.bucket, order_by=placed.c.duration_ms)
        .label("rank"),
        func.count().over(partition_by=placed.c.bucket).label("count"),
    ).subquery()

    def at(percent: int) -> ColumnElement[Any]:
        rank = (numbered.c["count"] * percent + 99) // 100
        return func.max(case((numbered.c.rank == rank, numbered.c.duration_ms)))

    return select(numbered.c.bucket, at(50), at(95)).group_by(numbered.c.bucket)
