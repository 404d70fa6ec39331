"""Attaches Evaluators to a File by Version or environment, as the v5 contract does."""

import time
from dataclasses import dataclass

from sqlmodel import Session, col, select

from kibitz_collector.errors import NotFound
from kibitz_collector.files.ids import random_id
from kibitz_collector.files.kinds.evaluator import read_evaluator
from kibitz_collector.store.queries.environments import get_environment
from kibitz_collector.store.queries.files import (
    FileView,
    choose_version,
    get_file,
    get_version,
)
from kibitz_collector.store.tables.jobs import Monitor
from kibitz_collector.store.writes.claims import bump_revision
from kibitz_collector.store.writes.evaluation import attach_monitor, set_monitor_active


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorChoice:
    """An Evaluator's Version: one itself, or whichever an environment uses."""

    version_id: str | None = None
    evaluator_id: str | None = None
    environment_id: str | None = None


def activate(session: Session, workspace_id: int, file: FileView, choice: EvaluatorChoice) -> None:
    """Let an Evaluator judge the Logs of a File from now on.

    Raises: NotFound: no such Evaluator, Version, environment or deployment.
    """
    evaluator_id, version_id, environment_id = _resolve(session, workspace_id, choice)
    known = _find(session, workspace_id, file, evaluator_id, version_id, environment_id)
    if known is not None:
        set_monitor_active(session, workspace_id, known.id, is_active=True)
        return
    version = get_version(session, workspace_id, version_id)
    if read_evaluator(version.content).is_run_here:
        monitor_id = attach_monitor(
            session,
            workspace_id,
            evaluator_id=evaluator_id,
            version_id=version_id,
            file_path=file.path,
        )
        monitor = session.get(Monitor, monitor_id)
        assert monitor is not None
        monitor.environment_id = environment_id
        session.add(monitor)
    else:
        # People or other programs judge: this only says that they are expected to.
        now_ns = time.time_ns()
        session.add(
            Monitor(
                id=random_id("mon_"),
                workspace_id=workspace_id,
                evaluator_id=evaluator_id,
                version_id=version_id,
                environment_id=environment_id,
                file_path=file.path,
                created_ns=now_ns,
                updated_ns=now_ns,
            )
        )
    session.flush()
    bump_revision(session)


def deactivate(
    session: Session, workspace_id: int, file: FileView, choice: EvaluatorChoice
) -> None:
    """Let an Evaluator judge a File's Logs no more; its judgments stay.

    Raises: NotFound: it is not attached.
    """
    evaluator_id, version_id, environment_id = _resolve(session, workspace_id, choice)
    known = _find(session, workspace_id, file, evaluator_id, version_id, environment_id)
    if known is None:
        raise NotFound(f"evaluator {evaluator_id} does not monitor {file.path} that way")
    set_monitor_active(session, workspace_id, known.id, is_active=False)


def _resolve(
    session: Session, workspace_id: int, choice: EvaluatorChoice
) -> tuple[str, str, str | None]:
    """Return (evaluator id, version id, environment id)."""
    if choice.version_id is not None:
        version = get_version(session, workspace_id, choice.version_id)
        evaluator = get_file(session, workspace_id, version.file_id)
        _refuse_other(evaluator)
        return evaluator.id, version.id, None
    evaluator = get_file(session, workspace_id, choice.evaluator_id or "")
    _refuse_other(evaluator)
    environment = get_environment(session, workspace_id, choice.environment_id or "")
    version_id = choose_version(session, workspace_id, evaluator, environment=environment.name)
    return evaluator.id, version_id, environment.id


def _refuse_other(file: FileView) -> None:
    if file.kind != "evaluator":
        raise NotFound(f"{file.path} is no evaluator but a File of type {file.kind}")


def _find(
    session: Session,
    workspace_id: int,
    file: FileView,
    evaluator_id: str,
    version_id: str,
    environment_id: str | None,
) -> Monitor | None:
    statement = select(Monitor).where(
        Monitor.workspace_id == workspace_id,
        Monitor.file_path == file.path,
        Monitor.evaluator_id == evaluator_id,
        col(Monitor.environment_id) == environment_id
        if environment_id
        else col(Monitor.environment_id).is_(None),
    )
    if environment_id is None:
        statement = statement.where(Monitor.version_id == version_id)
    return session.exec(statement).first()
