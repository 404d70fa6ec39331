"""`/api/channels`: where firings are told."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.alert import editing
from kibitz_collector.alert.channels import KINDS
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.store.alerts import Channel
from kibitz_collector.store.queries import alerts as alert_queries
from kibitz_collector.store.writes import deliveries as delivery_writes

router = APIRouter(prefix="/api/channels", tags=["alerts"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]
Row = dict[str, Any]


class ChannelIn(BaseModel):
    """A channel to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    kind: str = Field(examples=list(KINDS))
    config: Row = Field(examples=[kind.example for kind in KINDS.values()])


class ChannelChange(BaseModel):
    """A channel's new name, and new configuration if it shall change."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    config: Row | None = None


class Listing(BaseModel):
    """All channels."""

    items: list[Row]


class TestOut(BaseModel):
    """How a test message fared."""

    is_delivered: bool
    reason: str | None = Field(description="why not")


@router.get("")
def list_channels(caller: Caller) -> Listing:
    """List the channels, without their secrets, each with the last message's fate."""
    with caller.store.read() as session:
        rows = []
        for channel in alert_queries.list_channels(session, caller.workspace_id):
            last = alert_queries.last_delivery(session, channel.id)
            fate = None if last is None else {
                "state": last.state, "last_error": last.last_error, "created_ns": last.created_ns,
            }  # fmt: skip
            rows.append(channel_row(channel) | {"last_delivery": fate})
    return Listing(items=rows)


@router.get("/kinds")
def list_kinds(caller: Caller) -> Listing:
    """List the kinds of channel there are, each with an example configuration."""
    return Listing(
        items=[
            {"kind": kind.name, "description": kind.description, "example": kind.example}
            for kind in KINDS.values()
        ]
    )


@router.post("", status_code=201)
def create_channel(channel: ChannelIn, caller: Caller) -> Row:
    """Make a channel; a webhook's signing secret is shown in this answer only."""
    made, whole = editing.create_channel(
        caller.store,
        caller.settings,
        caller.workspace_id,
        channel.name,
        channel.kind,
        channel.config,
    )
    return channel_row(made) | ({"secret": whole["secret"]} if "secret" in whole else {})


@router.get("/{channel_id}")
def get_channel(channel_id: str, caller: Caller) -> Row:
    """Return one channel, without its secrets."""
    with caller.store.read() as session:
        return channel_row(alert_queries.get_channel(session, caller.workspace_id, channel_id))


@router.put("/{channel_id}")
def update_channel(channel_id: str, change: ChannelChange, caller: Caller) -> Row:
    """Rename a channel, or replace its configuration."""
    return channel_row(
        editing.update_channel(
            caller.store,
            caller.settings,
            caller.workspace_id,
            channel_id,
            change.name,
            change.config,
        )
    )


@router.delete("/{channel_id}", status_code=204)
def delete_channel(channel_id: str, caller: Caller) -> None:
    """Remove a channel no rule tells any more."""
    with caller.store.write() as session:
        delivery_writes.delete_channel(session, caller.workspace_id, channel_id)


@router.post("/{channel_id}/test")
def test_channel(channel_id: str, caller: Caller) -> TestOut:
    """Send a test message now, once."""
    problem = editing.try_channel(caller.store, caller.settings, caller.workspace_id, channel_id)
    return TestOut(is_delivered=problem is None, reason=problem.reason if problem else None)


def channel_row(channel: Channel) -> Row:
    """Shape a channel for JSON."""
    row = asdict(channel)
    del row["secrets"]
    return row
