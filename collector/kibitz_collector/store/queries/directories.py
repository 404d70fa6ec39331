"""Reads directories: the rows, and what their paths say of parents and children."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.files.paths import ROOT, name_of, parent_of, root_id
from kibitz_collector.store.filters import FILE
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.files import Directory

DIRECTORY = table(Directory)
ROOT_NAME = "root"
"""The literal id that clients may use for the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryView:
    """One directory."""

    id: str
    parent_id: str | None  # None: it is the root
    name: str
    path: str
    created_ns: int
    updated_ns: int


def list_directories(session: Session, workspace_id: int) -> list[DirectoryView]:
    """Return all directories but the root, by path."""
    rows = session.connection().execute(
        select(DIRECTORY).where(DIRECTORY.c.workspace_id == workspace_id).order_by(DIRECTORY.c.path)
    )
    found = list(rows)
    ids = {row.path: row.id for row in found} | {ROOT: root_id(workspace_id)}
    return [_view(row, ids.get(parent_of(row.path), ids[ROOT])) for row in found]


def get_directory(session: Session, workspace_id: int, directory_id: str) -> DirectoryView:
    """Return a directory by id; the root also by the name `root`.

    Raises: NotFound.
    """
    root = root_id(workspace_id)
    if directory_id in (root, ROOT_NAME):
        since: int | None = (
            session.connection()
            .execute(
                select(func.min(DIRECTORY.c.created_ns)).where(
                    DIRECTORY.c.workspace_id == workspace_id
                )
            )
            .scalar()
        )
        return DirectoryView(
            id=root,
            parent_id=None,
            name=ROOT,
            path=ROOT,
            created_ns=since or 0,
            updated_ns=since or 0,
        )
    for directory in list_directories(session, workspace_id):
        if directory.id == directory_id:
            return directory
    raise NotFound(f"no directory {directory_id!r}")


def find_directory(session: Session, workspace_id: int, path: str) -> DirectoryView | None:
    """Return the directory at a path."""
    if not path:
        return get_directory(session, workspace_id, ROOT_NAME)
    found = [one for one in list_directories(session, workspace_id) if one.path == path]
    return found[0] if found else None


def files_in(session: Session, workspace_id: int, path: str) -> list[str]:
    """Return the ids of the Files directly in a directory, by path."""
    statement = select(FILE.c.id, FILE.c.path).where(FILE.c.workspace_id == workspace_id)
    if path:
        statement = statement.where(FILE.c.path > f"{path}/", FILE.c.path < f"{path}0")
    rows = session.connection().execute(statement.order_by(FILE.c.path))
    return [file_id for file_id, file_path in rows if parent_of(file_path) == path]


def _view(row: Any, parent_id: str) -> DirectoryView:
    return DirectoryView(
        id=row.id,
        parent_id=parent_id,
        name=name_of(row.path),
        path=row.path,
        created_ns=row.created_ns,
        updated_ns=row.updated_ns,
    )
