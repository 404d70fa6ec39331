"""`/api/environments`: where Versions can be deployed; the v5 contract can only list them."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.store.queries.environments import EnvironmentView, list_environments
from kibitz_collector.store.writes import deployments as writes

router = APIRouter(prefix="/api/environments", tags=["environments"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]


class EnvironmentIn(BaseModel):
    """An environment to make."""

    name: Name


class EnvironmentChange(BaseModel):
    """What can be changed about an environment."""

    name: Name | None = None
    is_default: bool = Field(False, description="true: reads without an environment mean this one")


class EnvironmentOut(BaseModel):
    """One environment."""

    id: str
    name: str
    is_default: bool
    created_ns: int


@router.get("")
def list_all(caller: Caller) -> list[EnvironmentOut]:
    """List all environments, the default one first."""
    with caller.store.read() as session:
        return [_out(one) for one in list_environments(session, caller.workspace_id)]


@router.post("", status_code=201)
def create_environment(environment: EnvironmentIn, caller: Caller) -> EnvironmentOut:
    """Make an environment."""
    with caller.store.write() as session:
        return _out(writes.create_environment(session, caller.workspace_id, environment.name))


@router.patch("/{environment_id}")
def change_environment(
    environment_id: str, change: EnvironmentChange, caller: Caller
) -> EnvironmentOut:
    """Rename an environment, or make it the default one; both take effect at once."""
    with caller.store.write() as session:
        return _out(
            writes.change_environment(
                session,
                caller.workspace_id,
                environment_id,
                name=change.name,
                is_default=change.is_default,
            )
        )


@router.delete("/{environment_id}", status_code=204)
def delete_environment(environment_id: str, caller: Caller) -> None:
    """Delete an environment with its deployments."""
    with caller.store.write() as session:
        writes.delete_environment(session, caller.workspace_id, environment_id)


def _out(environment: EnvironmentView) -> EnvironmentOut:
    return EnvironmentOut(
        id=environment.id,
        name=environment.name,
        is_default=environment.is_default,
        created_ns=environment.created_ns,
    )
