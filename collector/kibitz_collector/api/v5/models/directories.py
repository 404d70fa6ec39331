"""Directories as the v5 contract shows them."""

from datetime import datetime

from kibitz_collector.api.v5.models.files import FileResponse
from kibitz_collector.api.v5.models.shared import Body


class DirectoryRequest(Body):
    """Where a directory is to be: a path, or a name in another one."""

    name: str | None = None
    parent_id: str | None = None
    path: str | None = None


class DirectoryResponse(Body):
    """One directory."""

    id: str
    parent_id: str | None = None
    name: str
    description: str | None = None
    path: str
    readme: str | None = None
    tags: list[str]
    created_at: datetime
    updated_at: datetime


class DirectoryWithParentsAndChildrenResponse(DirectoryResponse):
    """One directory with what is above and in it."""

    subdirectories: list[DirectoryResponse]
    files: list[FileResponse]
    parents: list[DirectoryResponse]
