"""Values many Logs share (system messages, tool definitions, long texts), stored once by hash."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, blob


class Content(Table, table=True):
    """One shared JSON value, compressed. Bodies refer to it by hash."""

    __tablename__ = "content"
    __table_args__: ClassVar[Any] = (Index("uq_content_hash", "workspace_id", "hash", unique=True),)

    id: int | None = big(default=None, primary_key=True)
    workspace_id: int
    hash: bytes = blob()  # BLAKE2b, 16 bytes, of the JSON
    value: bytes = blob()
    last_day: int  # days since 1970 when a Log last referred to it; collected by this
