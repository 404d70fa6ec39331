"""What is there without being asked for: the default environment, first deployments, feedback.

The first Version of a new File is deployed to the default environment; a new Prompt is expected to
be judged by people, with the Evaluators `rating` and `correction`.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import and_, select, update
from sqlalchemy.engine import Connection

from kibitz_collector.files.identity import FILE_PREFIXES, content_hash, version_id
from kibitz_collector.files.ids import hashed_id, random_id
from kibitz_collector.files.kinds.evaluator import DEFAULT_EVALUATORS
from kibitz_collector.records import Json
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.files import Deployment, Environment, File, Version
from kibitz_collector.store.tables.jobs import Monitor
from kibitz_collector.store.tables.logs import Log

ENVIRONMENT, DEPLOYMENT = table(Environment), table(Deployment)
_FILE, _VERSION, _MONITOR, _LOG = table(File), table(Version), table(Monitor), table(Log)
DEFAULT_ENVIRONMENT = "production"
DEFAULT_ORIGIN = "default"
"""The `origin` of monitors that nobody asked for."""
_JUDGED_ELSEWHERE = ("human", "external")


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


def expect_feedback(connection: Connection, workspace_id: int, path: str, now_ns: int) -> None:
    """Attach the Evaluators with which people judge every Prompt to a new one."""
    environment = default_environment(connection, workspace_id, now_ns)
    known = _feedback_files(connection, workspace_id, environment)
    for name, content in DEFAULT_EVALUATORS.items():
        if name not in known:
            _make_evaluator(connection, workspace_id, name, content, now_ns)
            known |= _feedback_files(connection, workspace_id, environment)
    rows = [
        {
            "id": random_id("mon_"),
            "workspace_id": workspace_id,
            "evaluator_id": found.file_id,
            "version_id": found.version_id,
            "environment_id": environment,
            "file_path": path,
            "scope": "log",
            "sample_rate": 1.0,
            "is_active": True,
            "origin": DEFAULT_ORIGIN,
            "created_ns": now_ns + number,  # shown in this order
            "updated_ns": now_ns,
        }
        for number, name in enumerate(DEFAULT_EVALUATORS)
        if (found := known.get(name)) is not None and _is_judged_elsewhere(found)
    ]
    if rows:
        connection.execute(dialect.insert(connection, _MONITOR), rows)


def _feedback_files(connection: Connection, workspace_id: int, environment: str) -> dict[str, Any]:
    """Return what is at the paths of the default Evaluators, at its default Version."""
    is_current = and_(
        DEPLOYMENT.c.file_id == _FILE.c.id,
        DEPLOYMENT.c.environment_id == environment,
        DEPLOYMENT.c.ended_ns.is_(None),
    )
    rows = connection.execute(
        select(
            _FILE.c.path,
            _FILE.c.kind,
            _FILE.c.id.label("file_id"),
            DEPLOYMENT.c.version_id,
            _VERSION.c.content,
        )
        .outerjoin(DEPLOYMENT, is_current)
        .outerjoin(_VERSION, _VERSION.c.id == DEPLOYMENT.c.version_id)
        .where(_FILE.c.workspace_id == workspace_id, _FILE.c.path.in_(list(DEFAULT_EVALUATORS)))
    )
    return {row.path: row for row in rows}


def _is_judged_elsewhere(found: Any) -> bool:
    """Tell whether this is an Evaluator that nobody here runs; the path may be anything's."""
    if found.kind != "evaluator" or found.content is None:
        return False
    return orjson.loads(found.content).get("evaluator_type") in _JUDGED_ELSEWHERE


def _make_evaluator(
    connection: Connection, workspace_id: int, path: str, content: Mapping[str, Any], now_ns: int
) -> None:
    file_id = random_id(FILE_PREFIXES["evaluator"])
    made = connection.execute(
        dialect.insert(connection, _FILE).on_conflict_do_nothing().returning(_FILE.c.id),
        {
            "id": file_id,
            "workspace_id": workspace_id,
            "kind": "evaluator",
            "path": path,
            "name": path,
            "tags": "[]",
            "is_derived": False,
            "created_ns": now_ns,
            "updated_ns": now_ns,
        },
    ).first()
    if made is None:
        return  # another process was first
    said: Json = dict(content)
    hashed = content_hash("evaluator", said)
    version = version_id("evaluator", file_id, hashed)
    connection.execute(
        dialect.insert(connection, _VERSION),
        {
            "id": version,
            "workspace_id": workspace_id,
            "file_id": file_id,
            "content_hash": hashed,
            "content": orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode(),
            "created_ns": now_ns,
            "status": "committed",
        },
    )
    deploy_first(connection, workspace_id, {file_id: version}, now_ns)


def give_place(connection: Connection, workspace_id: int, path: str, file_id: str) -> bool:
    """Let a File from elsewhere be the default Evaluator at a path that nobody has used or changed.

    Its monitors and its Version are then that File's. False: what is there is not ours to give.
    """
    content = DEFAULT_EVALUATORS.get(path)
    if content is None:
        return False
    versions = connection.execute(
        select(_FILE.c.id, _VERSION.c.content_hash)
        .join(_VERSION, _VERSION.c.file_id == _FILE.c.id)
        .where(_FILE.c.workspace_id == workspace_id, _FILE.c.path == path)
    ).all()
    if [row.content_hash for row in versions] != [content_hash("evaluator", content)]:
        return False
    ours = versions[0].id
    is_of_ours = (_LOG.c.workspace_id == workspace_id) & (_LOG.c.file_id == ours)
    if connection.execute(select(_LOG.c.seq).where(is_of_ours).limit(1)).first():
        return False
    for column in (_FILE.c.id, _VERSION.c.file_id, DEPLOYMENT.c.file_id, _MONITOR.c.evaluator_id):
        connection.execute(
            update(column.table).where(column == ours).values({column.name: file_id})
        )
    return True
