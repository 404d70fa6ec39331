"""Makes and changes Files and their Versions as the API asks: upsert, names, deletion."""

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.errors import Conflict, Invalid, NotFound
from kibitz_collector.files.kinds.evaluator import read_evaluator
from kibitz_collector.records import FileKind, Json
from kibitz_collector.store.queries.files import FileView, get_file
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.datasets import Datapoint, VersionDatapoint
from kibitz_collector.store.tables.jobs import Evaluator, Job, Monitor
from kibitz_collector.store.writes.claims import bump_revision
from kibitz_collector.store.writes.defaults import DEPLOYMENT
from kibitz_collector.store.writes.evaluation import follow_version
from kibitz_collector.store.writes.files import (
    FILE,
    VERSION,
    ensure_file,
    ensure_version,
    forget_files,
)

MONITOR, EVALUATOR, JOB = table(Monitor), table(Evaluator), table(Job)
DATAPOINT, MEMBER = table(Datapoint), table(VersionDatapoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What an upsert says of a File and one Version of it; None: nothing."""

    kind: FileKind
    path: str | None = None
    file_id: str | None = None
    version_name: str | None = None
    version_description: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    readme: str | None = None
    made_by: str | None = None


def upsert(
    session: Session, workspace_id: int, change: FileChange, content: Json, now_ns: int
) -> tuple[str, str]:
    """Make sure a File has a Version with this content; returns (file id, version id).

    The first Version is deployed to the default environment, later ones are not.
    Raises: NotFound: no File with this id. Conflict: the path is another kind's, or the name
    another Version's. Invalid: neither path nor id, or the content is not of its kind.
    """
    if change.kind == "evaluator":
        read_evaluator(content)
    connection = session.connection()
    file_id, is_new = find_or_make(session, workspace_id, change, now_ns)
    version_id = ensure_version(
        connection, workspace_id, file_id, change.kind, content, now_ns, is_new_file=is_new
    )
    describe_version(session, workspace_id, file_id, version_id, change, now_ns)
    if change.kind == "evaluator" and read_evaluator(content).is_run_here:
        follow_version(session, workspace_id, file_id, version_id)
    return file_id, version_id


def find_or_make(
    session: Session, workspace_id: int, change: FileChange, now_ns: int
) -> tuple[str, bool]:
    """Return the File's id, and whether it was made just now.

    Raises: NotFound, Conflict, Invalid.
    """
    if change.file_id is not None:
        file = get_file(session, workspace_id, change.file_id)
        if file.kind != change.kind:
            raise NotFound(f"{change.file_id} is no {change.kind} but a File of type {file.kind}")
        return file.id, False
    if change.path is None:
        raise Invalid(f"path or id must say which {change.kind} is meant")
    return ensure_file(session.connection(), workspace_id, change.kind, change.path, now_ns)


def describe_version(
    session: Session,
    workspace_id: int,
    file_id: str,
    version_id: str,
    change: FileChange,
    now_ns: int,
) -> None:
    """Write down what an upsert says beside the content.

    Raises: Conflict: the name is another Version's.
    """
    connection = session.connection()
    name_version(
        session,
        file_id,
        version_id,
        name=change.version_name,
        description=change.version_description,
    )
    if change.made_by is not None:
        connection.execute(
            update(VERSION)
            .where(VERSION.c.id == version_id, VERSION.c.created_by.is_(None))
            .values(created_by=change.made_by)
        )
    said: dict[str, Any] = {"updated_ns": now_ns}
    if change.description is not None:
        said["description"] = change.description
    if change.readme is not None:
        said["readme"] = change.readme
    if change.tags is not None:
        said["tags"] = orjson.dumps(change.tags).decode()
    connection.execute(update(FILE).where(FILE.c.id == file_id).values(**said))


def name_version(
    session: Session,
    file_id: str,
    version_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
) -> None:
    """Name or describe a Version; None changes nothing.

    Raises: Conflict: another Version of the File has this name.
    """
    connection = session.connection()
    if name is not None:
        taken = connection.execute(
            select(VERSION.c.id).where(
                VERSION.c.file_id == file_id,
                VERSION.c.name == name,
                VERSION.c.id != version_id,
            )
        ).scalar()
        if taken is not None:
            raise Conflict(f"version name {name!r} is taken by {taken} of the same File")
    said = {"name": name, "description": description}
    values = {key: value for key, value in said.items() if value is not None}
    if values:
        connection.execute(update(VERSION).where(VERSION.c.id == version_id).values(**values))


def delete_version(session: Session, file: FileView, version_id: str, now_ns: int) -> None:
    """Delete a Version and end its deployments; its Logs stay.

    Raises: Conflict: it is the only one.
    """
    if file.version_count <= 1:
        raise Conflict(f"{version_id} is the only version of {file.path}; delete the File instead")
    connection = session.connection()
    connection.execute(
        update(VERSION).where(VERSION.c.id == version_id).values(status="deleted", name=None)
    )
    connection.execute(
        update(DEPLOYMENT)
        .where(DEPLOYMENT.c.version_id == version_id, DEPLOYMENT.c.ended_ns.is_(None))
        .values(ended_ns=now_ns)
    )
    if file.kind == "evaluator":
        _release_monitors(session, connection, MONITOR.c.version_id == version_id)
        newest = connection.execute(
            select(VERSION.c.id)
            .where(VERSION.c.file_id == file.id, VERSION.c.status != "deleted")
            .order_by(VERSION.c.created_ns.desc())
            .limit(1)
        ).scalar_one()
        connection.execute(
            update(EVALUATOR)
            .where(EVALUATOR.c.file_id == file.id, EVALUATOR.c.version_id == version_id)
            .values(version_id=newest)
        )
        bump_revision(session)
    forget_files(connection)


def delete_file(session: Session, workspace_id: int, file: FileView) -> None:
    """Delete a File with its Versions, deployments, datapoints and monitors; its Logs stay."""
    connection = session.connection()
    versions = select(VERSION.c.id).where(VERSION.c.file_id == file.id)
    connection.execute(delete(MEMBER).where(MEMBER.c.version_id.in_(versions)))
    connection.execute(delete(DATAPOINT).where(DATAPOINT.c.file_id == file.id))
    connection.execute(delete(DEPLOYMENT).where(DEPLOYMENT.c.file_id == file.id))
    is_its = (MONITOR.c.file_path == file.path) | (MONITOR.c.evaluator_id == file.id)
    _release_monitors(session, connection, (MONITOR.c.workspace_id == workspace_id) & is_its)
    connection.execute(delete(EVALUATOR).where(EVALUATOR.c.file_id == file.id))
    connection.execute(delete(VERSION).where(VERSION.c.file_id == file.id))
    connection.execute(delete(FILE).where(FILE.c.id == file.id))
    bump_revision(session)
    forget_files(connection)


def _release_monitors(session: Session, connection: Connection, condition: Any) -> None:
    """Remove monitors and what waits for them."""
    monitors = select(MONITOR.c.id).where(condition)
    connection.execute(
        update(JOB)
        .where(JOB.c.monitor_id.in_(monitors), JOB.c.state == "waiting")
        .values(state="done", last_error="its monitor was removed")
    )
    connection.execute(delete(MONITOR).where(condition))
