"""Saves evaluators, attaches and detaches monitors, resumes what was suspended."""

import re
import time
from collections.abc import Mapping
from typing import Any

import orjson
from sqlmodel import Session, col, select, update

from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.files.ids import random_id
from kibitz_collector.files.kinds.evaluator import read_evaluator
from kibitz_collector.query import parse
from kibitz_collector.records import FileRegistration, Scope
from kibitz_collector.store.tables.files import File, Version
from kibitz_collector.store.tables.jobs import Evaluator, EvaluatorState, Job, Monitor
from kibitz_collector.store.writes.claims import bump_revision
from kibitz_collector.store.writes.files import register_file

_PATH = re.compile(r"[\w.\-]+(/[\w.\- ]+)*")
_SETTINGS = ("on", "sample_rate")
_MAX_FILTER_CHARS = 4000


def save_evaluator(
    session: Session, workspace_id: int, path: str, content: Mapping[str, Any]
) -> tuple[str, str]:
    """Make an Evaluator, or a new Version of it; returns (file id, version id).

    Monitors that follow the Evaluator use this Version from now on.
    Raises: Invalid: the content or the path is not an Evaluator's.
    """
    if not _PATH.fullmatch(path) or len(path) > 512:
        raise Invalid(f"path {path!r} is not a path: write it like support/is_polite")
    read_evaluator(content)
    _refuse_other_kind(session, workspace_id, path)
    kept = {k: v for k, v in content.items() if k not in _SETTINGS}
    registration = FileRegistration(kind="evaluator", path=path, content=kept)
    file_id, version_id = register_file(session, workspace_id, registration)
    follow_version(session, workspace_id, file_id, version_id)
    return file_id, version_id


def attach_registered(
    session: Session,
    workspace_id: int,
    file_id: str,
    version_id: str,
    content: Mapping[str, Any],
) -> str | None:
    """Take over what an SDK registered: its Version, and the monitor its `on` asks for.

    Returns the monitor's id. Registering again changes the same monitor; without `on` it is off.
    Raises: Invalid, BadQuery.
    """
    spec = read_evaluator(content)
    follow_version(session, workspace_id, file_id, version_id)
    known = session.exec(
        select(Monitor).where(
            Monitor.workspace_id == workspace_id,
            Monitor.evaluator_id == file_id,
            Monitor.origin == "registered",
        )
    ).first()
    target = content.get("on")
    if target is None or not spec.is_run_here:
        if known is not None and known.is_active:
            set_monitor_active(session, workspace_id, known.id, is_active=False)
        return None
    file_path, filter_text = read_target(session, workspace_id, str(target))
    rate = _sample_rate(content.get("sample_rate", 1.0))
    if known is None:
        return attach_monitor(
            session,
            workspace_id,
            evaluator_id=file_id,
            file_path=file_path,
            filter_text=filter_text,
            sample_rate=rate,
            origin="registered",
        )
    wanted = (file_path, filter_text, rate)
    if (known.file_path, known.filter, known.sample_rate) != wanted or not known.is_active:
        known.file_path, known.filter, known.sample_rate = wanted
        known.is_active, known.updated_ns = True, time.time_ns()
        session.add(known)
        bump_revision(session)
    return known.id


def follow_version(session: Session, workspace_id: int, file_id: str, version_id: str) -> None:
    """Make this the Version that monitors of the Evaluator use."""
    evaluator = session.get(Evaluator, file_id)
    if evaluator is not None and evaluator.version_id == version_id:
        return
    if evaluator is None:
        evaluator = Evaluator(file_id=file_id, workspace_id=workspace_id, version_id=version_id)
    evaluator.version_id = version_id
    session.add(evaluator)
    ensure_state(session, workspace_id, file_id, version_id)
    bump_revision(session)


def attach_monitor(
    session: Session,
    workspace_id: int,
    *,
    evaluator_id: str,
    version_id: str | None = None,
    file_path: str | None = None,
    filter_text: str | None = None,
    scope: Scope = "log",
    sample_rate: float = 1.0,
    origin: str = "api",
) -> str:
    """Let an Evaluator judge what arrives of a File, or what a filter matches; returns the id.

    Raises: NotFound: no such Evaluator or Version. Invalid: it cannot be run here, or the scope or
    rate is wrong. BadQuery: the filter does not parse.
    """
    version = _version_to_run(session, workspace_id, evaluator_id, version_id)
    if (file_path is None) == (filter_text is None):
        raise Invalid("give either a File or a filter")
    if scope == "session":
        raise Invalid("scope session is not judged on arrival; use log or trace")
    if filter_text is not None:
        _check_filter(filter_text)
    ensure_state(session, workspace_id, evaluator_id, version.id)
    if session.get(Evaluator, evaluator_id) is None:
        follow_version(session, workspace_id, evaluator_id, version.id)
    now_ns = time.time_ns()
    monitor = Monitor(
        id=random_id("mon_"),
        workspace_id=workspace_id,
        evaluator_id=evaluator_id,
        version_id=version_id,
        file_path=file_path,
        filter=filter_text,
        scope=scope,
        sample_rate=_sample_rate(sample_rate),
        origin=origin,
        created_ns=now_ns,
        updated_ns=now_ns,
    )
    session.add(monitor)
    session.flush()
    bump_revision(session)
    return monitor.id


def set_monitor_active(
    session: Session, workspace_id: int, monitor_id: str, *, is_active: bool
) -> None:
    """Switch a monitor on or off; what it has judged stays.

    Raises: NotFound.
    """
    monitor = _monitor(session, workspace_id, monitor_id)
    monitor.is_active, monitor.updated_ns = is_active, time.time_ns()
    session.add(monitor)
    bump_revision(session)


def detach_monitor(session: Session, workspace_id: int, monitor_id: str) -> None:
    """Remove a monitor and the jobs it has waiting; its judgments stay.

    Raises: NotFound.
    """
    monitor = _monitor(session, workspace_id, monitor_id)
    session.exec(
        update(Job)
        .where(col(Job.monitor_id) == monitor_id, col(Job.state) == "waiting")
        .values(state="done", last_error="its monitor was detached")
    )
    session.delete(monitor)
    bump_revision(session)


def resume_evaluator(session: Session, workspace_id: int, version_id: str) -> None:
    """Let a suspended evaluator version run again, with a clean record.

    Raises: NotFound: no such version has ever been run or attached.
    """
    state = session.get(EvaluatorState, version_id)
    if state is None or state.workspace_id != workspace_id:
        raise NotFound(f"no evaluator version {version_id!r}")
    state.state, state.reason, state.suspended_ns = "active", None, None
    state.strikes, state.alone_until_ns = 0, 0
    session.add(state)
    bump_revision(session)


def read_target(session: Session, workspace_id: int, text: str) -> tuple[str | None, str | None]:
    """Tell a File (its id, or a path) from a filter text: returns (path, filter), one of them None.

    A path may name a File that does not exist yet.
    Raises: BadQuery: it is neither.
    """
    text = text.strip()
    file = session.get(File, text)
    if file is not None and file.workspace_id == workspace_id:
        return file.path, None
    if _PATH.fullmatch(text) and (" " not in text or _is_path(session, workspace_id, text)):
        return text, None
    _check_filter(text)
    return None, text


def _is_path(session: Session, workspace_id: int, text: str) -> bool:
    statement = select(File.id).where(File.workspace_id == workspace_id, File.path == text)
    return session.exec(statement).first() is not None


def _check_filter(text: str) -> None:
    if len(text) > _MAX_FILTER_CHARS:
        raise Invalid(f"the filter is longer than {_MAX_FILTER_CHARS} characters")
    parse(text)


def _refuse_other_kind(session: Session, workspace_id: int, path: str) -> None:
    statement = select(File.kind).where(File.workspace_id == workspace_id, File.path == path)
    kind = session.exec(statement).first()
    if kind is not None and kind != "evaluator":
        raise Invalid(f"{path} is a File of kind {kind}; give the evaluator another path")


def _version_to_run(
    session: Session, workspace_id: int, evaluator_id: str, version_id: str | None
) -> Version:
    """Raises: NotFound, Invalid."""
    if version_id is None:
        known = session.get(Evaluator, evaluator_id)
        version_id = known.version_id if known is not None else None
    statement = select(Version).where(
        Version.workspace_id == workspace_id, Version.file_id == evaluator_id
    )
    if version_id is not None:
        statement = statement.where(Version.id == version_id)
    version = session.exec(statement.order_by(col(Version.created_ns).desc())).first()
    if version is None:
        raise NotFound(
            f"no evaluator {evaluator_id!r}"
            + (f" with version {version_id!r}" if version_id else "")
        )
    spec = read_evaluator(_content(version))
    if not spec.is_run_here:
        raise Invalid(
            f"evaluator {evaluator_id!r} is judged elsewhere (type {spec.evaluator_type}, "
            f"where {spec.where}): nothing here could run it"
        )
    return version


def _content(version: Version) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(version.content)
    return content


def ensure_state(session: Session, workspace_id: int, evaluator_id: str, version_id: str) -> None:
    """Make sure that an evaluator version can be given jobs."""
    if session.get(EvaluatorState, version_id) is None:
        version = session.get(Version, version_id)
        content = {} if version is None else _content(version)
        session.add(
            EvaluatorState(
                version_id=version_id,
                workspace_id=workspace_id,
                evaluator_id=evaluator_id,
                asks_model=content.get("evaluator_type") == "llm",
            )
        )
        session.flush()


def _monitor(session: Session, workspace_id: int, monitor_id: str) -> Monitor:
    monitor = session.get(Monitor, monitor_id)
    if monitor is None or monitor.workspace_id != workspace_id:
        raise NotFound(f"no monitor {monitor_id!r}")
    return monitor


def _sample_rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise Invalid(f"sample_rate {value!r} must be over 0 and at most 1")
    return float(value)
