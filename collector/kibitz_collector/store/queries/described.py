"""Reads Files at a Version with all that is known of them: usage, deployments, monitors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session

from kibitz_collector.files.paths import parent_of, root_id
from kibitz_collector.store.filters import FILE, LOG
from kibitz_collector.store.queries.environments import EnvironmentView, list_environments
from kibitz_collector.store.queries.files import FileView, VersionView, get_files, get_versions
from kibitz_collector.store.queries.keys import key_names
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.datasets import VersionDatapoint
from kibitz_collector.store.tables.files import Directory
from kibitz_collector.store.tables.jobs import Evaluator, Monitor
from kibitz_collector.store.tables.rollups import RollupHour

DIRECTORY, MONITOR, EVALUATOR = table(Directory), table(Monitor), table(Evaluator)
ROLLUP, MEMBER = table(RollupHour), table(VersionDatapoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One File at one Version."""

    file: FileView
    version: VersionView
    environments: list[EnvironmentView]  # this Version is deployed to
    directory_id: str
    version_log_count: int
    file_log_count: int
    last_used_ns: int
    datapoint_count: int
    maker: str | None = None  # of the Version: the name of a key, or what an import said
    monitors: list["AttachedEvaluator"] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedEvaluator:
    """An Evaluator that judges a File's Logs, at the Version it does so."""

    evaluator: Described
    environment: EnvironmentView | None  # whose deployment it follows; None: that Version
    is_active: bool
    created_ns: int
    updated_ns: int


def describe(
    session: Session,
    workspace_id: int,
    wanted: Sequence[tuple[str, str]],
    *,
    with_monitors: bool = True,
) -> list[Described]:
    """Describe Files at Versions, given as (file id, version id); what is gone is left out."""
    files = get_files(session, workspace_id, (file_id for file_id, _ in wanted))
    versions = get_versions(session, workspace_id, (version_id for _, version_id in wanted))
    environments = {e.name: e for e in list_environments(session, workspace_id)}
    directories = _directory_ids(session, workspace_id, files.values())
    counts = _log_counts(session, workspace_id, list(files))
    last_used = _last_used(session, workspace_id, list(files))
    datapoints = _datapoint_counts(session, list(versions))
    makers = {one.created_by for one in versions.values() if one.created_by is not None}
    names = key_names(session, workspace_id, makers)
    monitors = _monitors(session, workspace_id, files, environments) if with_monitors else {}
    return [
        Described(
            file=files[file_id],
            version=versions[version_id],
            environments=[
                environments[name]
                for name in versions[version_id].environments
                if name in environments
            ],
            directory_id=directories[file_id],
            version_log_count=counts.get((file_id, version_id), 0),
            file_log_count=sum(n for (file, _), n in counts.items() if file == file_id),
            last_used_ns=last_used.get(file_id) or files[file_id].updated_ns,
            datapoint_count=datapoints.get(version_id, 0),
            maker=names.get(versions[version_id].created_by or "", versions[version_id].created_by),
            monitors=monitors.get(files[file_id].path, []),
        )
        for file_id, version_id in wanted
        if file_id in files and version_id in versions
    ]


def _directory_ids(session: Session, workspace_id: int, files: Any) -> dict[str, str]:
    parents = {file.id: parent_of(file.path) for file in files}
    rows = session.connection().execute(
        select(DIRECTORY.c.path, DIRECTORY.c.id).where(
            DIRECTORY.c.workspace_id == workspace_id, DIRECTORY.c.path.in_(set(parents.values()))
        )
    )
    known = {path: directory_id for path, directory_id in rows}
    root = root_id(workspace_id)
    return {file_id: known.get(path, root) for file_id, path in parents.items()}


def _log_counts(
    session: Session, workspace_id: int, file_ids: list[str]
) -> dict[tuple[str, str], int]:
    statement = (
        select(ROLLUP.c.file_id, ROLLUP.c.version_id, func.sum(ROLLUP.c.log_count))
        .where(ROLLUP.c.workspace_id == workspace_id, ROLLUP.c.file_id.in_(file_ids))
        .group_by(ROLLUP.c.file_id, ROLLUP.c.version_id)
    )
    rows = session.connection().execute(statement)
    return {(file_id, version_id): int(count) for file_id, version_id, count in rows}


def _last_used(session: Session, workspace_id: int, file_ids: list[str]) -> dict[str, int | None]:
    newest = (
        select(LOG.c.start_ns)
        .where(LOG.c.workspace_id == workspace_id, LOG.c.file_id == FILE.c.id)
        .order_by(LOG.c.start_ns.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.connection().execute(select(FILE.c.id, newest).where(FILE.c.id.in_(file_ids)))
    return {file_id: start_ns for file_id, start_ns in rows}


def _datapoint_counts(session: Session, version_ids: list[str]) -> dict[str, int]:
    rows = session.connection().execute(
        select(MEMBER.c.version_id, func.count())
        .where(MEMBER.c.version_id.in_(version_ids))
        .group_by(MEMBER.c.version_id)
    )
    return {version_id: count for version_id, count in rows}


def _monitors(
    session: Session,
    workspace_id: int,
    files: dict[str, FileView],
    environments: dict[str, EnvironmentView],
) -> dict[str, list[AttachedEvaluator]]:
    """Return the Evaluators attached to each path."""
    rows = (
        session.connection()
        .execute(
            select(
                MONITOR,
                func.coalesce(MONITOR.c.version_id, EVALUATOR.c.version_id).label("in_use"),
            )
            .outerjoin(EVALUATOR, EVALUATOR.c.file_id == MONITOR.c.evaluator_id)
            .where(
                MONITOR.c.workspace_id == workspace_id,
                MONITOR.c.file_path.in_({file.path for file in files.values()}),
            )
            .order_by(MONITOR.c.created_ns, MONITOR.c.id)
        )
        .all()
    )
    used = sorted({(row.evaluator_id, row.in_use) for row in rows if row.in_use})
    described = {
        (one.file.id, one.version.id): one
        for one in (describe(session, workspace_id, used, with_monitors=False) if used else [])
    }
    by_id = {environment.id: environment for environment in environments.values()}
    attached: dict[str, list[AttachedEvaluator]] = {}
    for row in rows:
        evaluator = described.get((row.evaluator_id, row.in_use))
        if evaluator is not None:
            attached.setdefault(row.file_path, []).append(
                AttachedEvaluator(
                    evaluator=evaluator,
                    environment=by_id.get(row.environment_id),
                    is_active=row.is_active,
                    created_ns=row.created_ns,
                    updated_ns=row.updated_ns,
                )
            )
    return attached
