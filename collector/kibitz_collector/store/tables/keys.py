"""API keys, as hashes only."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, string


class Key(Table, table=True):
    """One API key."""

    __tablename__ = "key"
    __table_args__: ClassVar[Any] = (Index("uq_key_hash", "hash", unique=True),)

    id: str = string(primary_key=True)
    workspace_id: int
    name: str = string()
    role: str = string()  # ingest, full
    hash: str = string()
    hint: str = string()  # first and last characters, to recognise it by
    created_ns: int = big()
    revoked_ns: int | None = big(default=None)
