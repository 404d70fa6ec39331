"""Reads the datapoints of a Dataset's Version."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from sqlalchemy import func, select
from sqlmodel import Session

from kibitz_collector.records import Json
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.datasets import Datapoint, VersionDatapoint

DATAPOINT, MEMBER = table(Datapoint), table(VersionDatapoint)
_CHUNK = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class DatapointView:
    """One test case; `content` has inputs, messages and target."""

    id: str
    content: Json


def list_datapoints(
    session: Session, version_id: str, *, page: int = 1, size: int | None = None
) -> list[DatapointView]:
    """Return one page of a Version's datapoints in their order; without a size, all."""
    statement = (
        select(DATAPOINT.c.id, DATAPOINT.c.content)
        .join(MEMBER, MEMBER.c.datapoint_id == DATAPOINT.c.id)
        .where(MEMBER.c.version_id == version_id)
        .order_by(MEMBER.c.position)
    )
    if size is not None:
        statement = statement.limit(size).offset((page - 1) * size)
    rows = session.connection().execute(statement)
    return [DatapointView(id=row.id, content=orjson.loads(row.content)) for row in rows]


def count_datapoints(session: Session, version_id: str) -> int:
    """Return how many datapoints a Version has."""
    statement = select(func.count()).select_from(MEMBER).where(MEMBER.c.version_id == version_id)
    count: int = session.connection().execute(statement).scalar_one()
    return count


def get_datapoints(session: Session, ids: Iterable[str | None]) -> dict[str | None, DatapointView]:
    """Return those of these datapoints that there are, of whatever Dataset, by id."""
    wanted = sorted({id_ for id_ in ids if id_ is not None})
    found: dict[str | None, DatapointView] = {}
    for at in range(0, len(wanted), _CHUNK):
        rows = session.connection().execute(
            select(DATAPOINT.c.id, DATAPOINT.c.content).where(
                DATAPOINT.c.id.in_(wanted[at : at + _CHUNK])
            )
        )
        for row in rows:
            found[row.id] = DatapointView(id=row.id, content=orjson.loads(row.content))
    return found
