"""Keeps hourly sums by differences, and can work them out anew."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.store.bulk import write_many
from kibitz_collector.store.contribution import (
    ROLLUP_KEY,
    ROLLUP_SUMS,
    Sums,
    contribution,
    rollup_key,
)
from kibitz_collector.store.rows import Row, table
from kibitz_collector.store.tables.rollups import RollupHour
from kibitz_collector.store.writes.tree import LOG, Node

ROLLUP = table(RollupHour)
_READ_ROWS = 1000


def update_rollups(connection: Connection, nodes: Iterable[Node]) -> None:
    """Add what changed Logs add beyond what they added before."""
    changes: dict[tuple[Any, ...], Sums] = {}
    for node in nodes:
        if node.old is not None:
            _add(changes, node.old, contribution(node.old), -1)
        _add(changes, node.row, node.added(), 1)
    _write(connection, {key: sums for key, sums in changes.items() if any(sums.values())})


def take_from_rollups(connection: Connection, rows: Iterable[Row]) -> None:
    """Take away what Logs have added that are there no more."""
    changes: dict[tuple[Any, ...], Sums] = {}
    for row in rows:
        _add(changes, row, contribution(row), -1)
    _write(connection, changes)
    for key in sorted(changes):
        same = [ROLLUP.c[name] == part for name, part in zip(ROLLUP_KEY, key, strict=True)]
        connection.execute(delete(ROLLUP).where(*same, ROLLUP.c.log_count == 0))


def rebuild_rollups(session: Session, workspace_id: int) -> None:
    """Work a workspace's hourly sums out from its Logs."""
    connection = session.connection()
    connection.execute(delete(ROLLUP).where(ROLLUP.c.workspace_id == workspace_id))
    changes: dict[tuple[Any, ...], Sums] = {}
    statement = select(LOG).where(LOG.c.workspace_id == workspace_id)
    for row in connection.execute(statement.execution_options(yield_per=_READ_ROWS)).mappings():
        _add(changes, dict(row), contribution(dict(row)), 1)
    _write(connection, changes)


def _add(changes: dict[tuple[Any, ...], Sums], row: Row, sums: Sums, sign: int) -> None:
    key = rollup_key(row)
    total = changes.get(key)
    if total is None:
        total = changes[key] = dict.fromkeys(ROLLUP_SUMS, 0)
    for name in ROLLUP_SUMS:
        total[name] += sign * sums[name]


def _write(connection: Connection, changes: dict[tuple[Any, ...], Sums]) -> None:
    if not changes:
        return
    # In one order everywhere, or two processes wait for each other.
    rows = [{**dict(zip(ROLLUP_KEY, key, strict=True)), **changes[key]} for key in sorted(changes)]
    write_many(connection, ROLLUP, rows, _add_up)


def _add_up(statement: Any, _names: tuple[str, ...]) -> Any:
    return statement.on_conflict_do_update(
        index_elements=list(ROLLUP_KEY),
        set_={name: ROLLUP.c[name] + statement.excluded[name] for name in ROLLUP_SUMS},
    )
