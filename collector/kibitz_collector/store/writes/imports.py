"""Takes Files, Versions, environments and evaluations over from elsewhere, with their ids.

What is there already stays as it is, so that an import may be repeated.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import select
from sqlmodel import Session

from kibitz_collector.errors import Conflict
from kibitz_collector.files.identity import content_hash
from kibitz_collector.files.ids import random_id
from kibitz_collector.files.paths import name_of, parent_of
from kibitz_collector.records import FileKind, Json
from kibitz_collector.store import dialect
from kibitz_collector.store.queries.evaluations import EVALUATION, PLACE, RUN, USED, RunStatus
from kibitz_collector.store.rows import storable, table
from kibitz_collector.store.tables.datasets import Datapoint, VersionDatapoint
from kibitz_collector.store.tables.jobs import Monitor
from kibitz_collector.store.writes.claims import bump_revision
from kibitz_collector.store.writes.defaults import DEPLOYMENT, ENVIRONMENT, give_place
from kibitz_collector.store.writes.files import (
    FILE,
    VERSION,
    ensure_directories,
    forget_files,
)

DATAPOINT, MEMBER, MONITOR = table(Datapoint), table(VersionDatapoint), table(Monitor)
_CHUNK = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """A File as it was elsewhere."""

    id: str
    kind: FileKind
    path: str
    description: str | None = None
    tags: Sequence[str] = ()
    readme: str | None = None
    created_ns: int
    updated_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedVersion:
    """A Version as it was elsewhere; `datapoints` are a Dataset's, as (id, JSON)."""

    id: str
    file_id: str
    kind: FileKind
    content: Json
    name: str | None = None
    description: str | None = None
    created_by: str | None = None
    created_ns: int
    status: str = "committed"
    datapoints: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMonitor:
    """An Evaluator's Version that judged the Logs of the File at a path."""

    evaluator_id: str
    version_id: str
    environment_id: str | None  # None: this very Version; else the one deployed there
    file_path: str
    is_active: bool
    created_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEvaluation:
    """An evaluation as it was elsewhere; its Evaluators as (file id, version id, judged here)."""

    id: str
    file_id: str | None
    name: str | None
    created_by: str | None = None
    created_ns: int
    updated_ns: int
    evaluators: Sequence[tuple[str, str, bool]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRun:
    """A run as it was elsewhere; Versions as (file id, version id)."""

    id: str
    version: tuple[str, str] | None
    dataset: tuple[str, str] | None
    orchestrated: bool
    status: RunStatus
    is_control: bool
    created_by: str | None = None
    created_ns: int
    added_ns: int
    logs: dict[str, str | None] = field(default_factory=dict)


def place_file(session: Session, workspace_id: int, file: ImportedFile) -> bool:
    """Make a File; False if it is there, wherever it has been moved meanwhile.

    Raises: Conflict: another File is at its path, or its id is another kind's.
    """
    connection = session.connection()
    known = connection.execute(
        select(FILE.c.kind, FILE.c.workspace_id).where(FILE.c.id == file.id)
    ).first()
    if known is not None:
        if (known.kind, known.workspace_id) != (file.kind, workspace_id):
            raise Conflict(f"{file.id} is taken by a File of type {known.kind}")
        return False
    holder = connection.execute(
        select(FILE.c.id).where(FILE.c.workspace_id == workspace_id, FILE.c.path == file.path)
    ).scalar()
    said = {
        "description": file.description,
        "tags": orjson.dumps(list(file.tags)).decode(),
        "readme": file.readme,
        "created_ns": file.created_ns,
        "updated_ns": file.updated_ns,
    }
    if holder is not None:
        is_evaluator = file.kind == "evaluator"
        if not (is_evaluator and give_place(connection, workspace_id, file.path, file.id)):
            raise Conflict(
                f"{file.path!r} is taken by {holder}; move or delete it, then import again"
            )
        connection.execute(FILE.update().where(FILE.c.id == file.id).values(**said))
        forget_files(connection)
        return True
    ensure_directories(connection, workspace_id, parent_of(file.path), file.created_ns)
    connection.execute(
        FILE.insert().values(
            id=file.id,
            workspace_id=workspace_id,
            kind=file.kind,
            path=file.path,
            name=name_of(file.path),
            is_derived=False,
            **said,
        )
    )
    return True


def place_version(session: Session, workspace_id: int, version: ImportedVersion) -> bool:
    """Make a Version, a Dataset's with its datapoints; False if it is there.

    Raises: Conflict: its id is that of another File's.
    """
    connection = session.connection()
    known = connection.execute(select(VERSION.c.file_id).where(VERSION.c.id == version.id)).scalar()
    if known is not None and known != version.file_id:
        raise Conflict(f"{version.id} is taken by a Version of {known}")
    if known is None:
        hashed = content_hash(version.kind, version.content)
        is_same = (VERSION.c.file_id == version.file_id) & (VERSION.c.content_hash == hashed)
        if connection.execute(select(VERSION.c.id).where(is_same)).scalar() is not None:
            # Two Versions there whose contents are one here: both ids stay known.
            hashed = f"{hashed}:{version.id}"
        name = version.name
        is_named = (VERSION.c.file_id == version.file_id) & (VERSION.c.name == name)
        if name and connection.execute(select(VERSION.c.id).where(is_named)).scalar() is not None:
            name = None
        connection.execute(
            VERSION.insert().values(
                id=version.id,
                workspace_id=workspace_id,
                file_id=version.file_id,
                content_hash=hashed,
                content=storable(
                    orjson.dumps(version.content, option=orjson.OPT_SORT_KEYS).decode()
                ),
                name=name,
                description=version.description,
                created_by=version.created_by,
                created_ns=version.created_ns,
                status=version.status,
            )
        )
    _place_datapoints(session, workspace_id, version)
    return known is None


def dataset_content(datapoint_ids: Sequence[str]) -> Json:
    """Return what a Dataset's Version with these datapoints is made of."""
    ids = "\n".join(sorted(datapoint_ids))
    return {
        "datapoints": hashlib.blake2b(ids.encode(), digest_size=16).hexdigest(),
        "datapoints_count": len(datapoint_ids),
    }


def _place_datapoints(session: Session, workspace_id: int, version: ImportedVersion) -> None:
    connection = session.connection()
    if not version.datapoints:
        return
    has_any = select(MEMBER.c.position).where(MEMBER.c.version_id == version.id).limit(1)
    if connection.execute(has_any).scalar() is not None:
        return
    for start in range(0, len(version.datapoints), _CHUNK):
        part = version.datapoints[start : start + _CHUNK]
        connection.execute(
            dialect.insert(connection, DATAPOINT).on_conflict_do_nothing(),
            [
                {
                    "id": one,
                    "workspace_id": workspace_id,
                    "file_id": version.file_id,
                    "content": storable(content),
                    "created_ns": version.created_ns,
                }
                for one, content in part
            ],
        )
        connection.execute(
            dialect.insert(connection, MEMBER).on_conflict_do_nothing(),
            [
                {"version_id": version.id, "position": start + place, "datapoint_id": one}
                for place, (one, _content) in enumerate(part)
            ],
        )


def place_environment(
    session: Session,
    workspace_id: int,
    environment_id: str,
    name: str,
    *,
    created_ns: int,
    tag: str,
) -> str:
    """Make an environment; returns its id here, which is that of one with the same name or id."""
    connection = session.connection()
    own = ENVIRONMENT.c.workspace_id == workspace_id
    for condition in (ENVIRONMENT.c.id == environment_id, ENVIRONMENT.c.name == name):
        known: str | None = connection.execute(
            select(ENVIRONMENT.c.id).where(own, condition)
        ).scalar()
        if known is not None:
            return known
    has_default = select(ENVIRONMENT.c.id).where(own, ENVIRONMENT.c.is_default)
    connection.execute(
        ENVIRONMENT.insert().values(
            id=environment_id,
            workspace_id=workspace_id,
            name=name,
            is_default=tag == "default" and connection.execute(has_default).scalar() is None,
            created_ns=created_ns,
        )
    )
    return environment_id


def is_deployed(session: Session, file_id: str, environment_id: str) -> bool:
    """Tell whether an environment uses any Version of a File."""
    current = select(DEPLOYMENT.c.id).where(
        DEPLOYMENT.c.file_id == file_id,
        DEPLOYMENT.c.environment_id == environment_id,
        DEPLOYMENT.c.ended_ns.is_(None),
    )
    return session.connection().execute(current).scalar() is not None


def place_monitor(session: Session, workspace_id: int, monitor: ImportedMonitor) -> bool:
    """Attach an Evaluator to a File; False if it is attached already, in whatever state."""
    connection = session.connection()
    known = select(MONITOR.c.id).where(
        MONITOR.c.workspace_id == workspace_id,
        MONITOR.c.evaluator_id == monitor.evaluator_id,
        MONITOR.c.file_path == monitor.file_path,
    )
    if connection.execute(known).scalar() is not None:
        return False
    connection.execute(
        MONITOR.insert().values(
            id=random_id("mon_"),
            workspace_id=workspace_id,
            evaluator_id=monitor.evaluator_id,
            version_id=monitor.version_id,
            environment_id=monitor.environment_id,
            file_path=monitor.file_path,
            scope="log",
            sample_rate=1.0,
            is_active=monitor.is_active,
            origin="api",
            created_ns=monitor.created_ns,
            updated_ns=monitor.created_ns,
        )
    )
    bump_revision(session)
    return True


def place_evaluation(session: Session, workspace_id: int, evaluation: ImportedEvaluation) -> bool:
    """Make an evaluation with its Evaluators; False if it is there.

    Raises: Conflict: another one of the File is called so.
    """
    connection = session.connection()
    known = select(EVALUATION.c.id).where(EVALUATION.c.id == evaluation.id)
    if connection.execute(known).scalar() is not None:
        return False
    named = select(EVALUATION.c.id).where(
        EVALUATION.c.workspace_id == workspace_id,
        EVALUATION.c.file_id == evaluation.file_id,
        EVALUATION.c.name == evaluation.name,
    )
    if evaluation.name is not None and connection.execute(named).scalar() is not None:
        raise Conflict(f"there is an evaluation {evaluation.name!r} of this File already")
    connection.execute(
        EVALUATION.insert().values(
            id=evaluation.id,
            workspace_id=workspace_id,
            file_id=evaluation.file_id,
            name=evaluation.name,
            created_by=evaluation.created_by,
            created_ns=evaluation.created_ns,
            updated_ns=evaluation.updated_ns,
        )
    )
    for place, (evaluator_id, version_id, orchestrated) in enumerate(evaluation.evaluators):
        connection.execute(
            dialect.insert(connection, USED)
            .values(
                evaluation_id=evaluation.id,
                version_id=version_id,
                workspace_id=workspace_id,
                evaluator_id=evaluator_id,
                orchestrated=orchestrated,
                added_ns=evaluation.created_ns + place,  # in this order
            )
            .on_conflict_do_nothing()
        )
    return True


def place_run(session: Session, workspace_id: int, evaluation_id: str, run: ImportedRun) -> bool:
    """Make a run and let it belong to an evaluation; False if it was there."""
    connection = session.connection()
    known = connection.execute(select(RUN.c.id).where(RUN.c.id == run.id)).scalar()
    if known is None:
        connection.execute(
            RUN.insert().values(
                id=run.id,
                workspace_id=workspace_id,
                file_id=run.version[0] if run.version else None,
                version_id=run.version[1] if run.version else None,
                dataset_id=run.dataset[0] if run.dataset else None,
                dataset_version_id=run.dataset[1] if run.dataset else None,
                orchestrated=run.orchestrated,
                status=run.status,
                created_by=run.created_by,
                created_ns=run.created_ns,
                updated_ns=run.created_ns,
            )
        )
    connection.execute(
        dialect.insert(connection, PLACE)
        .values(
            evaluation_id=evaluation_id,
            run_id=run.id,
            workspace_id=workspace_id,
            is_control=run.is_control,
            added_ns=run.added_ns,
        )
        .on_conflict_do_nothing()
    )
    return known is None
