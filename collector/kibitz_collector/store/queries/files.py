"""Reads Files and their Versions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sqlalchemy import Select, and_, func, or_, select, tuple_
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.records import FileKind, Json, Page
from kibitz_collector.store.expressions import Glob
from kibitz_collector.store.filters import FILE
from kibitz_collector.store.queries.cursors import read_cursor, write_cursor
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.files import Deployment, Environment, Version

VERSION, DEPLOYMENT, ENVIRONMENT = table(Version), table(Deployment), table(Environment)
MAX_LIMIT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """One File; `version_id` is that deployed to the default environment, else the newest."""

    id: str
    kind: FileKind
    path: str
    name: str
    description: str | None
    tags: list[str]
    readme: str | None
    is_derived: bool
    created_ns: int
    updated_ns: int
    version_id: str | None
    version_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """One Version and the environments it is deployed to, by name."""

    id: str
    file_id: str
    content_hash: str
    content: Json
    name: str | None
    description: str | None
    created_by: str | None
    created_ns: int
    status: str
    environments: list[str]


def list_files(
    session: Session,
    workspace_id: int,
    *,
    kind: FileKind | None = None,
    path: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[FileView]:
    """List Files by path; `path` may hold `*`.

    Raises: BadQuery: the cursor is not one of ours.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    statement = select_files(workspace_id).order_by(FILE.c.path).limit(limit + 1)
    if kind is not None:
        statement = statement.where(FILE.c.kind == kind)
    if path is not None:
        statement = statement.where(Glob(FILE.c.path, path))
    if cursor is not None:
        (last,) = read_cursor(cursor, str)
        statement = statement.where(FILE.c.path > last)
    rows = session.connection().execute(statement).mappings().all()
    items = [_file(row) for row in rows[:limit]]
    return Page(
        items=items, next_cursor=write_cursor(items[-1].path) if len(rows) > limit else None
    )


def get_file(session: Session, workspace_id: int, file_id: str) -> FileView:
    """Return a File by id.

    Raises: NotFound.
    """
    statement = select_files(workspace_id).where(FILE.c.id == file_id)
    row = session.connection().execute(statement).mappings().first()
    if row is None:
        raise NotFound(f"no File {file_id!r}")
    return _file(row)


def find_file(session: Session, workspace_id: int, path: str) -> FileView | None:
    """Return the File at a path."""
    statement = select_files(workspace_id).where(FILE.c.path == path)
    row = session.connection().execute(statement).mappings().first()
    return None if row is None else _file(row)


def list_versions(
    session: Session,
    workspace_id: int,
    file_id: str,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[VersionView]:
    """List a File's Versions, newest first.

    Raises: BadQuery: the cursor is not one of ours.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    statement = (
        select(VERSION)
        .where(
            VERSION.c.workspace_id == workspace_id,
            VERSION.c.file_id == file_id,
            VERSION.c.status != "deleted",
        )
        .order_by(VERSION.c.created_ns.desc(), VERSION.c.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        created_ns, version_id = read_cursor(cursor, int, str)
        statement = statement.where(
            tuple_(VERSION.c.created_ns, VERSION.c.id) < tuple_(created_ns, version_id)
        )
    rows = session.connection().execute(statement).mappings().all()
    items = _versions(session, workspace_id, rows[:limit])
    more = write_cursor(items[-1].created_ns, items[-1].id) if len(rows) > limit else None
    return Page(items=items, next_cursor=more)


def get_version(session: Session, workspace_id: int, version_id: str) -> VersionView:
    """Return a Version by id.

    Raises: NotFound.
    """
    found = get_versions(session, workspace_id, [version_id])
    if not found:
        raise NotFound(f"no Version {version_id!r}")
    return found[version_id]


def find_version(session: Session, workspace_id: int, file_id: str, hashed: str) -> str | None:
    """Return the id of a File's Version with this content hash, if it is there."""
    statement = select(VERSION.c.id).where(
        VERSION.c.workspace_id == workspace_id,
        VERSION.c.file_id == file_id,
        VERSION.c.content_hash == hashed,
        VERSION.c.status != "deleted",
    )
    found: str | None = session.connection().execute(statement).scalar()
    return found


def get_versions(
    session: Session, workspace_id: int, version_ids: Iterable[str]
) -> dict[str, VersionView]:
    """Return those of these Versions that exist, by id."""
    statement = select(VERSION).where(
        VERSION.c.workspace_id == workspace_id, VERSION.c.id.in_(set(version_ids))
    )
    rows = session.connection().execute(statement).mappings().all()
    return {view.id: view for view in _versions(session, workspace_id, rows)}


def get_files(session: Session, workspace_id: int, file_ids: Iterable[str]) -> dict[str, FileView]:
    """Return those of these Files that exist, by id."""
    statement = select_files(workspace_id).where(FILE.c.id.in_(set(file_ids)))
    rows = session.connection().execute(statement).mappings().all()
    return {row["id"]: _file(row) for row in rows}


def choose_version(
    session: Session,
    workspace_id: int,
    file: FileView,
    *,
    version_id: str | None = None,
    environment: str | None = None,
) -> str:
    """Return the id of the Version that is asked for: by id, by environment, or the default one.

    Raises: NotFound: it is not one of this File, or nothing is deployed there.
    """
    if version_id is not None:
        version = get_versions(session, workspace_id, [version_id]).get(version_id)
        if version is None or version.file_id != file.id or version.status == "deleted":
            raise NotFound(f"{file.path} has no version {version_id!r}")
        return version_id
    if environment is not None:
        statement = (
            select(DEPLOYMENT.c.version_id)
            .join(ENVIRONMENT, ENVIRONMENT.c.id == DEPLOYMENT.c.environment_id)
            .where(
                DEPLOYMENT.c.file_id == file.id,
                DEPLOYMENT.c.ended_ns.is_(None),
                ENVIRONMENT.c.workspace_id == workspace_id,
                or_(ENVIRONMENT.c.name == environment, ENVIRONMENT.c.id == environment),
            )
        )
        deployed: str | None = session.connection().execute(statement).scalar()
        if deployed is None:
            raise NotFound(f"no version of {file.path} is deployed to {environment!r}")
        return deployed
    if file.version_id is None:
        raise NotFound(f"{file.path} has no version")
    return file.version_id


def select_files(workspace_id: int) -> Select[Any]:
    """Return the SELECT of Files that `FileView`s are read from."""
    own = and_(VERSION.c.file_id == FILE.c.id, VERSION.c.status != "deleted")
    newest = (
        select(VERSION.c.id)
        .where(own)
        .order_by(VERSION.c.created_ns.desc(), VERSION.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    deployed = (
        select(DEPLOYMENT.c.version_id)
        .join(ENVIRONMENT, ENVIRONMENT.c.id == DEPLOYMENT.c.environment_id)
        .where(
            DEPLOYMENT.c.file_id == FILE.c.id,
            DEPLOYMENT.c.ended_ns.is_(None),
            ENVIRONMENT.c.is_default.is_(True),
        )
        .limit(1)
        .scalar_subquery()
    )
    count = select(func.count()).select_from(VERSION).where(own).scalar_subquery()
    return select(
        FILE,
        func.coalesce(deployed, newest).label("version_id"),
        count.label("version_count"),
    ).where(FILE.c.workspace_id == workspace_id)


def _file(row: Any) -> FileView:
    return FileView(
        id=row["id"],
        kind=cast(FileKind, row["kind"]),
        path=row["path"],
        name=row["name"],
        description=row["description"],
        tags=orjson.loads(row["tags"]),
        readme=row["readme"],
        is_derived=row["is_derived"],
        created_ns=row["created_ns"],
        updated_ns=row["updated_ns"],
        version_id=row["version_id"],
        version_count=row["version_count"],
    )


def _versions(session: Session, workspace_id: int, rows: Any) -> list[VersionView]:
    ids = [row["id"] for row in rows]
    deployed = session.connection().execute(
        select(DEPLOYMENT.c.version_id, ENVIRONMENT.c.name)
        .join(ENVIRONMENT, ENVIRONMENT.c.id == DEPLOYMENT.c.environment_id)
        .where(
            DEPLOYMENT.c.workspace_id == workspace_id,
            DEPLOYMENT.c.version_id.in_(ids),
            DEPLOYMENT.c.ended_ns.is_(None),
        )
        .order_by(ENVIRONMENT.c.name)
    )
    environments: dict[str, list[str]] = {}
    for version_id, name in deployed:
        environments.setdefault(version_id, []).append(name)
    return [
        VersionView(
            id=row["id"],
            file_id=row["file_id"],
            content_hash=row["content_hash"],
            content=orjson.loads(row["content"]),
            name=row["name"],
            description=row["description"],
            created_by=row["created_by"],
            created_ns=row["created_ns"],
            status=row["status"],
            environments=environments.get(row["id"], []),
        )
        for row in rows
    ]
