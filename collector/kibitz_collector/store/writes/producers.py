"""Keeps account of what each sending process says it produced, beside what was stored of it."""

import time
from dataclasses import dataclass

from sqlalchemy import case, select
from sqlmodel import Session

from kibitz_collector.store import dialect
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.tables.quarantine import Producer

PRODUCER = table(Producer)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerReport:
    """What came with one request. Counts of stored Logs add up; the rest are totals so far."""

    install: str
    process: str
    host: str | None = None
    service: str | None = None
    started_ns: int | None = None
    last_sequence: int = 0  # highest number the process has given a record
    stored_high_water: int = 0  # highest number in this request, once it is stored
    stored_count: int = 0  # new Logs of this request
    dropped: int = 0
    rejected: int = 0


def note_report(session: Session, workspace_id: int, report: ProducerReport) -> None:
    """Add a report to its process's row."""
    connection = session.connection()
    statement = dialect.insert(connection, PRODUCER)
    new, old = statement.excluded, PRODUCER.c
    highest = ("last_sequence", "stored_high_water", "dropped", "rejected", "updated_ns")
    changes = {name: case((new[name] > old[name], new[name]), else_=old[name]) for name in highest}
    changes["stored_count"] = old.stored_count + new.stored_count
    for name in ("host", "service", "started_ns"):
        changes[name] = case((new[name].is_not(None), new[name]), else_=old[name])
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["workspace_id", "install", "process"], set_=changes
        ),
        {
            "workspace_id": workspace_id,
            "install": storable(report.install),
            "process": storable(report.process),
            "host": None if report.host is None else storable(report.host),
            "service": None if report.service is None else storable(report.service),
            "started_ns": report.started_ns,
            "last_sequence": report.last_sequence,
            "stored_high_water": report.stored_high_water,
            "stored_count": report.stored_count,
            "dropped": report.dropped,
            "rejected": report.rejected,
            "updated_ns": time.time_ns(),
        },
    )


def list_producers(session: Session, workspace_id: int) -> list[ProducerReport]:
    """Return what is known of each process, the latest heard of first."""
    rows = session.connection().execute(
        select(PRODUCER)
        .where(PRODUCER.c.workspace_id == workspace_id)
        .order_by(PRODUCER.c.updated_ns.desc(), PRODUCER.c.install, PRODUCER.c.process)
    )
    return [
        ProducerReport(
            **{
                name: value
                for name, value in row.items()
                if name not in ("workspace_id", "updated_ns")
            }
        )
        for row in rows.mappings()
    ]
