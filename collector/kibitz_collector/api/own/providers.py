"""`/api/providers`: keys and addresses of model providers; what is saved is never shown again."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from kibitz_collector.access import connections
from kibitz_collector.access.connections import SavedProvider
from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.providers import PROVIDERS

router = APIRouter(prefix="/api/providers", tags=["providers"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]


class ProviderIn(BaseModel):
    """A provider to save."""

    model_config = ConfigDict(extra="forbid")

    api_key: str | None = Field(None, max_length=10_000)
    base_url: str | None = Field(None, max_length=2_000, examples=["http://127.0.0.1:8000/v1"])


class ProviderOut(BaseModel):
    """A saved provider."""

    name: str
    base_url: str | None
    key_hint: str | None


class Listing(BaseModel):
    """All saved providers."""

    items: list[ProviderOut]
    known: list[str] = Field(description="need no base_url; any other name is OpenAI-compatible")


@router.get("")
def list_providers(caller: Caller) -> Listing:
    """List the saved providers, without their keys."""
    items = [_show(saved) for saved in connections.list_providers(caller)]
    return Listing(items=items, known=sorted(PROVIDERS))


@router.put("/{name}")
def save_provider(caller: Caller, name: str, body: ProviderIn) -> ProviderOut:
    """Save a key, an address, or both; replaces what was saved under this name."""
    saved = connections.save_provider(caller, name, api_key=body.api_key, base_url=body.base_url)
    return _show(saved)


@router.delete("/{name}", status_code=204)
def forget_provider(caller: Caller, name: str) -> None:
    """Delete what was saved."""
    connections.forget_provider(caller, name)


def _show(saved: SavedProvider) -> ProviderOut:
    return ProviderOut(name=saved.name, base_url=saved.base_url, key_hint=saved.key_hint)
