"""Keeps records that could not be taken, lists them, and hands them out to be tried again."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, select, update
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.records import Rejected
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.tables.quarantine import Quarantined

QUARANTINE = table(Quarantined)
MAX_PAYLOAD_BYTES = 1 << 20
MAX_REASON = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedView:
    """One record in quarantine."""

    id: int
    signal: str
    reason: str
    payload: bytes
    received_ns: int
    count: int
    replayed_ns: int | None


def keep(session: Session, workspace_id: int, rejected: Sequence[Rejected]) -> None:
    """Put records into quarantine; one that is there already is counted, not kept twice."""
    connection = session.connection()
    now_ns = time.time_ns()
    rows = [
        {
            "workspace_id": workspace_id,
            "digest": _digest(record),
            "signal": record.signal,
            "reason": storable(record.reason)[:MAX_REASON],
            "payload": record.payload[:MAX_PAYLOAD_BYTES],
            "received_ns": now_ns,
            "count": 1,
        }
        for record in rejected
    ]
    statement = dialect.insert(connection, QUARANTINE)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["workspace_id", "digest"],
            set_={
                "count": QUARANTINE.c.count + 1,
                "reason": statement.excluded.reason,
                "replayed_ns": None,
            },
        ),
        sorted(rows, key=lambda row: row["digest"]),
    )


def list_quarantined(
    session: Session, workspace_id: int, *, limit: int = 100, include_replayed: bool = False
) -> list[QuarantinedView]:
    """Return what is in quarantine, newest first."""
    statement = (
        select(QUARANTINE)
        .where(QUARANTINE.c.workspace_id == workspace_id)
        .order_by(QUARANTINE.c.received_ns.desc(), QUARANTINE.c.id.desc())
        .limit(limit)
    )
    if not include_replayed:
        statement = statement.where(QUARANTINE.c.replayed_ns.is_(None))
    return [_view(row) for row in session.connection().execute(statement).mappings()]


def get_quarantined(session: Session, workspace_id: int, quarantined_id: int) -> QuarantinedView:
    """Return one record in quarantine.

    Raises: NotFound: nothing is in quarantine under this id.
    """
    statement = select(QUARANTINE).where(
        QUARANTINE.c.workspace_id == workspace_id, QUARANTINE.c.id == quarantined_id
    )
    row = session.connection().execute(statement).mappings().first()
    if row is None:
        raise NotFound(f"nothing is in quarantine under {quarantined_id}")
    return _view(row)


def mark_replayed(session: Session, workspace_id: int, quarantined_id: int) -> None:
    """Note that a record was taken after all.

    Raises: NotFound: nothing is in quarantine under this id.
    """
    result = session.connection().execute(
        update(QUARANTINE)
        .where(QUARANTINE.c.workspace_id == workspace_id, QUARANTINE.c.id == quarantined_id)
        .values(replayed_ns=time.time_ns())
    )
    if result.rowcount == 0:
        raise NotFound(f"nothing is in quarantine under {quarantined_id}")


def _view(row: RowMapping) -> QuarantinedView:
    return QuarantinedView(
        id=row["id"],
        signal=row["signal"],
        reason=row["reason"],
        payload=row["payload"],
        received_ns=row["received_ns"],
        count=row["count"],
        replayed_ns=row["replayed_ns"],
    )


def _digest(record: Rejected) -> bytes:
    return hashlib.blake2b(record.signal.encode() + b"\0" + record.payload, digest_size=16).digest()
