"""Is the database there, and what does it hold: for `/readyz`, `/metrics` and `doctor`."""

from sqlalchemy import func, select, text
from sqlmodel import Session

from kibitz_collector.store.filters import LOG
from kibitz_collector.store.rows import table
from kibitz_collector.store.search import lag
from kibitz_collector.store.tables.quarantine import Producer, Quarantined
from kibitz_collector.store.tables.rollups import RollupHour

QUARANTINE, PRODUCER, ROLLUP = table(Quarantined), table(Producer), table(RollupHour)


def check(session: Session) -> None:
    """Make sure that the database answers; raises what it says if not."""
    session.connection().execute(text("SELECT 1")).scalar_one()


def counters(session: Session) -> dict[str, float]:
    """Return gauges over all workspaces, each cheap: sums come from the hourly roll-ups."""
    connection = session.connection()
    sums = connection.execute(
        select(
            func.coalesce(func.sum(ROLLUP.c.log_count), 0),
            func.coalesce(func.sum(ROLLUP.c.error_count), 0),
            func.coalesce(func.sum(ROLLUP.c.cost_nusd), 0),
        )
    ).one()
    missing, rejected = connection.execute(
        select(
            func.coalesce(func.sum(PRODUCER.c.produced - PRODUCER.c.arrived), 0),
            func.coalesce(func.sum(PRODUCER.c.rejected), 0),
        )
    ).one()
    quarantined = connection.execute(
        select(func.count()).select_from(QUARANTINE).where(QUARANTINE.c.replayed_ns.is_(None))
    ).scalar_one()
    newest = connection.execute(select(func.max(LOG.c.seq))).scalar()
    return {
        "logs": float(sums[0]),
        "logs_failed": float(sums[1]),
        "cost_usd": float(sums[2]) / 1e9,
        "newest_seq": float(newest or 0),
        "search_lag": float(lag(session)),
        "quarantined": float(quarantined),
        "producer_missing": float(missing),
        "producer_rejected": float(rejected),
    }
