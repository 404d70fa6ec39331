"""Reads evaluations: what they are called, which Evaluators and runs they have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Select, func, select
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.store.queries.files import VERSION
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.evaluations import (
    Evaluation,
    EvaluationEvaluator,
    EvaluationRun,
    Run,
)

EVALUATION, USED = table(Evaluation), table(EvaluationEvaluator)
RUN, PLACE = table(Run), table(EvaluationRun)
RunStatus = Literal["pending", "running", "completed", "cancelled"]
OPEN: tuple[RunStatus, ...] = ("pending", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedEvaluator:
    """An Evaluator's Version that judges an evaluation's runs."""

    evaluator_id: str
    version_id: str
    orchestrated: bool
    added_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationView:
    """One evaluation; its Evaluators in the order they were added."""

    id: str
    file_id: str | None
    name: str | None
    created_ns: int
    updated_ns: int
    run_count: int
    evaluators: list[UsedEvaluator]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run."""

    id: str
    workspace_id: int
    file_id: str | None
    version_id: str | None
    dataset_id: str | None
    dataset_version_id: str | None
    orchestrated: bool
    status: RunStatus
    created_ns: int
    updated_ns: int

    @property
    def is_open(self) -> bool:
        """Tell whether something is still awaited."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRun:
    """A run in one evaluation."""

    run: RunView
    is_control: bool
    added_ns: int


def get_evaluation(session: Session, workspace_id: int, evaluation_id: str) -> EvaluationView:
    """Return one evaluation.

    Raises: NotFound.
    """
    statement = select(EVALUATION).where(
        EVALUATION.c.workspace_id == workspace_id, EVALUATION.c.id == evaluation_id
    )
    found = _views(session, statement)
    if not found:
        raise NotFound(f"no evaluation {evaluation_id!r}")
    return found[0]


def page_evaluations(
    session: Session, workspace_id: int, file_id: str | None, *, page: int, size: int
) -> tuple[list[EvaluationView], int]:
    """Return one page of a File's evaluations, newest first, and how many there are in all.

    Without a File: of all.
    """
    own = [EVALUATION.c.workspace_id == workspace_id]
    if file_id is not None:
        own.append(EVALUATION.c.file_id == file_id)
    total: int = (
        session.connection()
        .execute(select(func.count()).select_from(EVALUATION).where(*own))
        .scalar_one()
    )
    statement = (
        select(EVALUATION)
        .where(*own)
        .order_by(EVALUATION.c.created_ns.desc(), EVALUATION.c.id)
        .limit(size)
        .offset((page - 1) * size)
    )
    return _views(session, statement), total


def is_name_taken(session: Session, workspace_id: int, file_id: str, name: str) -> bool:
    """Tell whether an evaluation of this File is called so."""
    statement = select(EVALUATION.c.id).where(
        EVALUATION.c.workspace_id == workspace_id,
        EVALUATION.c.file_id == file_id,
        EVALUATION.c.name == name,
    )
    return session.connection().execute(statement).first() is not None


def list_runs(session: Session, evaluation_id: str) -> list[PlacedRun]:
    """Return an evaluation's runs, the one added last first."""
    statement = (
        select(RUN, PLACE.c.is_control, PLACE.c.added_ns)
        .join(PLACE, PLACE.c.run_id == RUN.c.id)
        .where(PLACE.c.evaluation_id == evaluation_id)
        .order_by(PLACE.c.added_ns.desc(), RUN.c.id)
    )
    return [
        PlacedRun(run=_run(row), is_control=row.is_control, added_ns=row.added_ns)
        for row in session.connection().execute(statement)
    ]


def get_placed_run(session: Session, evaluation_id: str, run_id: str) -> PlacedRun:
    """Return one run of an evaluation.

    Raises: NotFound.
    """
    for placed in list_runs(session, evaluation_id):
        if placed.run.id == run_id:
            return placed
    raise NotFound(f"evaluation {evaluation_id} has no run {run_id!r}")


def get_run(session: Session, workspace_id: int, run_id: str) -> RunView:
    """Return one run, of whatever evaluation.

    Raises: NotFound.
    """
    run = find_run(session, workspace_id, run_id)
    if run is None:
        raise NotFound(f"no run {run_id!r}")
    return run


def find_run(session: Session, workspace_id: int, run_id: str) -> RunView | None:
    """Return one run, if it is there."""
    statement = select(RUN).where(RUN.c.workspace_id == workspace_id, RUN.c.id == run_id)
    row = session.connection().execute(statement).first()
    return None if row is None else _run(row)


def open_runs(session: Session, run_ids: Sequence[str] | None = None) -> list[RunView]:
    """Return the runs that await something, of all workspaces, or those of these; newest first."""
    statement = (
        select(RUN).where(RUN.c.status.in_(OPEN)).order_by(RUN.c.created_ns.desc(), RUN.c.id)
    )
    if run_ids is not None:
        statement = statement.where(RUN.c.id.in_(run_ids))
    return [_run(row) for row in session.connection().execute(statement)]


def evaluators_of_run(session: Session, run_id: str) -> list[UsedEvaluator]:
    """Return the Evaluators of all evaluations that a run belongs to, each Version once.

    One that has been deleted judges nothing any more.
    """
    statement = (
        select(USED)
        .join(PLACE, PLACE.c.evaluation_id == USED.c.evaluation_id)
        .join(VERSION, VERSION.c.id == USED.c.version_id)
        .where(PLACE.c.run_id == run_id)
        .order_by(USED.c.added_ns, USED.c.version_id)
    )
    found: dict[str, UsedEvaluator] = {}
    for row in session.connection().execute(statement):
        found.setdefault(row.version_id, _used(row))
    return list(found.values())


def has_evaluation(session: Session, run_id: str) -> bool:
    """Tell whether a run belongs to any evaluation."""
    statement = select(PLACE.c.run_id).where(PLACE.c.run_id == run_id).limit(1)
    return session.connection().execute(statement).first() is not None


def _views(session: Session, statement: Select[Any]) -> list[EvaluationView]:
    rows = session.connection().execute(statement).all()
    ids = [row.id for row in rows]
    counts = _run_counts(session, ids)
    used: dict[str, list[UsedEvaluator]] = {}
    for row in session.connection().execute(
        select(USED)
        .join(VERSION, VERSION.c.id == USED.c.version_id)
        .where(USED.c.evaluation_id.in_(ids))
        .order_by(USED.c.added_ns, USED.c.version_id)
    ):
        used.setdefault(row.evaluation_id, []).append(_used(row))
    return [
        EvaluationView(
            id=row.id,
            file_id=row.file_id,
            name=row.name,
            created_ns=row.created_ns,
            updated_ns=row.updated_ns,
            run_count=counts.get(row.id, 0),
            evaluators=used.get(row.id, []),
        )
        for row in rows
    ]


def _run_counts(session: Session, evaluation_ids: Iterable[str]) -> dict[str, int]:
    statement = (
        select(PLACE.c.evaluation_id, func.count())
        .where(PLACE.c.evaluation_id.in_(evaluation_ids))
        .group_by(PLACE.c.evaluation_id)
    )
    return {id_: count for id_, count in session.connection().execute(statement)}


def _used(row: Any) -> UsedEvaluator:
    return UsedEvaluator(
        evaluator_id=row.evaluator_id,
        version_id=row.version_id,
        orchestrated=row.orchestrated,
        added_ns=row.added_ns,
    )


def _run(row: Any) -> RunView:
    return RunView(
        id=row.id,
        workspace_id=row.workspace_id,
        file_id=row.file_id,
        version_id=row.version_id,
        dataset_id=row.dataset_id,
        dataset_version_id=row.dataset_version_id,
        orchestrated=row.orchestrated,
        status=cast(RunStatus, row.status),
        created_ns=row.created_ns,
        updated_ns=row.updated_ns,
    )
