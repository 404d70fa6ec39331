"""`/api/producers`: what each sending process produced, what is stored of it, and the gaps."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.store.queries import producers

router = APIRouter(prefix="/api/producers", tags=["producers"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]


class Gap(BaseModel):
    """Numbers of records between which some have not arrived."""

    first: int
    last: int
    missing: int


class Producer(BaseModel):
    """One sending process."""

    process: str
    host: str | None
    service: str | None
    produced: int = Field(description="records it has numbered, as far as is known here")
    stored: int
    rejected: int = Field(description="refused; they are in quarantine")
    missing: int = Field(description="produced, but neither stored nor refused (yet)")
    gaps: list[Gap]
    first_heard_ns: int
    updated_ns: int


@router.get("")
def list_producers(
    caller: Caller, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> list[Producer]:
    """List the processes that send with our SDK, the latest heard of first."""
    with caller.store.read() as session:
        found = producers.list_producers(session, caller.workspace_id, limit)
    return [Producer.model_validate(asdict(producer)) for producer in found]
