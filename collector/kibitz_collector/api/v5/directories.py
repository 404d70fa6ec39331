"""`/v5/directories`: the folders that Files are in."""

import time

from fastapi import APIRouter

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import ContractRoute, Owner, changing_files, to_time
from kibitz_collector.api.v5.file_answers import answer_files
from kibitz_collector.api.v5.models.directories import (
    DirectoryRequest,
    DirectoryResponse,
    DirectoryWithParentsAndChildrenResponse,
)
from kibitz_collector.errors import Invalid
from kibitz_collector.files.paths import is_within, join, name_of, parent_of
from kibitz_collector.normalize import clean_path
from kibitz_collector.store import Session
from kibitz_collector.store.queries import directories as queries
from kibitz_collector.store.queries.directories import DirectoryView
from kibitz_collector.store.queries.files import get_files
from kibitz_collector.store.writes import directories as writes

router = APIRouter(prefix="/v5/directories", tags=["directories"], route_class=ContractRoute)


@router.get("", operation_id="directories.list")
def list_directories(caller: Owner) -> list[DirectoryResponse]:
    """List all directories but the root."""
    with caller.store.read() as session:
        return [_answer(one) for one in queries.list_directories(session, caller.workspace_id)]


@router.post("", operation_id="directories.create", status_code=201)
def create_directory(caller: Owner, body: DirectoryRequest) -> DirectoryResponse:
    """Make a directory, and those above it."""
    with changing_files(caller) as session:
        path = _path(session, caller, body, None)
        made = writes.create_directory(session, caller.workspace_id, path, time.time_ns())
        return _answer(made)


@router.get("/{id}", operation_id="directories.get")
def get_directory(caller: Owner, id: str) -> DirectoryWithParentsAndChildrenResponse:
    """Return a directory with what is directly in it; `root` is the one that holds all."""
    with caller.store.read() as session:
        directory = queries.get_directory(session, caller.workspace_id, id)
        others = queries.list_directories(session, caller.workspace_id)
        root = queries.get_directory(session, caller.workspace_id, queries.ROOT_NAME)
        file_ids = queries.files_in(session, caller.workspace_id, directory.path)
        found = get_files(session, caller.workspace_id, file_ids)
        shown = [(id_, found[id_].version_id) for id_ in file_ids]
        files = answer_files(session, caller.workspace_id, [(f, v) for f, v in shown if v])
    above = [one for one in [root, *others] if one.id != directory.id]
    return DirectoryWithParentsAndChildrenResponse(
        **_answer(directory).model_dump(),
        subdirectories=[_answer(one) for one in others if one.parent_id == directory.id],
        files=files,
        parents=[_answer(one) for one in above if is_within(directory.path, one.path)],
    )


@router.patch("/{id}", operation_id="directories.update")
def update_directory(caller: Owner, id: str, body: DirectoryRequest) -> DirectoryResponse:
    """Move or rename a directory with all that is in it."""
    with changing_files(caller) as session:
        directory = queries.get_directory(session, caller.workspace_id, id)
        path = _path(session, caller, body, directory)
        moved = writes.move_directory(
            session, caller.workspace_id, directory.id, path, time.time_ns()
        )
        return _answer(moved)


@router.delete("/{id}", operation_id="directories.delete", status_code=204)
def delete_directory(caller: Owner, id: str) -> None:
    """Delete an empty directory."""
    with changing_files(caller) as session:
        writes.delete_directory(session, caller.workspace_id, id)


def _path(
    session: Session, caller: Context, body: DirectoryRequest, known: DirectoryView | None
) -> str:
    """Return the path that is asked for. Raises: NotFound: no such parent. Invalid: it is none."""
    path = body.path
    if path is None:
        name = body.name if body.name is not None else name_of(known.path) if known else ""
        above = parent_of(known.path) if known else ""
        if body.parent_id is not None:
            above = queries.get_directory(session, caller.workspace_id, body.parent_id).path
        path = join(above, name.replace("/", "-")) if name else ""
    cleaned = clean_path(path)
    if cleaned is None:
        raise Invalid("give the directory a path, or a name (and a parent_id)")
    return cleaned


def _answer(directory: DirectoryView) -> DirectoryResponse:
    return DirectoryResponse(
        id=directory.id,
        parent_id=directory.parent_id,
        name=directory.name,
        path=directory.path,
        tags=[],
        created_at=to_time(directory.created_ns),
        updated_at=to_time(directory.updated_ns),
    )
