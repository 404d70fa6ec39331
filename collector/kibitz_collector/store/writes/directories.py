"""Makes, moves and deletes directories, and moves Files."""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.errors import Conflict, Invalid
from kibitz_collector.files.paths import is_within, name_of, parent_of
from kibitz_collector.store.queries.directories import DirectoryView, find_directory, get_directory
from kibitz_collector.store.queries.file_pages import below
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.jobs import Monitor
from kibitz_collector.store.writes.claims import bump_revision
from kibitz_collector.store.writes.files import (
    DIRECTORY,
    FILE,
    ensure_directories,
    forget_files,
)

MONITOR = table(Monitor)


def create_directory(session: Session, workspace_id: int, path: str, now_ns: int) -> DirectoryView:
    """Make a directory and those above it.

    Raises: Conflict: there is one, or a File, at this path.
    """
    connection = session.connection()
    if find_directory(session, workspace_id, path) is not None:
        raise Conflict(f"there is a directory {path!r} already")
    _refuse_file(connection, workspace_id, path)
    ensure_directories(connection, workspace_id, path, now_ns)
    made = find_directory(session, workspace_id, path)
    assert made is not None
    return made


def move_directory(
    session: Session, workspace_id: int, directory_id: str, path: str, now_ns: int
) -> DirectoryView:
    """Give a directory another path, and with it all that is in it.

    Raises: NotFound. Invalid: it is the root, or would be inside itself. Conflict: path is taken.
    """
    directory = get_directory(session, workspace_id, directory_id)
    if directory.parent_id is None:
        raise Invalid("the root directory stays where it is")
    if path == directory.path:
        return directory
    if is_within(path, directory.path):
        raise Invalid(f"{directory.path!r} cannot be moved into itself")
    if find_directory(session, workspace_id, path) is not None:
        raise Conflict(f"there is a directory {path!r} already")
    connection = session.connection()
    _refuse_file(connection, workspace_id, path)
    ensure_directories(connection, workspace_id, parent_of(path), now_ns)
    inside = connection.execute(
        select(FILE.c.id, FILE.c.path).where(
            FILE.c.workspace_id == workspace_id, below(FILE.c.path, directory.path)
        )
    ).all()
    for file_id, old in inside:
        move_file(session, workspace_id, file_id, old, path + old[len(directory.path) :], now_ns)
    subdirectories = connection.execute(
        select(DIRECTORY.c.id, DIRECTORY.c.path).where(
            DIRECTORY.c.workspace_id == workspace_id,
            (DIRECTORY.c.path == directory.path) | below(DIRECTORY.c.path, directory.path),
        )
    ).all()
    for one, old in subdirectories:
        # Moving the Files has made rows at the new places; the old rows keep their ids.
        new = path + old[len(directory.path) :]
        connection.execute(
            delete(DIRECTORY).where(
                DIRECTORY.c.workspace_id == workspace_id, DIRECTORY.c.path == new
            )
        )
        connection.execute(
            update(DIRECTORY).where(DIRECTORY.c.id == one).values(path=new, updated_ns=now_ns)
        )
    return get_directory(session, workspace_id, directory_id)


def delete_directory(session: Session, workspace_id: int, directory_id: str) -> None:
    """Delete an empty directory.

    Raises: NotFound. Invalid: it is the root. Conflict: something is in it.
    """
    directory = get_directory(session, workspace_id, directory_id)
    if directory.parent_id is None:
        raise Invalid("the root directory cannot be deleted")
    connection = session.connection()
    for what in (FILE, DIRECTORY):
        inside = select(what.c.path).where(
            what.c.workspace_id == workspace_id, below(what.c.path, directory.path)
        )
        first = connection.execute(inside.limit(1)).scalar()
        if first is not None:
            raise Conflict(f"directory {directory.path!r} is not empty: {first!r} is in it")
    connection.execute(delete(DIRECTORY).where(DIRECTORY.c.id == directory.id))


def move_file(
    session: Session, workspace_id: int, file_id: str, old: str, path: str, now_ns: int
) -> None:
    """Give a File another path; its id, Versions, Logs and monitors stay with it.

    Raises: Conflict: the path is taken.
    """
    if path == old:
        return
    connection = session.connection()
    _refuse_file(connection, workspace_id, path)
    if find_directory(session, workspace_id, path) is not None:
        raise Conflict(f"{path!r} is a directory")
    ensure_directories(connection, workspace_id, parent_of(path), now_ns)
    values: dict[str, Any] = {
        "path": path,
        "name": name_of(path),
        "updated_ns": now_ns,
        "is_derived": False,
    }
    connection.execute(update(FILE).where(FILE.c.id == file_id).values(**values))
    moved = connection.execute(
        update(MONITOR)
        .where(MONITOR.c.workspace_id == workspace_id, MONITOR.c.file_path == old)
        .values(file_path=path)
    )
    if moved.rowcount:
        bump_revision(session)
    forget_files(connection)


def _refuse_file(connection: Connection, workspace_id: int, path: str) -> None:
    statement = select(FILE.c.kind).where(FILE.c.workspace_id == workspace_id, FILE.c.path == path)
    kind = connection.execute(statement).scalar()
    if kind is not None:
        raise Conflict(f"{path!r} is taken by a File of type {kind}")
