"""`/api/quarantine`: what could not be taken, why, and once more."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.receive.replay import replay
from kibitz_collector.store.writes import quarantine

router = APIRouter(prefix="/api/quarantine", tags=["quarantine"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]
_SHOWN_BYTES = 2000


class Kept(BaseModel):
    """One record in quarantine."""

    id: int
    signal: str = Field(description="span, log, or record: a Log the store could not take")
    reason: str
    payload: str = Field(description="the beginning of what came, as text")
    payload_bytes: int
    received_ns: int
    count: int = Field(description="how often it came")
    replayed_ns: int | None


class Replayed(BaseModel):
    """What became of a record that was tried again."""

    id: int
    taken: bool
    reason: str | None = Field(description="why it is still refused")


@router.get("")
def list_quarantined(
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    include_replayed: bool = False,
) -> list[Kept]:
    """List what is in quarantine, newest first."""
    with caller.store.read() as session:
        found = quarantine.list_quarantined(
            session, caller.workspace_id, limit=limit, include_replayed=include_replayed
        )
    return [
        Kept(
            id=kept.id,
            signal=kept.signal,
            reason=kept.reason,
            payload=kept.payload[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"),
            payload_bytes=len(kept.payload),
            received_ns=kept.received_ns,
            count=kept.count,
            replayed_ns=kept.replayed_ns,
        )
        for kept in found
    ]


@router.post("/{quarantined_id}/replay")
def replay_quarantined(quarantined_id: int, caller: Caller) -> Replayed:
    """Try to take a record after all, with what this version of kibitz understands."""
    refusal = replay(caller, quarantined_id)
    return Replayed(id=quarantined_id, taken=refusal is None, reason=refusal)
