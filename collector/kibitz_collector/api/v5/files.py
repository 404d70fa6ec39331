"""`/v5/files`: Files of all types in one list, and by path."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import ContractRoute, Owner
from kibitz_collector.api.v5.file_answers import Extras, answer_file
from kibitz_collector.api.v5.file_routes import answer_page
from kibitz_collector.api.v5.models.files import FileResponse
from kibitz_collector.api.v5.models.shared import (
    Body,
    FileSortBy,
    Page,
    Paginated,
    Size,
    SortOrder,
)
from kibitz_collector.errors import NotFound
from kibitz_collector.normalize import clean_path
from kibitz_collector.records import FileKind
from kibitz_collector.store import Session
from kibitz_collector.store.queries.directories import find_directory
from kibitz_collector.store.queries.environments import list_environments
from kibitz_collector.store.queries.file_pages import FileFilter
from kibitz_collector.store.queries.files import choose_version, find_file

router = APIRouter(prefix="/v5/files", tags=["files"], route_class=ContractRoute)


class PathRequest(Body):
    """Where a File is."""

    path: str


@router.get("", operation_id="files.list_files", response_model=Paginated[FileResponse])
def list_files(
    caller: Owner,
    page: Page = None,
    size: Size = None,
    name: str | None = None,
    path: Annotated[str | None, Query(description="a directory")] = None,
    template: Annotated[bool | None, Query(description="templates to begin with")] = None,
    type: Annotated[list[FileKind] | None, Query()] = None,
    environment: str | None = None,
    sort_by: FileSortBy | None = None,
    order: SortOrder | None = None,
    include_raw_file_content: bool | None = None,
) -> Any:
    """List Files; with an environment, those deployed there at that Version."""
    with caller.store.read() as session:
        wanted = FileFilter(
            kinds=[] if template else type,  # a collector brings no templates
            name=name,
            directory=_directory(session, caller, path),
            environment_id=_environment(session, caller, environment),
        )
    extras = Extras(with_file_text=bool(include_raw_file_content))
    return answer_page(caller, wanted, page, size, sort_by, order, extras)


@router.post(
    "/retrieve-by-path", operation_id="files.retrieve_by_path", response_model=FileResponse
)
def retrieve_by_path(
    caller: Owner,
    body: PathRequest,
    environment: str | None = None,
    include_raw_file_content: bool | None = None,
) -> FileResponse:
    """Return the File at a path, at its default Version or that of an environment."""
    extras = Extras(with_file_text=bool(include_raw_file_content))
    with caller.store.read() as session:
        file = find_file(session, caller.workspace_id, clean_path(body.path) or "")
        if file is None:
            raise NotFound(f"there is no File at {body.path!r}")
        _environment(session, caller, environment)
        version = choose_version(session, caller.workspace_id, file, environment=environment)
        return answer_file(session, caller.workspace_id, file.id, version, extras)


# The official clients' tests look for these two sentences.


def _directory(session: Session, caller: Context, path: str | None) -> str | None:
    if not path:
        return None
    cleaned = clean_path(path) or ""
    if find_directory(session, caller.workspace_id, cleaned) is None:
        raise NotFound(f"Directory `{path}` does not exist")
    return cleaned


def _environment(session: Session, caller: Context, name: str | None) -> str | None:
    if name is None:
        return None
    for environment in list_environments(session, caller.workspace_id):
        if name in (environment.name, environment.id):
            return environment.id
    raise NotFound(f"Environment {name} does not exist")
