"""Keeps account of what each sending process says it produced, beside what has arrived of it.

A process numbers its records from 1 and says with each request which numbers it holds: the first,
the last, and how many. Spans and log records go in requests of their own, so the numbers between
may be in another one. What a process has sent is kept as *pieces*, joined where they overlap or
touch: a request that comes again is not counted again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import select, update
from sqlmodel import Session

from kibitz_collector.store import dialect
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.tables.quarantine import Producer

PRODUCER = table(Producer)
MAX_PIECES = 64
Piece = tuple[int, int, int]
"""First number, last number, how many of those between have arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerReport:
    """What one request says about the process whose records it holds."""

    process: str
    first: int = 0  # 0: nothing in it is numbered
    last: int = 0
    count: int = 0
    produced: int = 0  # by the process up to now, in this request or not
    rejected: int = 0
    host: str | None = None
    service: str | None = None


def note_reports(session: Session, workspace_id: int, reports: Sequence[ProducerReport]) -> None:
    """Add reports to the rows of their processes."""
    by_process: dict[str, list[ProducerReport]] = {}
    for report in reports:
        by_process.setdefault(storable(report.process), []).append(report)
    for process in sorted(by_process):  # one order everywhere, or two collectors wait in a circle
        _note(session, workspace_id, process, by_process[process])


def join_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces in order, joined where they overlap, or touch and lack nothing."""
    joined: list[Piece] = []
    for first, last, count in sorted(pieces):
        if joined:
            before = joined[-1]
            is_whole = before[2] == before[1] - before[0] + 1 and count == last - first + 1
            if first <= before[1] or (is_whole and first == before[1] + 1):
                last = max(last, before[1])
                count = min(before[2] + count, last - before[0] + 1)
                joined[-1] = (before[0], last, count)
                continue
        joined.append((first, last, count))
    while len(joined) > MAX_PIECES:
        (first, _, one), (_, last, other) = joined[:2]
        joined[:2] = [(first, last, one + other)]
    return joined


def _note(
    session: Session, workspace_id: int, process: str, reports: Sequence[ProducerReport]
) -> None:
    connection, now_ns = session.connection(), time.time_ns()
    own = (PRODUCER.c.workspace_id == workspace_id, PRODUCER.c.process == process)
    known = select(PRODUCER).where(*own).with_for_update()
    row = connection.execute(known).mappings().first()
    if row is None:
        new = {
            "workspace_id": workspace_id,
            "process": process,
            "produced": 0,
            "arrived": 0,
            "rejected": 0,
            "pieces": "[]",
            "first_heard_ns": now_ns,
            "updated_ns": now_ns,
        }
        connection.execute(dialect.insert(connection, PRODUCER).on_conflict_do_nothing(), [new])
        row = connection.execute(known).mappings().one()
    told = [(report.first, report.last, report.count) for report in reports if report.count]
    pieces = join_pieces([*(tuple(piece) for piece in orjson.loads(row["pieces"])), *told])
    values = {
        "produced": max([row["produced"], *(max(one.last, one.produced) for one in reports)]),
        "arrived": sum(count for _, _, count in pieces),
        "rejected": row["rejected"] + sum(report.rejected for report in reports),
        "pieces": orjson.dumps(pieces).decode(),
        "updated_ns": now_ns,
    }
    for name in ("host", "service"):
        said = [text for report in reports if (text := getattr(report, name))]
        if said:
            values[name] = storable(said[-1])
    connection.execute(update(PRODUCER).where(*own).values(values))
