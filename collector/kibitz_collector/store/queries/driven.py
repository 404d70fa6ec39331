"""Listings led by an index over words or metadata values instead of by time.

A word is in few Logs or in most, and neither database's planner knows which: looking through all
Logs for a rare one takes seconds, and so does gathering all Logs of a common one. So candidates are
drawn from the index in the order of `seq`, some at a time, until the page is full.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, column, select
from sqlalchemy import table as sql_table
from sqlmodel import Session

from kibitz_collector.query.ast import And, Comparison, Node, Text
from kibitz_collector.query.fields import check
from kibitz_collector.query.matcher import metadata_forms
from kibitz_collector.query.simplify import simplify
from kibitz_collector.query.text import Sought, sought
from kibitz_collector.store.expressions import TextFound
from kibitz_collector.store.filters import LOG, METADATA

LOG_TEXT = sql_table("log_text", column("seq"))
_FIRST, _GROWTH, _MOST = 100, 4, 4_000
MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Driver:
    """What leads a listing, and the rest of the filter."""

    texts: tuple[Sought, ...]
    metadata: tuple[str, frozenset[str]] | None  # key, and the texts its value may be stored as
    rest: Node


def driver_of(node: Node) -> Driver | None:
    """Find what can lead a listing with this filter: its words, else a metadata value."""
    node = simplify(node)
    parts = node.parts if isinstance(node, And) else (node,)
    texts = tuple(sought(part) for part in parts if isinstance(part, Text))
    if texts:
        rest: tuple[Node, ...] = tuple(part for part in parts if not isinstance(part, Text))
        return Driver(texts, None, And(rest))
    for part in parts:
        if isinstance(part, Comparison) and part.field == "metadata" and part.op == "=":
            check(part)
            rest = tuple(other for other in parts if other is not part)
            return Driver((), (part.key or "", metadata_forms(str(part.value))), And(rest))
    return None


def read_driven(
    session: Session,
    workspace_id: int,
    driver: Driver,
    page: Callable[[ColumnElement[bool]], Select[Any]],
    limit: int,
    *,
    before: int = MAX_SEQ,
    after: int | None = None,
) -> list[Any]:
    """Return up to `limit` rows, newest arrival first (with `after`: oldest first, beyond it).

    `page` selects the rows among candidates; it fixes the workspace and the rest of the filter.
    """
    rows: list[Any] = []
    count, at = _FIRST, before if after is None else after
    while len(rows) < limit:
        seqs = _candidates(session, workspace_id, driver, at, count, forward=after is not None)
        if seqs:
            order = LOG.c.seq.asc() if after is not None else LOG.c.seq.desc()
            statement = page(LOG.c.seq.in_(seqs)).order_by(order).limit(limit - len(rows))
            rows += session.connection().execute(statement).all()
            at = seqs[-1]
        if len(seqs) < count:
            break
        count = min(count * _GROWTH, _MOST)
    return rows


def _candidates(
    session: Session, workspace_id: int, driver: Driver, at: int, count: int, *, forward: bool
) -> list[int]:
    """Return up to `count` seqs beyond `at`, in order."""
    found: list[int] = []
    for statement, seq in _lookups(session, workspace_id, driver):
        beyond = statement.where(seq > at if forward else seq < at)
        ordered = beyond.order_by(seq.asc() if forward else seq.desc()).limit(count)
        found += session.connection().execute(ordered).scalars()
    return sorted(found, reverse=not forward)[:count]


def _lookups(
    session: Session, workspace_id: int, driver: Driver
) -> Iterator[tuple[Select[Any], ColumnElement[Any]]]:
    """Yield the looks into the index; each gives seqs in order, joined they would need a sort."""
    if driver.metadata is not None:
        key, forms = driver.metadata
        for value in sorted(forms):
            statement = select(METADATA.c.seq).where(
                METADATA.c.workspace_id == workspace_id,
                METADATA.c.key == key,
                METADATA.c.value == value,
            )
            yield statement, METADATA.c.seq
    elif all(one.tokens for one in driver.texts):
        # FTS5 numbers its rows itself; PostgreSQL's table has a column.
        is_sqlite = session.connection().dialect.name == "sqlite"
        seq: ColumnElement[Any] = column("rowid") if is_sqlite else LOG_TEXT.c.seq
        yield select(seq).select_from(LOG_TEXT).where(TextFound(driver.texts)), seq
