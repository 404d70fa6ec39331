"""Files in directories, their Versions, environments, and which Version is deployed where."""

from typing import Any, ClassVar

from sqlalchemy import Index

from kibitz_collector.store.tables.base import Table, big, partial_index, string


class File(Table, table=True):
    """A versioned thing at a path."""

    __tablename__ = "file"
    __table_args__: ClassVar[Any] = (Index("uq_file_path", "workspace_id", "path", unique=True),)

    id: str = string(primary_key=True)
    workspace_id: int
    kind: str = string()
    path: str = string()
    name: str = string()  # last part of the path
    description: str | None = string(default=None)
    tags: str = string(default="[]")  # JSON list
    readme: str | None = string(default=None)
    is_derived: bool = False  # path made up from service and function name
    created_ns: int = big()
    updated_ns: int = big()


class Directory(Table, table=True):
    """A folder of Files; the root has no row. Which Files are in it is what their paths say."""

    __tablename__ = "directory"
    __table_args__: ClassVar[Any] = (
        Index("uq_directory_path", "workspace_id", "path", unique=True),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    path: str = string()
    created_ns: int = big()
    updated_ns: int = big()


class Version(Table, table=True):
    """Immutable content of a File."""

    __tablename__ = "version"
    __table_args__: ClassVar[Any] = (
        Index("uq_version_content", "file_id", "content_hash", unique=True),
        partial_index("uq_version_name", "file_id", "name", where="name IS NOT NULL", unique=True),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    file_id: str = string()
    content_hash: str = string()  # hex; see files.identity
    content: str = string()  # canonical JSON
    name: str | None = string(default=None)
    description: str | None = string(default=None)
    created_by: str | None = string(default=None)
    created_ns: int = big()
    status: str = string(default="committed")  # uncommitted, committed, deleted


class Environment(Table, table=True):
    """Where Versions are deployed; one is the default."""

    __tablename__ = "environment"
    __table_args__: ClassVar[Any] = (
        Index("uq_environment_name", "workspace_id", "name", unique=True),
        partial_index("uq_environment_default", "workspace_id", where="is_default", unique=True),
    )

    id: str = string(primary_key=True)
    workspace_id: int
    name: str = string()
    is_default: bool = False
    created_ns: int = big()


class Deployment(Table, table=True):
    """One Version in one environment, from then until `ended_ns` (None: now)."""

    __tablename__ = "deployment"
    __table_args__: ClassVar[Any] = (
        partial_index(
            "uq_deployment_current",
            "file_id",
            "environment_id",
            where="ended_ns IS NULL",
            unique=True,
        ),
        Index("ix_deployment_version", "version_id"),
    )

    id: int | None = big(default=None, primary_key=True)
    workspace_id: int
    file_id: str = string()
    environment_id: str = string()
    version_id: str = string()
    created_by: str | None = string(default=None)
    created_ns: int = big()
    ended_ns: int | None = big(default=None)
