"""Secrets of a workspace, sealed: keys of model providers, environment variables of Tools."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, string


class Secret(Table, table=True):
    """One sealed text; the store cannot read it."""

    __tablename__ = "secret"
    __table_args__: ClassVar[Any] = (
        Index("uq_secret_name", "workspace_id", "holder", "name", unique=True),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    holder: str = string()  # "provider", or the id of a Tool
    name: str = string()
    sealed: str = string()
    created_ns: int = big()
    updated_ns: int = big()
