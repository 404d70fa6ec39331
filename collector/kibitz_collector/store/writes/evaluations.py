"""Makes, changes and deletes evaluations, and says which Evaluators and runs belong to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from kibitz_collector.errors import Conflict, NotFound
from kibitz_collector.files.ids import random_id
from kibitz_collector.store import dialect
from kibitz_collector.store.queries.evaluations import (
    EVALUATION,
    OPEN,
    PLACE,
    USED,
    evaluators_of_run,
    has_evaluation,
    is_name_taken,
    list_runs,
)
from kibitz_collector.store.writes.evaluation import ensure_state
from kibitz_collector.store.writes.evaluations_runs import reopen_run, set_run_status


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEvaluator:
    """An Evaluator's Version that shall judge."""

    evaluator_id: str
    version_id: str
    orchestrated: bool  # here


def create_evaluation(
    session: Session,
    workspace_id: int,
    *,
    file_id: str | None,
    name: str | None,
    evaluators: Sequence[ChosenEvaluator],
    made_by: str | None,
    now_ns: int,
) -> str:
    """Make an evaluation; returns its id.

    Raises: Conflict: another one of this File is called so.
    """
    taken = f"there is an evaluation {name!r} of this File already"
    if file_id and name is not None and is_name_taken(session, workspace_id, file_id, name):
        raise Conflict(taken)
    evaluation_id = random_id("evr_")
    try:
        session.connection().execute(
            EVALUATION.insert().values(
                id=evaluation_id,
                workspace_id=workspace_id,
                file_id=file_id,
                name=name,
                created_by=made_by,
                created_ns=now_ns,
                updated_ns=now_ns,
            )
        )
    except IntegrityError:  # another process was faster
        raise Conflict(taken) from None
    use_evaluators(session, workspace_id, evaluation_id, evaluators, now_ns)
    return evaluation_id


def use_evaluators(
    session: Session,
    workspace_id: int,
    evaluation_id: str,
    evaluators: Sequence[ChosenEvaluator],
    now_ns: int,
) -> None:
    """Let more Evaluators judge an evaluation's runs; those that do already stay as they are.

    Completed runs whose Logs they have not judged are open again.
    """
    connection = session.connection()
    for position, one in enumerate(evaluators):
        connection.execute(
            dialect.insert(connection, USED)
            .values(
                evaluation_id=evaluation_id,
                version_id=one.version_id,
                workspace_id=workspace_id,
                evaluator_id=one.evaluator_id,
                orchestrated=one.orchestrated,
                added_ns=now_ns + position,  # in the order given
            )
            .on_conflict_do_nothing()
        )
        if one.orchestrated:
            ensure_state(session, workspace_id, one.evaluator_id, one.version_id)
    if evaluators:
        for placed in list_runs(session, evaluation_id):
            reopen_run(session, placed.run.id, now_ns)
        _touch(session, evaluation_id, now_ns)


def drop_evaluator(session: Session, evaluation_id: str, version_id: str, now_ns: int) -> None:
    """Let an Evaluator's Version judge an evaluation no more; its judgments stay.

    Raises: NotFound.
    """
    gone = session.connection().execute(
        delete(USED).where(USED.c.evaluation_id == evaluation_id, USED.c.version_id == version_id)
    )
    if gone.rowcount == 0:
        raise NotFound(f"evaluation {evaluation_id} has no evaluator version {version_id!r}")
    _touch(session, evaluation_id, now_ns)


def delete_evaluation(session: Session, evaluation_id: str, now_ns: int) -> None:
    """Delete an evaluation; its runs, Logs and Evaluators stay."""
    connection = session.connection()
    runs = [placed.run.id for placed in list_runs(session, evaluation_id)]
    connection.execute(delete(PLACE).where(PLACE.c.evaluation_id == evaluation_id))
    connection.execute(delete(USED).where(USED.c.evaluation_id == evaluation_id))
    connection.execute(delete(EVALUATION).where(EVALUATION.c.id == evaluation_id))
    for run_id in runs:
        _end_unless_placed(session, run_id, now_ns)


def place_run(
    session: Session, workspace_id: int, evaluation_id: str, run_id: str, now_ns: int
) -> None:
    """Let a run belong to an evaluation; its Evaluators judge what they have not judged yet."""
    connection = session.connection()
    placed = connection.execute(
        dialect.insert(connection, PLACE)
        .values(
            evaluation_id=evaluation_id,
            run_id=run_id,
            workspace_id=workspace_id,
            is_control=False,
            added_ns=now_ns,
        )
        .on_conflict_do_nothing()
    )
    if placed.rowcount:
        if evaluators_of_run(session, run_id):
            reopen_run(session, run_id, now_ns)
        _touch(session, evaluation_id, now_ns)


def displace_run(session: Session, evaluation_id: str, run_id: str, now_ns: int) -> None:
    """Let a run no longer belong to an evaluation; the run and its Logs stay.

    Raises: NotFound.
    """
    gone = session.connection().execute(
        delete(PLACE).where(PLACE.c.evaluation_id == evaluation_id, PLACE.c.run_id == run_id)
    )
    if gone.rowcount == 0:
        raise NotFound(f"evaluation {evaluation_id} has no run {run_id!r}")
    _end_unless_placed(session, run_id, now_ns)
    _touch(session, evaluation_id, now_ns)


def choose_control(session: Session, evaluation_id: str, run_id: str, *, is_control: bool) -> None:
    """Compare an evaluation's other runs with this one, or with it no longer."""
    connection = session.connection()
    own = PLACE.c.evaluation_id == evaluation_id
    if is_control:
        connection.execute(update(PLACE).where(own).values(is_control=PLACE.c.run_id == run_id))
        return
    connection.execute(update(PLACE).where(own, PLACE.c.run_id == run_id).values(is_control=False))


def _end_unless_placed(session: Session, run_id: str, now_ns: int) -> None:
    """Generate nothing more for a run that nobody looks at."""
    if not has_evaluation(session, run_id):
        set_run_status(session, run_id, "cancelled", now_ns, only_from=OPEN)


def _touch(session: Session, evaluation_id: str, now_ns: int) -> None:
    session.connection().execute(
        update(EVALUATION).where(EVALUATION.c.id == evaluation_id).values(updated_ns=now_ns)
    )
