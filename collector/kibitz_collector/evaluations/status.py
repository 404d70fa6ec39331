"""What people may do with a run's status: cancel it, complete it by hand, open it again."""

from kibitz_collector.errors import Conflict
from kibitz_collector.store import Session
from kibitz_collector.store.queries.evaluations import (
    OPEN,
    RunStatus,
    RunView,
    evaluators_of_run,
)
from kibitz_collector.store.writes.evaluations_runs import reopen_run, set_run_status


def change_status(session: Session, run: RunView, wanted: RunStatus, now_ns: int) -> None:
    """Give a run another status.

    Raises: Conflict: a run of this status, or of these Evaluators, cannot have it.
    """
    if wanted == run.status:
        return
    match wanted:
        case "cancelled" if run.is_open:
            set_run_status(session, run.id, "cancelled", now_ns, only_from=OPEN)
        case "completed" if run.is_open:
            _insist_on_outside(session, run, "it is completed when all is judged")
            set_run_status(session, run.id, "completed", now_ns, only_from=OPEN)
        case "running" if run.status == "completed":
            _insist_on_outside(session, run, "it cannot be opened again")
            reopen_run(session, run.id, now_ns)
        case "running" if run.status == "pending":
            set_run_status(session, run.id, "running", now_ns, only_from=("pending",))
        case _:
            raise Conflict(f"run {run.id} is {run.status} and cannot become {wanted}")


def _insist_on_outside(session: Session, run: RunView, else_: str) -> None:
    """Raises: Conflict: all of the run's Logs and judgments are made here."""
    judges = evaluators_of_run(session, run.id)
    if run.orchestrated and judges and all(judge.orchestrated for judge in judges):
        raise Conflict(
            f"run {run.id} waits for nobody outside (its Logs and judgments are made here): {else_}"
        )
