"""Tells what an import finds there already."""

from collections.abc import Collection

from sqlalchemy import select
from sqlmodel import Session

from kibitz_collector.store.filters import LOG

_CHUNK = 400


def known_logs(session: Session, workspace_id: int, log_ids: Collection[str]) -> set[str]:
    """Return the ids of Logs that are there and will not change any more."""
    known: set[str] = set()
    wanted = sorted(log_ids)
    for start in range(0, len(wanted), _CHUNK):
        rows = session.connection().execute(
            select(LOG.c.id).where(
                LOG.c.workspace_id == workspace_id,
                LOG.c.id.in_(wanted[start : start + _CHUNK]),
                LOG.c.status != "incomplete",
            )
        )
        known.update(rows.scalars())
    return known
