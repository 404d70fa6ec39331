"""Deploys Versions to environments, and makes environments."""

import time

from sqlalchemy import delete, select, update
from sqlmodel import Session

from kibitz_collector.errors import Conflict, Invalid, NotFound
from kibitz_collector.files.ids import random_id
from kibitz_collector.store import dialect
from kibitz_collector.store.queries.environments import EnvironmentView, get_environment
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.jobs import Monitor
from kibitz_collector.store.writes.claims import bump_revision
from kibitz_collector.store.writes.defaults import DEPLOYMENT, ENVIRONMENT, default_environment
from kibitz_collector.store.writes.evaluation import ensure_state
from kibitz_collector.store.writes.files import FILE

MONITOR = table(Monitor)


def deploy(
    session: Session,
    workspace_id: int,
    file_id: str,
    environment_id: str,
    version_id: str,
    *,
    made_by: str | None = None,
) -> None:
    """Let an environment use this Version of the File, instead of the one it used.

    Monitors that follow the deployment of an Evaluator use it from now on.
    """
    connection = session.connection()
    now_ns = time.time_ns()
    # Two deployments at once: the second waits here, and ends the first.
    connection.execute(select(FILE.c.id).where(FILE.c.id == file_id).with_for_update())
    current = connection.execute(
        select(DEPLOYMENT.c.version_id).where(
            DEPLOYMENT.c.file_id == file_id,
            DEPLOYMENT.c.environment_id == environment_id,
            DEPLOYMENT.c.ended_ns.is_(None),
        )
    ).scalar()
    if current == version_id:
        return
    _end(session, file_id, environment_id, now_ns)
    connection.execute(
        dialect.insert(connection, DEPLOYMENT),
        {
            "workspace_id": workspace_id,
            "file_id": file_id,
            "environment_id": environment_id,
            "version_id": version_id,
            "created_by": made_by,
            "created_ns": now_ns,
        },
    )
    followed = connection.execute(
        update(MONITOR)
        .where(MONITOR.c.evaluator_id == file_id, MONITOR.c.environment_id == environment_id)
        .values(version_id=version_id, updated_ns=now_ns)
    )
    if followed.rowcount:
        ensure_state(session, workspace_id, file_id, version_id)
        bump_revision(session)


def undeploy(session: Session, file_id: str, environment_id: str) -> None:
    """Let an environment use no Version of the File; monitors that followed it are switched off."""
    now_ns = time.time_ns()
    _end(session, file_id, environment_id, now_ns)
    followed = session.connection().execute(
        update(MONITOR)
        .where(MONITOR.c.evaluator_id == file_id, MONITOR.c.environment_id == environment_id)
        .values(is_active=False, updated_ns=now_ns)
    )
    if followed.rowcount:
        bump_revision(session)


def create_environment(session: Session, workspace_id: int, name: str) -> EnvironmentView:
    """Make an environment beside the default one.

    Raises: Conflict: there is one with this name.
    """
    connection = session.connection()
    default_environment(connection, workspace_id, time.time_ns())
    _refuse_name(session, workspace_id, name)
    environment_id = random_id("env_")
    connection.execute(
        dialect.insert(connection, ENVIRONMENT),
        {
            "id": environment_id,
            "workspace_id": workspace_id,
            "name": name,
            "is_default": False,
            "created_ns": time.time_ns(),
        },
    )
    return get_environment(session, workspace_id, environment_id)


def change_environment(
    session: Session,
    workspace_id: int,
    environment_id: str,
    *,
    name: str | None = None,
    is_default: bool = False,
) -> EnvironmentView:
    """Rename an environment, or make it the default one.

    Raises: NotFound. Conflict: the name is another's.
    """
    environment = get_environment(session, workspace_id, environment_id)
    connection = session.connection()
    if name is not None and name != environment.name:
        _refuse_name(session, workspace_id, name)
        connection.execute(
            update(ENVIRONMENT).where(ENVIRONMENT.c.id == environment.id).values(name=name)
        )
    if is_default and not environment.is_default:
        connection.execute(
            update(ENVIRONMENT)
            .where(ENVIRONMENT.c.workspace_id == workspace_id)
            .values(is_default=False)
        )
        connection.execute(
            update(ENVIRONMENT).where(ENVIRONMENT.c.id == environment.id).values(is_default=True)
        )
    return get_environment(session, workspace_id, environment.id)


def delete_environment(session: Session, workspace_id: int, environment_id: str) -> None:
    """Delete an environment with its deployments.

    Raises: NotFound. Invalid: it is the default one.
    """
    environment = get_environment(session, workspace_id, environment_id)
    if environment.is_default:
        raise Invalid("the default environment cannot be deleted; make another the default first")
    connection = session.connection()
    connection.execute(
        update(MONITOR)
        .where(MONITOR.c.environment_id == environment.id)
        .values(is_active=False, environment_id=None)
    )
    connection.execute(delete(DEPLOYMENT).where(DEPLOYMENT.c.environment_id == environment.id))
    connection.execute(delete(ENVIRONMENT).where(ENVIRONMENT.c.id == environment.id))
    bump_revision(session)


def _refuse_name(session: Session, workspace_id: int, name: str) -> None:
    try:
        taken = get_environment(session, workspace_id, name)
    except NotFound:
        return
    raise Conflict(f"there is an environment {taken.name!r} already")


def _end(session: Session, file_id: str, environment_id: str, now_ns: int) -> None:
    session.connection().execute(
        update(DEPLOYMENT)
        .where(
            DEPLOYMENT.c.file_id == file_id,
            DEPLOYMENT.c.environment_id == environment_id,
            DEPLOYMENT.c.ended_ns.is_(None),
        )
        .values(ended_ns=now_ns)
    )
