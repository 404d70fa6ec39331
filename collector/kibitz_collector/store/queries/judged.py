"""Reads how a File's Versions were judged: one mean per Evaluator's Version."""

from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlmodel import Session

from kibitz_collector.store.filters import JUDGMENT, LOG


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateView:
    """The mean judgment of one Evaluator's Version; booleans count as 1 and 0."""

    evaluator_id: str
    evaluator_version_id: str
    value: float
    first_ns: int
    last_ns: int


def judged_versions(
    session: Session, workspace_id: int, file_id: str
) -> dict[str, list[AggregateView]]:
    """Return the means of a File's Versions, by Version."""
    rows = session.connection().execute(
        select(
            LOG.c.version_id,
            JUDGMENT.c.evaluator_id,
            JUDGMENT.c.evaluator_version_id,
            func.avg(JUDGMENT.c.number).label("value"),
            func.min(JUDGMENT.c.created_ns).label("first_ns"),
            func.max(JUDGMENT.c.created_ns).label("last_ns"),
        )
        .join(
            JUDGMENT,
            and_(
                JUDGMENT.c.workspace_id == LOG.c.workspace_id, JUDGMENT.c.judged_log_id == LOG.c.id
            ),
        )
        .where(
            LOG.c.workspace_id == workspace_id,
            LOG.c.file_id == file_id,
            JUDGMENT.c.number.is_not(None),
            JUDGMENT.c.evaluator_version_id.is_not(None),
            JUDGMENT.c.superseded_by.is_(None),
        )
        .group_by(LOG.c.version_id, JUDGMENT.c.evaluator_id, JUDGMENT.c.evaluator_version_id)
    )
    found: dict[str, list[AggregateView]] = {}
    for row in rows:
        found.setdefault(row.version_id, []).append(
            AggregateView(
                evaluator_id=row.evaluator_id,
                evaluator_version_id=row.evaluator_version_id,
                value=float(row.value),
                first_ns=row.first_ns,
                last_ns=row.last_ns,
            )
        )
    return found
