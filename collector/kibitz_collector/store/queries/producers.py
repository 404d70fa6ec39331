"""Reads the account of sending processes: what each produced, what is here, what is missing."""

from dataclasses import dataclass

import orjson
from sqlalchemy import func, select
from sqlmodel import Session

from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.quarantine import Producer, Quarantined

PRODUCER, QUARANTINE = table(Producer), table(Quarantined)
SETTLED_NS = 120 * 10**9
"""A process silent for so long sends no more of its own; what is missing then is lost, or in its
spool until another process of that machine finds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Numbers of records between which some have not arrived."""

    first: int
    last: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerView:
    """One sending process."""

    process: str
    host: str | None
    service: str | None
    produced: int
    stored: int
    rejected: int
    missing: int
    gaps: list[Gap]
    first_heard_ns: int
    updated_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What needs a person's eye; all zero on a good day."""

    missing: int  # of processes that have fallen silent
    quarantined: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.quarantined)


def list_producers(session: Session, workspace_id: int, limit: int = 200) -> list[ProducerView]:
    """Return what is known of each process, the latest heard of first."""
    rows = session.connection().execute(
        select(PRODUCER)
        .where(PRODUCER.c.workspace_id == workspace_id)
        .order_by(PRODUCER.c.updated_ns.desc(), PRODUCER.c.process)
        .limit(limit)
    )
    return [
        ProducerView(
            process=row.process,
            host=row.host,
            service=row.service,
            produced=row.produced,
            stored=row.arrived - row.rejected,
            rejected=row.rejected,
            missing=max(0, row.produced - row.arrived),
            gaps=_gaps(row.pieces, row.produced),
            first_heard_ns=row.first_heard_ns,
            updated_ns=row.updated_ns,
        )
        for row in rows
    ]


def losses(session: Session, workspace_id: int, now_ns: int, since_ns: int) -> Losses:
    """Return what went wrong since then; processes still sending may only be late."""
    connection = session.connection()
    missing = connection.execute(
        select(func.coalesce(func.sum(PRODUCER.c.produced - PRODUCER.c.arrived), 0)).where(
            PRODUCER.c.workspace_id == workspace_id,
            PRODUCER.c.updated_ns >= since_ns,
            PRODUCER.c.updated_ns < now_ns - SETTLED_NS,
            PRODUCER.c.produced > PRODUCER.c.arrived,
        )
    ).scalar_one()
    quarantined = connection.execute(
        select(func.count()).where(
            QUARANTINE.c.workspace_id == workspace_id,
            QUARANTINE.c.received_ns >= since_ns,
            QUARANTINE.c.replayed_ns.is_(None),
        )
    ).scalar_one()
    return Losses(missing=int(missing), quarantined=int(quarantined))


def _gaps(pieces: str, produced: int) -> list[Gap]:
    gaps = []
    after = 1
    for first, last, count in orjson.loads(pieces):
        if first > after:
            gaps.append(Gap(first=after, last=first - 1, missing=first - after))
        if count < last - first + 1:
            gaps.append(Gap(first=first, last=last, missing=last - first + 1 - count))
        after = last + 1
    if produced >= after:
        gaps.append(Gap(first=after, last=produced, missing=produced - after + 1))
    return gaps
