"""Keeps hourly sums by differences, and can work them out anew."""

from collections.abc import Iterable
from operator import neg
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.store.bulk import write_many
from kibitz_collector.store.contribution import (
    ROLLUP_KEY,
    ROLLUP_SUMS,
    Sums,
    add_up,
    contribution,
    picker,
    rollup_key,
)
from kibitz_collector.store.rows import Row, table
from kibitz_collector.store.tables.rollups import RollupHour
from kibitz_collector.store.writes.tree import LOG, Node

ROLLUP = table(RollupHour)
_READ_ROWS = 1000
_COLUMNS = (*ROLLUP_KEY, *ROLLUP_SUMS)
_pick = picker(ROLLUP_SUMS)
_Key = tuple[Any, ...]
_Changes = dict[_Key, list[Sums]]


def update_rollups(connection: Connection, nodes: Iterable[Node]) -> None:
    """Add what changed Logs add beyond what they added before."""
    changes: _Changes = {}
    for node in nodes:
        if node.old is not None:
            _add(changes, node.old, _less(contribution(node.old)))
        _add(changes, node.row, node.added())
    total = _total(changes)
    _write(connection, {key: sums for key, sums in total.items() if any(sums)})


def take_from_rollups(connection: Connection, rows: Iterable[Row]) -> None:
    """Take away what Logs have added that are there no more."""
    changes: _Changes = {}
    for row in rows:
        _add(changes, row, _less(contribution(row)))
    _write(connection, _total(changes))
    for key in sorted(changes):
        same = [ROLLUP.c[name] == part for name, part in zip(ROLLUP_KEY, key, strict=True)]
        connection.execute(delete(ROLLUP).where(*same, ROLLUP.c.log_count == 0))


def rebuild_rollups(session: Session, workspace_id: int) -> None:
    """Work a workspace's hourly sums out from its Logs."""
    connection = session.connection()
    connection.execute(delete(ROLLUP).where(ROLLUP.c.workspace_id == workspace_id))
    changes: _Changes = {}
    statement = select(LOG).where(LOG.c.workspace_id == workspace_id)
    found = connection.execute(statement.execution_options(yield_per=_READ_ROWS)).mappings()
    for rows in found.partitions():
        for row in rows:
            _add(changes, dict(row), contribution(dict(row)))
        changes = {key: [add_up(many)] for key, many in changes.items()}
    _write(connection, _total(changes))


def _add(changes: _Changes, row: Row, sums: Sums) -> None:
    key = rollup_key(row)
    many = changes.get(key)
    if many is None:
        changes[key] = [sums]
    else:
        many.append(sums)


def _less(sums: Sums) -> Sums:
    return tuple(map(neg, sums))


def _total(changes: _Changes) -> dict[_Key, Sums]:
    return {key: _pick(add_up(many)) for key, many in changes.items()}


def _write(connection: Connection, total: dict[_Key, Sums]) -> None:
    # In one order everywhere, or two processes wait for each other.
    rows = [dict(zip(_COLUMNS, (*key, *total[key]), strict=True)) for key in sorted(total)]
    write_many(connection, ROLLUP, rows, _add_up)


def _add_up(statement: Any, _names: tuple[str, ...]) -> Any:
    return statement.on_conflict_do_update(
        index_elements=list(ROLLUP_KEY),
        set_={name: ROLLUP.c[name] + statement.excluded[name] for name in ROLLUP_SUMS},
    )
