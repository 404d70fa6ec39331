"""Reads numbered pages of Files, as the v5 contract lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, func, select
from sqlmodel import Session

from kibitz_collector.records import FileKind
from kibitz_collector.store.queries.files import DEPLOYMENT, VERSION, select_files
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.keys import Key

KEY = table(Key)
SortBy = Literal["created_at", "updated_at", "name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePage:
    """Files and the Version of each that is shown, and how many there are in all."""

    items: list[tuple[str, str]]  # (file id, version id)
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilter:
    """Which Files are listed; None: no matter."""

    kinds: Sequence[FileKind] | None = None
    name: str | None = None  # any part of it, in any case
    directory: str | None = None  # in it or below; "": all
    environment_id: str | None = None  # only what is deployed there, at that Version
    created_by: str | None = None  # part of who made a Version


def page_files(
    session: Session,
    workspace_id: int,
    wanted: FileFilter,
    *,
    page: int = 1,
    size: int = 10,
    sort_by: SortBy | None = None,
    is_descending: bool | None = None,
) -> FilePage:
    """Return one page of Files; without an order the newest come first, or A before Z by name."""
    files = _files(workspace_id, wanted).subquery()
    shown = files.c.shown_id.is_not(None)
    column = {
        "name": func.lower(files.c.name),
        "updated_at": files.c.updated_ns,
    }.get(sort_by or "", files.c.created_ns)
    if is_descending is None:
        is_descending = sort_by != "name"
    order = [column, files.c.id]
    rows = session.connection().execute(
        select(files.c.id, files.c.shown_id)
        .where(shown)
        .order_by(*(item.desc() if is_descending else item for item in order))
        .limit(size)
        .offset((page - 1) * size)
    )
    total = session.connection().execute(select(func.count()).select_from(files).where(shown))
    return FilePage(items=[(row.id, row.shown_id) for row in rows], total=total.scalar_one())


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Match a part of a text in any case; nothing in `text` is special."""
    escaped = text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return func.lower(column).like(f"%{escaped}%", escape="\\")


def below(column: ColumnElement[Any], directory: str) -> ColumnElement[bool]:
    """Match paths in a directory, at any depth."""
    escaped = directory.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    prefix = column.like(f"{escaped}/%", escape="\\")
    # LIKE alone ignores case on SQLite.
    return prefix & (func.substr(column, 1, len(directory) + 1) == f"{directory}/")


def _files(workspace_id: int, wanted: FileFilter) -> Select[Any]:
    base = select_files(workspace_id).subquery()
    shown: Any = base.c.version_id
    if wanted.environment_id is not None:
        shown = (
            select(DEPLOYMENT.c.version_id)
            .where(
                DEPLOYMENT.c.file_id == base.c.id,
                DEPLOYMENT.c.environment_id == wanted.environment_id,
                DEPLOYMENT.c.ended_ns.is_(None),
            )
            .scalar_subquery()
        )
    columns = [base.c.id, base.c.name, base.c.created_ns, base.c.updated_ns]
    statement = select(*columns, shown.label("shown_id"))
    if wanted.kinds is not None:
        statement = statement.where(base.c.kind.in_(wanted.kinds))
    if wanted.name is not None:
        statement = statement.where(contains(base.c.name, wanted.name))
    if wanted.directory:
        statement = statement.where(below(base.c.path, wanted.directory))
    if wanted.created_by is not None:
        keys = select(KEY.c.id).where(
            KEY.c.workspace_id == workspace_id, contains(KEY.c.name, wanted.created_by)
        )
        is_theirs = contains(VERSION.c.created_by, wanted.created_by)
        made = select(VERSION.c.id).where(
            VERSION.c.file_id == base.c.id, is_theirs | VERSION.c.created_by.in_(keys)
        )
        statement = statement.where(made.exists())
    return statement
