"""`/v5/evaluations/{id}/runs`, `…/logs` and `…/stats`: what is compared, and how it came out."""

import time
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import ContractRoute, Owner, to_time
from kibitz_collector.api.v5.evaluations import (
    MAX_SIZE,
    PageNumber,
    PageSize,
    page_url,
    run_ids,
    to_reference,
)
from kibitz_collector.api.v5.file_answers import answer_datapoint, answer_files
from kibitz_collector.api.v5.log_answers import answer_many
from kibitz_collector.api.v5.models.evaluations import (
    EvaluationLogResponse,
    EvaluationRunResponse,
    EvaluationRunsResponse,
    EvaluationStats,
    LogsRequest,
    PaginatedDataEvaluationLogResponse,
    RunRequest,
    RunUpdate,
    RunVersion,
)
from kibitz_collector.api.v5.models.files import DatasetResponse
from kibitz_collector.api.v5.run_stats import answer_stats
from kibitz_collector.errors import NotFound
from kibitz_collector.evaluations.board import read_board
from kibitz_collector.evaluations.choosing import (
    choose_dataset,
    choose_evaluated,
    is_orchestrated,
)
from kibitz_collector.evaluations.status import change_status
from kibitz_collector.evaluations.tending import catch_up
from kibitz_collector.store import Session
from kibitz_collector.store.queries import evaluations as queries
from kibitz_collector.store.queries.evaluations import PlacedRun
from kibitz_collector.store.queries.evaluations_gaps import stored_logs
from kibitz_collector.store.queries.evaluations_logs import page_entries
from kibitz_collector.store.writes import evaluations as writes
from kibitz_collector.store.writes import evaluations_runs as run_writes

router = APIRouter(prefix="/v5/evaluations", tags=["evaluations"], route_class=ContractRoute)


@router.get("/{id}/runs", operation_id="evaluations.list_runs_for_evaluation")
def list_runs(caller: Owner, id: str) -> EvaluationRunsResponse:
    """List an evaluation's runs, the newest first."""
    _see(caller, id)
    with caller.store.read() as session:
        return EvaluationRunsResponse(
            runs=_answers(session, caller, queries.list_runs(session, id))
        )


@router.post("/{id}/runs", operation_id="evaluations.create_run")
def create_run(caller: Owner, id: str, body: RunRequest | None = None) -> EvaluationRunResponse:
    """Evaluate a Version: its Logs are generated here, come with `run_id`, or are there already."""
    body = body or RunRequest()  # the Python SDK sends none when nothing is said
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        dataset = version = None
        if body.dataset is not None:
            dataset = choose_dataset(session, caller.workspace_id, to_reference(body.dataset))
        if body.version is not None:
            version = choose_evaluated(session, caller.workspace_id, to_reference(body.version))
        now_ns = time.time_ns()
        run_id = run_writes.create_run(
            session,
            caller.workspace_id,
            version=None if version is None else version.ids,
            dataset=None if dataset is None else dataset.ids,
            orchestrated=is_orchestrated(body, version, dataset),
            use_existing_logs=bool(body.use_existing_logs),
            made_by=caller.key_id,
            now_ns=now_ns,
        )
        writes.place_run(session, caller.workspace_id, id, run_id, now_ns)
    return _changed(caller, id, run_id)


@router.post("/{id}/runs/{run_id}", operation_id="evaluations.add_existing_run")
def add_existing_run(caller: Owner, id: str, run_id: str) -> EvaluationRunResponse:
    """Let a run of another evaluation belong to this one too."""
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        queries.get_run(session, caller.workspace_id, run_id)
        writes.place_run(session, caller.workspace_id, id, run_id, time.time_ns())
    return _changed(caller, id, run_id)


@router.delete("/{id}/runs/{run_id}", status_code=204, operation_id="evaluations.remove_run")
def remove_run(caller: Owner, id: str, run_id: str) -> None:
    """Take a run out of an evaluation; the run and its Logs stay."""
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        writes.displace_run(session, id, run_id, time.time_ns())


@router.patch("/{id}/runs/{run_id}", operation_id="evaluations.update_evaluation_run")
def update_run(
    caller: Owner, id: str, run_id: str, body: RunUpdate | None = None
) -> EvaluationRunResponse:
    """Make a run the control run, cancel it, complete it by hand, or open it again."""
    body = body or RunUpdate()
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        placed = queries.get_placed_run(session, id, run_id)
        if body.control is not None:
            writes.choose_control(session, id, run_id, is_control=body.control)
        if body.status is not None:
            change_status(session, placed.run, body.status, time.time_ns())
    return _changed(caller, id, run_id)


@router.post("/{id}/runs/{run_id}/logs", operation_id="evaluations.add_logs_to_run")
def add_logs(caller: Owner, id: str, run_id: str, body: LogsRequest) -> EvaluationRunResponse:
    """Add stored Logs to a run; its Evaluators judge them."""
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        run = queries.get_placed_run(session, id, run_id).run
        logs = stored_logs(session, caller.workspace_id, body.log_ids)
        missing = [log_id for log_id in body.log_ids if log_id not in logs]
        if missing:
            raise NotFound(f"no Log {missing[0]!r}; nothing was added")
        now_ns = time.time_ns()
        run_writes.add_run_logs(session, run, logs, "added", now_ns)
        if logs:
            run_writes.reopen_run(session, run_id, now_ns)
    return _changed(caller, id, run_id)


@router.get("/{id}/stats", operation_id="evaluations.get_stats")
def get_stats(caller: Owner, request: Request, id: str) -> EvaluationStats:
    """Add up how the Evaluators judged each run, the newest first."""
    _see(caller, id)
    with caller.store.read() as session:
        evaluation = queries.get_evaluation(session, caller.workspace_id, id)
        board = read_board(session, caller.workspace_id, evaluation)
    # The Node SDK crashes on a progress text when its output is no terminal.
    is_node = request.headers.get("x-fern-language", "").lower() in ("javascript", "typescript")
    return answer_stats(board, page_url(caller, request, id), with_progress=not is_node)


@router.get("/{id}/logs", operation_id="evaluations.get_logs")
def get_logs(
    caller: Owner,
    id: str,
    page: PageNumber = 1,
    size: PageSize = 10,
    run_id: Annotated[list[str], Query(description="of some runs only")] = [],  # noqa: B006
) -> PaginatedDataEvaluationLogResponse:
    """List the Logs of an evaluation's runs with their judgments, those of the newest run first."""
    size = min(size, MAX_SIZE)
    _see(caller, id)
    wanted = [one for one in run_ids(caller, id) if not run_id or one in run_id]
    with caller.store.read() as session:
        entries, total = page_entries(session, caller.workspace_id, wanted, page=page, size=size)
        evaluation = queries.get_evaluation(session, caller.workspace_id, id)
    answers = {log.id: log for log in answer_many(caller, [one.detail for one in entries])}
    used = {one.evaluator_id for one in evaluation.evaluators}
    records = [
        EvaluationLogResponse.model_construct(
            run_id=one.run_id,
            datapoint=one.datapoint and answer_datapoint(one.datapoint),
            log=answers[one.detail.summary.id],
            evaluator_logs=[
                log
                for log in cast(Any, answers[one.detail.summary.id].evaluator_logs)
                if log.evaluator.id in used
            ],
        )
        for one in entries
        if one.detail.summary.id in answers
    ]
    return PaginatedDataEvaluationLogResponse.model_construct(
        records=records, page=page, size=size, total=total
    )


def _see(caller: Context, evaluation_id: str) -> None:
    """Bring an evaluation's open runs up to date.

    Raises: NotFound.
    """
    with caller.store.read() as session:
        queries.get_evaluation(session, caller.workspace_id, evaluation_id)
    catch_up(caller.store, run_ids(caller, evaluation_id))


def _changed(caller: Context, evaluation_id: str, run_id: str) -> EvaluationRunResponse:
    """Let what follows from a change happen, and return the run."""
    catch_up(caller.store, [run_id])
    caller.store.announce("runs")
    with caller.store.read() as session:
        placed = queries.get_placed_run(session, evaluation_id, run_id)
        return _answers(session, caller, [placed])[0]


def _answers(
    session: Session, caller: Context, found: list[PlacedRun]
) -> list[EvaluationRunResponse]:
    pairs = {
        pair
        for one in found
        for pair in (
            (one.run.file_id, one.run.version_id),
            (one.run.dataset_id, one.run.dataset_version_id),
        )
    }
    wanted = sorted((f, v) for f, v in pairs if f is not None and v is not None)
    files = {file.version_id: file for file in answer_files(session, caller.workspace_id, wanted)}
    return [
        EvaluationRunResponse(
            id=one.run.id,
            dataset=cast(DatasetResponse | None, files.get(one.run.dataset_version_id or "")),
            version=cast(RunVersion | None, files.get(one.run.version_id or "")),
            orchestrated=one.run.orchestrated,
            added_at=to_time(one.added_ns),
            created_at=to_time(one.run.created_ns),
            status=one.run.status,
            control=one.is_control,
        )
        for one in found
    ]
