"""Reads environments, and which Version of each File is deployed where."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.store.queries.files import DEPLOYMENT, ENVIRONMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentView:
    """One environment."""

    id: str
    name: str
    is_default: bool
    created_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """One Version in one environment, from then until `ended_ns` (None: now)."""

    environment_id: str
    environment: str
    file_id: str
    version_id: str
    created_by: str | None
    created_ns: int
    ended_ns: int | None


def list_environments(session: Session, workspace_id: int) -> list[EnvironmentView]:
    """Return all environments, the default one first."""
    rows = session.connection().execute(
        select(ENVIRONMENT)
        .where(ENVIRONMENT.c.workspace_id == workspace_id)
        .order_by(ENVIRONMENT.c.is_default.desc(), ENVIRONMENT.c.name)
    )
    return [
        EnvironmentView(
            id=row.id, name=row.name, is_default=row.is_default, created_ns=row.created_ns
        )
        for row in rows
    ]


def get_environment(session: Session, workspace_id: int, name: str) -> EnvironmentView:
    """Return an environment by name or id.

    Raises: NotFound, naming those there are.
    """
    known = list_environments(session, workspace_id)
    for environment in known:
        if name in (environment.name, environment.id):
            return environment
    names = ", ".join(environment.name for environment in known) or "none"
    raise NotFound(f"no environment {name!r}; there are: {names}")


def list_deployments(
    session: Session, workspace_id: int, file_id: str, *, with_history: bool = False
) -> list[DeploymentView]:
    """Return where a File's Versions are deployed (with history: and were), newest first."""
    statement = (
        select(DEPLOYMENT, ENVIRONMENT.c.name.label("environment"))
        .join(ENVIRONMENT, ENVIRONMENT.c.id == DEPLOYMENT.c.environment_id)
        .where(DEPLOYMENT.c.workspace_id == workspace_id, DEPLOYMENT.c.file_id == file_id)
        .order_by(DEPLOYMENT.c.created_ns.desc(), DEPLOYMENT.c.id.desc())
    )
    if not with_history:
        statement = statement.where(DEPLOYMENT.c.ended_ns.is_(None))
    return [
        DeploymentView(
            environment_id=row.environment_id,
            environment=row.environment,
            file_id=row.file_id,
            version_id=row.version_id,
            created_by=row.created_by,
            created_ns=row.created_ns,
            ended_ns=row.ended_ns,
        )
        for row in session.connection().execute(statement)
    ]
