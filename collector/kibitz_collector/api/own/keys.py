"""`/api/keys`: make, list and revoke API keys."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.access.keys import Role, make_key
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.store.queries import keys as key_queries
from kibitz_collector.store.writes import keys as key_writes

router = APIRouter(prefix="/api/keys", tags=["keys"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]


class KeyIn(BaseModel):
    """A key to make."""

    name: str = Field(min_length=1, max_length=200, description="who or what will use it")
    role: Role = Field("ingest", description="ingest: may only send; full: everything")


class KeyOut(BaseModel):
    """A key without its text."""

    id: str
    name: str
    role: Role
    hint: str
    created_ns: int
    revoked_ns: int | None


class NewKeyOut(BaseModel):
    """A key just made: the only answer that holds its text."""

    id: str
    key: str


@router.get("")
def list_keys(caller: Caller) -> list[KeyOut]:
    """List the keys of this workspace."""
    with caller.store.read() as session:
        keys = key_queries.list_keys(session, caller.workspace_id)
    return [KeyOut.model_validate(key, from_attributes=True) for key in keys]


@router.post("", status_code=201)
def create_key(key: KeyIn, caller: Caller) -> NewKeyOut:
    """Make a key; its text is shown this once."""
    new = make_key()
    with caller.store.write() as session:
        key_id = key_writes.create_key(
            session,
            caller.workspace_id,
            name=key.name,
            role=key.role,
            key_hash=new.hash,
            hint=new.hint,
        )
    return NewKeyOut(id=key_id, key=new.text)


@router.delete("/{key_id}", status_code=204)
def revoke_key(key_id: str, caller: Caller) -> None:
    """Make a key useless."""
    with caller.store.write() as session:
        key_writes.revoke_key(session, caller.workspace_id, key_id)
