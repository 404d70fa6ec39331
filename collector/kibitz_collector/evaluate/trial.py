"""Tries an evaluator on Logs, for its author: nothing is stored."""

from collections.abc import Sequence
from typing import Any

from kibitz_collector.errors import Busy, Invalid
from kibitz_collector.evaluate.evaluators import EVALUATORS
from kibitz_collector.evaluate.logs import evaluator_log, evaluator_tree
from kibitz_collector.evaluate.sandbox import Sandbox, SandboxFailure, Verdict
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.query import parse
from kibitz_collector.store import Session, Store
from kibitz_collector.store.queries import logs as log_queries

_TREE_KINDS = ("flow", "agent")


def try_evaluator(
    store: Store,
    workspace_id: int,
    sandbox: Sandbox,
    spec: EvaluatorSpec,
    *,
    log: dict[str, Any] | None = None,
    log_ids: Sequence[str] = (),
    filter_text: str | None = None,
    sample: int = 5,
) -> list[tuple[str | None, Verdict]]:
    """Judge a made-up Log, the Logs named, or the newest that match; one result for each.

    Raises: Invalid: nothing to judge, or this type cannot be run. NotFound: no such Log. BadQuery.
    Busy: the sandbox does not work now.
    """
    judge = EVALUATORS.get(spec.evaluator_type)
    if judge is None:
        raise Invalid(f"evaluators of type {spec.evaluator_type} are judged elsewhere")
    if log is not None:
        logs = [log]
    else:
        with store.read() as session:
            ids = log_ids or _newest(session, workspace_id, filter_text, sample)
            logs = [_read(session, workspace_id, log_id) for log_id in ids]
    if not logs:
        raise Invalid("there is no Log to try it on: name some, or give another filter")
    verdicts: list[Verdict] = []
    while len(verdicts) < len(logs):
        # A killed evaluator ends its batch; the next Log gets a fresh start.
        try:
            verdicts += judge(spec, logs[len(verdicts) :], sandbox)
        except SandboxFailure as error:
            raise Busy(f"the sandbox does not work now: {error}", retry_after_s=5) from error
    return [(one.get("id"), verdict) for one, verdict in zip(logs, verdicts, strict=True)]


def _newest(session: Session, workspace_id: int, filter_text: str | None, sample: int) -> list[str]:
    where = parse(filter_text or "")
    page = log_queries.list_logs(session, workspace_id, where=where, limit=sample)
    return [summary.id for summary in page.items]


def _read(session: Session, workspace_id: int, log_id: str) -> dict[str, Any]:
    detail = log_queries.get_log(session, workspace_id, log_id)
    trace_id = detail.summary.trace_id
    if detail.summary.kind in _TREE_KINDS and trace_id is not None:
        trace = log_queries.get_trace_details(session, workspace_id, trace_id)
        tree = evaluator_tree(log_id, trace)
        if tree is not None:
            return tree
    return evaluator_log(detail)
