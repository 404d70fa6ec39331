"""Makes the default environment, and deploys the first Version of a new File to it."""

from sqlalchemy import select
from sqlalchemy.engine import Connection

from kibitz_collector.files.ids import hashed_id
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.files import Deployment, Environment

ENVIRONMENT, DEPLOYMENT = table(Environment), table(Deployment)
DEFAULT_ENVIRONMENT = "production"


def default_environment(connection: Connection, workspace_id: int, now_ns: int) -> str:
    """Return the id of the default environment, making it when there is none."""
    statement = select(ENVIRONMENT.c.id).where(
        ENVIRONMENT.c.workspace_id == workspace_id, ENVIRONMENT.c.is_default
    )
    known: str | None = connection.execute(statement).scalar()
    if known is not None:
        return known
    connection.execute(
        dialect.insert(connection, ENVIRONMENT).on_conflict_do_nothing(),
        {
            "id": hashed_id("env_", str(workspace_id), DEFAULT_ENVIRONMENT),
            "workspace_id": workspace_id,
            "name": DEFAULT_ENVIRONMENT,
            "is_default": True,
            "created_ns": now_ns,
        },
    )
    made: str = connection.execute(statement).scalar_one()
    return made


def deploy_first(
    connection: Connection, workspace_id: int, first: dict[str, str], now_ns: int
) -> None:
    """Deploy Versions, by the id of their File, to the default environment."""
    if not first:
        return
    environment = default_environment(connection, workspace_id, now_ns)
    connection.execute(
        dialect.insert(connection, DEPLOYMENT).on_conflict_do_nothing(),
        [
            {
                "workspace_id": workspace_id,
                "file_id": file_id,
                "environment_id": environment,
                "version_id": version,
                "created_ns": now_ns,
            }
            for file_id, version in sorted(first.items())
        ],
    )
