"""`/v5/datasets`: Datasets as Files, their datapoints in pages and from CSV."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import anyio
from fastapi import Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import Owner, changing_files
from kibitz_collector.api.v5.file_answers import (
    Extras,
    answer_datapoint,
    answer_file,
    answer_files,
    datapoint_content,
)
from kibitz_collector.api.v5.file_routes import DEFAULT_SIZE, FileRoutes, all_versions
from kibitz_collector.api.v5.forms import read_form
from kibitz_collector.api.v5.models.files import DatapointResponse, DatasetResponse, FileResponse
from kibitz_collector.api.v5.models.kernels import Datapoint
from kibitz_collector.api.v5.models.shared import Page, Paginated, Records, Size
from kibitz_collector.api.v5.models.upserts import DatasetRequest
from kibitz_collector.errors import Busy, Invalid
from kibitz_collector.files.kinds.dataset import read_csv
from kibitz_collector.receive.http import BODY_TIMEOUT_S
from kibitz_collector.receive.limits import inflate, read_body
from kibitz_collector.records import Json
from kibitz_collector.store import Session
from kibitz_collector.store.queries.datapoints import count_datapoints, list_datapoints
from kibitz_collector.store.queries.files import choose_version, find_file, get_file
from kibitz_collector.store.writes.datasets import Action, change_dataset
from kibitz_collector.store.writes.versions import FileChange

files = FileRoutes("dataset", "datasets", DatasetResponse)
router = files.router
_CSV_FORM = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "version_name": {"type": "string"},
        "version_description": {"type": "string"},
    },
    "required": ["file"],
}


@router.post("", operation_id="datasets.upsert", response_model=DatasetResponse)
def upsert(
    caller: Owner,
    body: DatasetRequest,
    version_id: str | None = None,
    environment: str | None = None,
    include_datapoints: bool | None = None,
) -> FileResponse:
    """Make a Dataset or a new Version of it; equal sets of datapoints are the same Version."""
    return _change(
        caller,
        files.change(caller, body),
        [datapoint_content(one.model_dump(exclude_none=True)) for one in body.datapoints],
        action=body.action or "set",
        base=(version_id, environment),
        attributes=body.attributes,
        with_datapoints=bool(include_datapoints),
    )


@router.get("/{id}", operation_id="datasets.get", response_model=DatasetResponse)
def get(
    caller: Owner,
    id: str,
    version_id: str | None = None,
    environment: str | None = None,
    include_datapoints: bool = False,
) -> FileResponse:
    """Return a Dataset at a Version: by id, by environment, or the default one."""
    with caller.store.read() as session:
        file, version = files.find(session, caller, id, version_id, environment)
        extras = _with_datapoints(session, [version] if include_datapoints else [])
        return answer_file(session, caller.workspace_id, file.id, version, extras)


@router.get(
    "/{id}/versions", operation_id="datasets.list_versions", response_model=Records[DatasetResponse]
)
def versions(
    caller: Owner,
    id: str,
    include_datapoints: Literal["latest_committed", "latest_saved"] | None = None,
) -> dict[str, Any]:
    """List a Dataset's Versions, newest first; the newest with its datapoints when asked for."""
    with caller.store.read() as session:
        file = files.find_file(session, caller, id)
        ids = [version.id for version in all_versions(session, caller, file.id)]
        extras = _with_datapoints(session, ids[:1] if include_datapoints else [])
        wanted = [(file.id, version) for version in ids]
        return {"records": answer_files(session, caller.workspace_id, wanted, extras)}


@router.get(
    "/{id}/datapoints",
    operation_id="datasets.list_datapoints",
    response_model=Paginated[DatapointResponse],
)
def datapoints(
    caller: Owner,
    id: str,
    version_id: str | None = None,
    environment: str | None = None,
    page: Page = None,
    size: Size = None,
) -> dict[str, Any]:
    """List a Version's datapoints in pages."""
    page, size = page or 1, DEFAULT_SIZE if size is None else size
    with caller.store.read() as session:
        _file, version = files.find(session, caller, id, version_id, environment)
        found = list_datapoints(session, version, page=page, size=size)
        total = count_datapoints(session, version)
    records = [answer_datapoint(one) for one in found]
    return {"records": records, "page": page, "size": size, "total": total}


@router.post(
    "/{id}/datapoints/csv",
    operation_id="datasets.upload_csv",
    response_model=DatasetResponse,
    openapi_extra={
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _CSV_FORM}}}
    },
)
async def upload_csv(
    caller: Owner,
    request: Request,
    id: str,
    version_id: str | None = None,
    environment: str | None = None,
) -> FileResponse:
    """Add the lines of a CSV file (form field `file`) to a Version; that makes a new one."""
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            packed = await read_body(request, caller.settings)
    except TimeoutError:
        raise Busy(f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None
    headers = request.headers
    encoding, content_type = headers.get("content-encoding", ""), headers.get("content-type", "")

    def add() -> FileResponse:
        form = read_form(content_type, bytes(inflate(packed, encoding, caller.settings)))
        if "file" not in form.files:
            raise Invalid("the form needs a field `file` with the CSV file")
        with caller.store.read() as session:
            file, base = files.find(session, caller, id, version_id, environment)
        change = FileChange(
            kind="dataset",
            file_id=file.id,
            version_name=form.texts.get("version_name"),
            version_description=form.texts.get("version_description"),
            made_by=caller.key_id,
        )
        points = [_checked(one) for one in read_csv(form.files["file"])]
        return _change(caller, change, points, action="add", base=(base, None))

    return await run_in_threadpool(add)


def _change(
    caller: Context,
    change: FileChange,
    given: Iterable[Json],
    *,
    action: Action,
    base: tuple[str | None, str | None],
    attributes: Json | None = None,
    with_datapoints: bool = False,
) -> FileResponse:
    with changing_files(caller) as session:
        base_id = _base(session, caller, change, *base) if action != "set" else None
        file_id, version = change_dataset(
            session,
            caller.workspace_id,
            change,
            given,
            time.time_ns(),
            action=action,
            base_version_id=base_id,
            attributes=attributes,
        )
        extras = _with_datapoints(session, [version] if with_datapoints else [])
        return answer_file(session, caller.workspace_id, file_id, version, extras)


def _checked(datapoint: Json) -> Json:
    """Return a datapoint as it is stored. Raises: Invalid: a request could not say it either."""
    try:
        read = Datapoint.model_validate(datapoint)
    except ValidationError as error:
        raise Invalid(f"a datapoint is refused: {error.errors()[0]['msg']}") from None
    return datapoint_content(read.model_dump(exclude_none=True))


def _base(
    session: Session,
    caller: Context,
    change: FileChange,
    version_id: str | None,
    environment: str | None,
) -> str | None:
    """Return the Version to start from; None: the latest.

    Raises: NotFound.
    """
    if version_id is None and environment is None:
        return None
    if change.file_id is not None:
        file = get_file(session, caller.workspace_id, change.file_id)
    else:
        found = find_file(session, caller.workspace_id, change.path or "")
        if found is None:
            return None
        file = found
    return choose_version(
        session, caller.workspace_id, file, version_id=version_id, environment=environment
    )


def _with_datapoints(session: Session, version_ids: Sequence[str]) -> Extras:
    return Extras(datapoints={id_: list_datapoints(session, id_) for id_ in version_ids})
