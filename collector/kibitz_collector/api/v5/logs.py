"""`/v5/logs`: Logs of one File listed and filtered, one Log whole, Logs deleted."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from kibitz_collector.api.v5.contract import ContractRoute, Owner, Sender, to_ns
from kibitz_collector.api.v5.log_answers import answer_many, answer_one
from kibitz_collector.api.v5.models.logs import LogResponse, PaginatedDataLogResponse
from kibitz_collector.api.v5.models.shared import MAX_PAGE
from kibitz_collector.api.v5.posted_logs import take_back
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries.log_pages import WantedLogs, page_logs
from kibitz_collector.store.search import catch_up

router = APIRouter(prefix="/v5", tags=["logs"], route_class=ContractRoute)
MAX_SIZE = 1000
Words = Annotated[str, StringConstraints(max_length=1000)]


@router.get("/logs", operation_id="logs.list")
def list_logs(
    caller: Owner,
    file_id: str,
    page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1,
    size: Annotated[int, Query(ge=0)] = 10,
    version_id: str | None = None,
    id: Annotated[list[Words], Query(description="parts of ids; any of them")] = [],  # noqa: B006
    search: Annotated[Words, Query(description="words of inputs, messages, outputs")] = "",
    metadata_search: Annotated[Words, Query(description="part of a metadata key or value")] = "",
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    include_parent: Annotated[bool, Query(description="of judgments: what they judge")] = False,
    in_trace_filter: Annotated[list[bool], Query()] = [],  # noqa: B006
    sample: Annotated[int | None, Query(ge=0, description="about so many, at random")] = None,
    include_trace_children: bool | None = None,
) -> PaginatedDataLogResponse:
    """List a File's Logs, the newest first."""
    size = min(size, MAX_SIZE)
    wanted = WantedLogs(
        file_id=file_id,
        version_id=version_id,
        id_parts=tuple(part for part in id if part),
        search=search or None,
        metadata_search=metadata_search or None,
        start_ns=to_ns(start_date),
        end_ns=to_ns(end_date),
        in_trace=in_trace_filter[0] if len(set(in_trace_filter)) == 1 else None,
        sample=sample,
    )
    if wanted.search is not None:
        catch_up(caller.store)
    with caller.store.read() as session:
        file_queries.get_file(session, caller.workspace_id, file_id)
        details, total = page_logs(session, caller.workspace_id, wanted, page=page, size=size)
    records = answer_many(
        caller,
        details,
        with_children=bool(include_trace_children),
        with_parents=include_parent,
    )
    return PaginatedDataLogResponse(records=records, page=page, size=size, total=total)


@router.get("/logs/{id:path}", operation_id="logs.get")
def get_log(caller: Owner, id: str) -> LogResponse:
    """Return one Log, its judgments, and the Logs below it."""
    return answer_one(caller, id)


@router.delete("/logs", status_code=204, operation_id="logs.delete")
def delete_logs(
    caller: Sender,
    id: Annotated[list[str], Query(description="of Logs; unknown ones are left alone")] = [],  # noqa: B006
) -> None:
    """Delete Logs with their judgments; what is below them stays."""
    take_back(caller, id)
