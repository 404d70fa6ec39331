"""Records that could not be stored, kept to be looked at and tried again; producers' accounts."""

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field

from kibitz_collector.store.tables.base import Table, big, blob, string


class Quarantined(Table, table=True):
    """One record that was refused. The same payload is kept once."""

    __tablename__ = "quarantine"
    __table_args__: ClassVar[Any] = (
        Index("uq_quarantine_digest", "workspace_id", "digest", unique=True),
        Index("ix_quarantine_received", "workspace_id", "received_ns"),
    )

    id: int | None = big(default=None, primary_key=True)
    workspace_id: int
    digest: bytes = blob()  # BLAKE2b, 16 bytes, of signal and payload
    signal: str = string()  # span, log, record (a LogRecord the store itself could not take)
    reason: str = string()
    payload: bytes = blob()
    received_ns: int = big()
    count: int = big(default=1)  # how often it came
    replayed_ns: int | None = big(default=None)  # when it was taken after all


class Producer(Table, table=True):
    """What one process says it produced, beside what is stored; the gap is the loss."""

    __tablename__ = "producer"

    workspace_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    install: str = string(primary_key=True)
    process: str = string(primary_key=True)
    host: str | None = string(default=None)
    service: str | None = string(default=None)
    started_ns: int | None = big(default=None)
    last_sequence: int = big(default=0)  # highest the process says it has produced
    stored_high_water: int = big(default=0)  # highest that was stored
    stored_count: int = big(default=0)
    dropped: int = big(default=0)
    rejected: int = big(default=0)
    updated_ns: int = big()
