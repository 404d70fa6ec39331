"""Tries an evaluator on Logs, for its author: nothing is stored."""

from collections.abc import Sequence
from typing import Any

from kibitz_collector.access.http import Context
from kibitz_collector.errors import Busy, Invalid, NotFound
from kibitz_collector.evaluate.evaluators import EVALUATORS
from kibitz_collector.evaluate.sandbox import Sandbox, SandboxFailure, Verdict
from kibitz_collector.evaluate.seen import see_logs
from kibitz_collector.evaluate.variables import TESTCASE
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.query import parse
from kibitz_collector.records import Json
from kibitz_collector.store import Session
from kibitz_collector.store.queries import logs as log_queries

_TREE_KINDS = ("flow", "agent")


def try_evaluator(
    caller: Context,
    sandbox: Sandbox | None,
    spec: EvaluatorSpec,
    *,
    log: dict[str, Any] | None = None,
    log_ids: Sequence[str] = (),
    filter_text: str | None = None,
    sample: int = 5,
    testcase: Json | None = None,
) -> list[tuple[str | None, Verdict]]:
    """Judge a made-up Log, the Logs named, or the newest that match; one result for each.

    Raises: Invalid: nothing to judge, or this type cannot be run. NotFound: no such Log. BadQuery.
    Busy: the sandbox does not work now, or there is none.
    """
    judge = EVALUATORS.get(spec.evaluator_type)
    if judge is None:
        raise Invalid(f"evaluators of type {spec.evaluator_type} are judged elsewhere")
    if log is not None:
        logs = [log]
    else:
        with caller.store.read() as session:
            ids = log_ids or _newest(session, caller.workspace_id, filter_text, sample)
            logs = _read(session, caller.workspace_id, ids, spec)
    if not logs:
        raise Invalid("there is no Log to try it on: name some, or give another filter")
    if testcase is not None:
        logs = [{**one, TESTCASE: testcase} for one in logs]
    verdicts: list[Verdict] = []
    while len(verdicts) < len(logs):
        # A killed evaluator ends its batch; the next Log gets a fresh start.
        try:
            verdicts += judge(spec, logs[len(verdicts) :], sandbox, caller)
        except SandboxFailure as error:
            raise Busy(f"the sandbox does not work now: {error}", retry_after_s=5) from error
    return [(one.get("id"), verdict) for one, verdict in zip(logs, verdicts, strict=True)]


def _newest(session: Session, workspace_id: int, filter_text: str | None, sample: int) -> list[str]:
    where = parse(filter_text or "")
    page = log_queries.list_logs(session, workspace_id, where=where, limit=sample)
    return [summary.id for summary in page.items]


def _read(
    session: Session, workspace_id: int, log_ids: Sequence[str], spec: EvaluatorSpec
) -> list[Json]:
    details = log_queries.get_logs(session, workspace_id, log_ids)
    for log_id in log_ids:
        if log_id not in details:
            raise NotFound(f"no Log {log_id!r}")
    wanted = {log_id: details[log_id].summary.kind in _TREE_KINDS for log_id in log_ids}
    seen = see_logs(session, workspace_id, wanted, spec).logs
    return [seen[log_id] for log_id in log_ids]
