"""Values a field has lately had: what a filter's input field offers."""

from typing import Any

from sqlalchemy import ColumnElement, select
from sqlmodel import Session

from kibitz_collector.errors import BadQuery
from kibitz_collector.query.fields import FIELDS, Field
from kibitz_collector.query.globs import glob_match
from kibitz_collector.store.expressions import Glob
from kibitz_collector.store.filters import FILE, LOG, METADATA, amount

RECENT_LOGS = 20_000
"""How far back to look: all Logs would take seconds, and old values are rarely wanted."""


def distinct_values(
    session: Session, workspace_id: int, field: str, prefix: str = "", limit: int = 20
) -> list[str]:
    """Return values that begin with `prefix`, sorted.

    `field` is a name of FIELDS; `metadata` gives keys, `metadata.<key>` values, `judgment`
    Evaluator paths, `has` fields. Fields with amounts and times have none to offer.
    Raises: BadQuery: no such field.
    """
    name, _, key = field.partition(".")
    known = FIELDS.get(field) or FIELDS.get(name)
    if known is None or (key and field not in FIELDS and not known.takes_key):
        raise BadQuery(f"unknown field {field!r}; known: {', '.join(FIELDS)}")
    pattern = prefix.replace("*", "") + "*"
    limit = max(1, min(limit, 200))
    if known.type in ("choice", "has"):
        offered = known.choices or tuple(name for name in FIELDS if name != "has")
        return [choice for choice in offered if glob_match(pattern, choice)][:limit]
    column = _column(workspace_id, known, key)
    if column is None:
        return []
    statement = select(column).where(Glob(column, pattern)).distinct().order_by(column).limit(limit)
    found = session.connection().execute(statement).scalars()
    if known.type == "flag":
        return sorted({flag for flags in found for flag in flags.strip("|").split("|") if flag})
    return list(found)


def _column(workspace_id: int, field: Field, key: str) -> ColumnElement[Any] | None:
    if field.name == "file":
        return _paths(workspace_id)
    if field.type == "judgment":
        return None if key else _paths(workspace_id, "evaluator")
    if field.type not in ("text", "flag", "metadata"):
        return None
    column = LOG.c.flags if field.type == "flag" else None
    recent = (
        select(LOG.c.seq if field.type == "metadata" else _of(field, column))
        .where(LOG.c.workspace_id == workspace_id)
        .order_by(LOG.c.start_ns.desc())
        .limit(RECENT_LOGS)
        .subquery()
    )
    if field.type != "metadata":
        return recent.c.value
    wanted = METADATA.c.value if key else METADATA.c.key
    statement = select(wanted.label("value")).where(METADATA.c.seq.in_(select(recent.c.seq)))
    if key:
        statement = statement.where(METADATA.c.key == key)
    return statement.subquery().c.value


def _of(field: Field, column: ColumnElement[Any] | None) -> ColumnElement[Any]:
    return (amount(field.name) if column is None else column).label("value")


def _paths(workspace_id: int, kind: str | None = None) -> ColumnElement[Any]:
    statement = select(FILE.c.path.label("value")).where(FILE.c.workspace_id == workspace_id)
    if kind is not None:
        statement = statement.where(FILE.c.kind == kind)
    return statement.subquery().c.value
