"""What a list of traces shows of each: its root or, while that is not here, its first orphan."""

from sqlalchemy import ColumnElement, literal_column, or_, select, tuple_

from kibitz_collector.store.filters import LOG


def stands_for_trace() -> list[ColumnElement[bool]]:
    """Return the conditions under which a Log stands for its trace in a list."""
    earlier = LOG.alias("earlier")
    is_preceded = (
        select(earlier.c.seq)
        .where(
            earlier.c.workspace_id == LOG.c.workspace_id,
            earlier.c.trace_id == LOG.c.trace_id,
            earlier.c.is_top.is_(True),
            tuple_(earlier.c.start_ns, earlier.c.seq) < tuple_(LOG.c.start_ns, LOG.c.seq),
        )
        .exists()
    )
    return [
        # In the words of the partial index: SQLite uses it for no others.
        literal_column("log.is_top IS TRUE"),
        LOG.c.parent_id.is_(None),
        or_(LOG.c.trace_parent_id.is_(None), ~is_preceded),
    ]
