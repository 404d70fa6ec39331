"""Reads Logs as an evaluator sees them: alone or with their trace, and with what its type needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kibitz_collector.evaluate.logs import add_version, evaluator_log, evaluator_tree
from kibitz_collector.evaluate.variables import TESTCASE
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.records import Json, LogDetail
from kibitz_collector.store import Session
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries.evaluations_gaps import targets_of


@dataclass(slots=True)
class SeenLogs:
    """Logs by id, in the order asked for; Logs that are gone are in neither."""

    logs: dict[str, Json] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)  # there was no room for their traces


def see_logs(
    session: Session,
    workspace_id: int,
    wanted: Mapping[str, bool],
    spec: EvaluatorSpec,
    *,
    max_logs: int | None = None,
) -> SeenLogs:
    """Return what an evaluator will see of Logs; `wanted` says for each: with its trace.

    No further trace is read after `max_logs` Logs.
    """
    details = log_queries.get_logs(session, workspace_id, list(wanted))
    seen, size = SeenLogs(), 0
    for log_id, with_trace in wanted.items():
        detail = details.get(log_id)
        if detail is None:
            continue
        if max_logs is not None and size > max_logs:
            seen.left_out.add(log_id)
            continue
        tree = None
        if with_trace and detail.summary.trace_id is not None:
            trace = log_queries.get_trace_details(session, workspace_id, detail.summary.trace_id)
            tree = evaluator_tree(log_id, trace)
            size += len(trace)
        seen.logs[log_id] = tree or evaluator_log(detail)
    if spec.evaluator_type == "llm":
        _add_versions(session, workspace_id, seen.logs, details)
    if spec.evaluator_type == "llm" or spec.arguments_type == "target_required":
        _add_testcases(session, workspace_id, seen.logs)
    return seen


def _add_versions(
    session: Session, workspace_id: int, logs: dict[str, Json], details: Mapping[str, LogDetail]
) -> None:
    ids = {log_id: details[log_id].summary.version_id for log_id in logs}
    known = file_queries.get_versions(session, workspace_id, {v for v in ids.values() if v})
    for log_id, log in logs.items():
        version = known.get(ids[log_id] or "")
        if version is not None:
            add_version(log, version.content)


def _add_testcases(session: Session, workspace_id: int, logs: dict[str, Json]) -> None:
    """Give Logs made from a datapoint that datapoint along."""
    for log_id, datapoint in targets_of(session, workspace_id, list(logs)).items():
        logs[log_id][TESTCASE] = datapoint
