"""`/v5/evaluations`: evaluations and their Evaluators."""

import time
from collections.abc import Sequence
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import ContractRoute, Owner, to_time
from kibitz_collector.api.v5.file_answers import answer_files
from kibitz_collector.api.v5.models.evaluations import (
    EvaluationEvaluatorResponse,
    EvaluationRequest,
    EvaluationResponse,
    EvaluatorReference,
    EvaluatorsRequest,
    FileId,
    PaginatedEvaluationResponse,
    VersionId,
)
from kibitz_collector.api.v5.models.evaluations import Reference as GivenReference
from kibitz_collector.api.v5.models.files import EvaluatorResponse
from kibitz_collector.api.v5.models.shared import MAX_PAGE
from kibitz_collector.evaluations.choosing import Reference, choose_evaluator, choose_file
from kibitz_collector.evaluations.tending import catch_up
from kibitz_collector.store import Session
from kibitz_collector.store.queries import evaluations as queries
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries.evaluations import EvaluationView
from kibitz_collector.store.writes import evaluations as writes
from kibitz_collector.store.writes.evaluations import ChosenEvaluator

router = APIRouter(prefix="/v5/evaluations", tags=["evaluations"], route_class=ContractRoute)
MAX_SIZE = 1000
PageNumber = Annotated[int, Query(ge=1, le=MAX_PAGE)]
PageSize = Annotated[int, Query(ge=0)]


@router.get("", operation_id="evaluations.list")
def list_evaluations(
    caller: Owner, request: Request, file_id: str, page: PageNumber = 1, size: PageSize = 10
) -> PaginatedEvaluationResponse:
    """List a File's evaluations, the newest first."""
    size = min(size, MAX_SIZE)
    with caller.store.read() as session:
        file_queries.get_file(session, caller.workspace_id, file_id)
        found, total = queries.page_evaluations(
            session, caller.workspace_id, file_id, page=page, size=size
        )
        records = _answers(session, caller, request, found)
    return PaginatedEvaluationResponse(records=records, page=page, size=size, total=total)


@router.post("", status_code=201, operation_id="evaluations.create")
def create_evaluation(
    caller: Owner, request: Request, body: EvaluationRequest
) -> EvaluationResponse:
    """Make an evaluation; its name must be new among those of the File."""
    with caller.store.write() as session:
        file_id = None
        if body.file is not None:
            file_id = choose_file(
                session, caller.workspace_id, file_id=body.file.id, path=body.file.path
            ).id
        evaluation_id = writes.create_evaluation(
            session,
            caller.workspace_id,
            file_id=file_id,
            name=body.name,
            evaluators=_choose(session, caller, body.evaluators),
            made_by=caller.key_id,
            now_ns=time.time_ns(),
        )
        return answer_evaluation(session, caller, request, evaluation_id)


@router.get("/{id}", operation_id="evaluations.get")
def get_evaluation(caller: Owner, request: Request, id: str) -> EvaluationResponse:
    """Return one evaluation."""
    with caller.store.read() as session:
        return answer_evaluation(session, caller, request, id)


@router.delete("/{id}", status_code=204, operation_id="evaluations.delete")
def delete_evaluation(caller: Owner, id: str) -> None:
    """Delete an evaluation; its runs, their Logs and the Evaluators stay."""
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        writes.delete_evaluation(session, id, time.time_ns())


@router.post("/{id}/evaluators", operation_id="evaluations.add_evaluators")
def add_evaluators(
    caller: Owner, request: Request, id: str, body: EvaluatorsRequest
) -> EvaluationResponse:
    """Add Evaluators; they judge the Logs that are there too, none is generated again."""
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        chosen = _choose(session, caller, body.evaluators)
        writes.use_evaluators(session, caller.workspace_id, id, chosen, time.time_ns())
    catch_up(caller.store, run_ids(caller, id))
    caller.store.announce("runs")
    with caller.store.read() as session:
        return answer_evaluation(session, caller, request, id)


@router.delete(
    "/{id}/evaluators/{evaluator_version_id}", operation_id="evaluations.remove_evaluator"
)
def remove_evaluator(
    caller: Owner, request: Request, id: str, evaluator_version_id: str
) -> EvaluationResponse:
    """Take an Evaluator away; what it has judged stays."""
    with caller.store.write() as session:
        queries.get_evaluation(session, caller.workspace_id, id)
        writes.drop_evaluator(session, id, evaluator_version_id, time.time_ns())
    catch_up(caller.store, run_ids(caller, id))
    with caller.store.read() as session:
        return answer_evaluation(session, caller, request, id)


def answer_evaluation(
    session: Session, caller: Context, request: Request, evaluation_id: str
) -> EvaluationResponse:
    """Return the answer for one evaluation.

    Raises: NotFound.
    """
    found = queries.get_evaluation(session, caller.workspace_id, evaluation_id)
    return _answers(session, caller, request, [found])[0]


def page_url(caller: Context, request: Request, evaluation_id: str) -> str:
    """Return where people see an evaluation."""
    base = caller.settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/evaluations/{evaluation_id}"


def run_ids(caller: Context, evaluation_id: str) -> list[str]:
    """Return the ids of an evaluation's runs."""
    with caller.store.read() as session:
        return [placed.run.id for placed in queries.list_runs(session, evaluation_id)]


def to_reference(given: GivenReference) -> Reference:
    """Return which Version a request means."""
    match given:
        case VersionId():
            return Reference(version_id=given.version_id)
        case FileId():
            return Reference(file_id=given.id, environment=given.environment)
        case _:
            return Reference(path=given.path, environment=given.environment)


def _choose(
    session: Session, caller: Context, given: Sequence[EvaluatorReference]
) -> list[ChosenEvaluator]:
    return [
        choose_evaluator(session, caller.workspace_id, to_reference(one), one.orchestrated)
        for one in given
    ]


def _answers(
    session: Session, caller: Context, request: Request, found: Sequence[EvaluationView]
) -> list[EvaluationResponse]:
    used = sorted({(e.evaluator_id, e.version_id) for one in found for e in one.evaluators})
    files = {
        file.version_id: cast(EvaluatorResponse, file)
        for file in answer_files(session, caller.workspace_id, used)
    }
    return [
        EvaluationResponse(
            id=one.id,
            runs_count=one.run_count,
            evaluators=[
                EvaluationEvaluatorResponse(
                    version=files[e.version_id],
                    orchestrated=e.orchestrated,
                    added_at=to_time(e.added_ns),
                )
                for e in one.evaluators
                if e.version_id in files
            ],
            name=one.name,
            file_id=one.file_id,
            created_at=to_time(one.created_ns),
            updated_at=to_time(one.updated_ns),
            url=page_url(caller, request, one.id),
        )
        for one in found
    ]
