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
    """What one process says it produced, beside what has arrived of it; the gap is the loss."""

    __tablename__ = "producer"
    __table_args__: ClassVar[Any] = (Index("ix_producer_updated", "workspace_id", "updated_ns"),)

    workspace_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    process: str = string(primary_key=True)
    host: str | None = string(default=None)
    service: str | None = string(default=None)
    produced: int = big(default=0)  # the highest number we know it to have given a record
    arrived: int = big(default=0)  # records committed, those refused included
    rejected: int = big(default=0)  # of these, refused and put into quarantine
    pieces: str = string(default="[]")  # JSON: [[first, last, count], …], see writes/producers.py
    first_heard_ns: int = big()
    updated_ns: int = big()
