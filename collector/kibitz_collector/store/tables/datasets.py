"""Datapoints of Datasets, and which of them a Dataset's Version has."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, string


class Datapoint(Table, table=True):
    """One test case of one Dataset; equal ones are one row, whatever Versions have it."""

    __tablename__ = "datapoint"
    __table_args__: ClassVar[Any] = (Index("ix_datapoint_file", "file_id"),)

    id: str = string(primary_key=True)  # from the Dataset and the content
    workspace_id: int
    file_id: str = string()
    content: str = string()  # JSON: inputs, messages, target
    created_ns: int = big()


class VersionDatapoint(Table, table=True):
    """A Datapoint's place in a Version."""

    __tablename__ = "version_datapoint"

    version_id: str = string(primary_key=True)
    position: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    datapoint_id: str = string()
