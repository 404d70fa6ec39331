"""The operations that Files of every type have: list, get, move, delete, Versions, environments."""

import time
from typing import Any

from fastapi import APIRouter

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.contract import ContractRoute, Owner, changing_files
from kibitz_collector.api.v5.file_answers import (
    NO_EXTRAS,
    Extras,
    answer_environment,
    answer_file,
    answer_files,
)
from kibitz_collector.api.v5.models.files import FileEnvironmentResponse, FileResponse
from kibitz_collector.api.v5.models.shared import (
    FileMove,
    FileSortBy,
    Page,
    Paginated,
    Records,
    Size,
    SortOrder,
    VersionUpdate,
)
from kibitz_collector.api.v5.models.upserts import EvaluatorActivation, MonitoringUpdate
from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.files.paths import join, name_of, parent_of
from kibitz_collector.normalize import clean_path
from kibitz_collector.records import FileKind, Json
from kibitz_collector.store import Session
from kibitz_collector.store.queries.directories import get_directory
from kibitz_collector.store.queries.environments import (
    get_environment,
    list_deployments,
    list_environments,
)
from kibitz_collector.store.queries.file_pages import FileFilter, page_files
from kibitz_collector.store.queries.files import (
    FileView,
    VersionView,
    choose_version,
    get_file,
    list_versions,
)
from kibitz_collector.store.queries.judged import judged_versions
from kibitz_collector.store.writes.deployments import deploy, undeploy
from kibitz_collector.store.writes.directories import move_file
from kibitz_collector.store.writes.monitoring import EvaluatorChoice, activate, deactivate
from kibitz_collector.store.writes.versions import (
    FileChange,
    delete_file,
    delete_version,
    name_version,
    upsert,
)

DEFAULT_SIZE = 10


class FileRoutes:
    """The routes of one type of File; what only this type has is added to `router`."""

    def __init__(self, kind: FileKind, group: str, model: Any, **version_names: str) -> None:
        self.kind = kind
        self.group = group
        self.model = model
        self.router = APIRouter(prefix=f"/v5/{group}", tags=[group], route_class=ContractRoute)
        patch_version = version_names.get("patch", f"update_{kind}_version")
        self._add("GET", "", self.list_files, "list", Paginated[model])
        self._add("DELETE", "/{id}", self.delete, "delete")
        self._add("PATCH", "/{id}", self.move, "move", model)
        version = "/{id}/versions/{version_id}"
        self._add("DELETE", version, self.delete_version, f"delete_{kind}_version")
        self._add("PATCH", version, self.update_version, patch_version, model)
        environment = "/{id}/environments/{environment_id}"
        self._add("POST", environment, self.set_deployment, "set_deployment", model)
        self._add("DELETE", environment, self.remove_deployment, "remove_deployment")
        environments = list[FileEnvironmentResponse]
        self._add("GET", "/{id}/environments", self.environments, "list_environments", environments)
        if kind == "dataset":
            return  # it has no Logs to judge, and shows its datapoints where it is read
        self._add("GET", "/{id}", self.get, "get", model)
        self._add("GET", "/{id}/versions", self.versions, "list_versions", Records[model])
        self._add("POST", "/{id}/evaluators", self.monitoring, "update_monitoring", model)

    def list_files(
        self,
        caller: Owner,
        page: Page = None,
        size: Size = None,
        name: str | None = None,
        user_filter: str | None = None,
        sort_by: FileSortBy | None = None,
        order: SortOrder | None = None,
    ) -> Any:
        """List Files of this type, each at its default Version."""
        wanted = FileFilter(kinds=[self.kind], name=name, created_by=user_filter)
        return answer_page(caller, wanted, page, size, sort_by, order)

    def get(
        self,
        caller: Owner,
        id: str,
        version_id: str | None = None,
        environment: str | None = None,
    ) -> FileResponse:
        """Return a File at a Version: by id, by environment, or the default one."""
        with caller.store.read() as session:
            file, version = self.find(session, caller, id, version_id, environment)
            return answer_file(session, caller.workspace_id, file.id, version)

    def delete(self, caller: Owner, id: str) -> None:
        """Delete a File with its Versions."""
        with changing_files(caller) as session:
            delete_file(session, caller.workspace_id, self.find_file(session, caller, id))

    def move(self, caller: Owner, id: str, body: FileMove) -> FileResponse:
        """Move or rename a File."""
        with changing_files(caller) as session:
            file = self.find_file(session, caller, id)
            path = _new_path(session, caller, file, body)
            move_file(session, caller.workspace_id, file.id, file.path, path, time.time_ns())
            return self.answer(session, caller, file.id)

    def versions(
        self, caller: Owner, id: str, evaluator_aggregates: bool | None = None
    ) -> dict[str, Any]:
        """List a File's Versions, newest first."""
        with caller.store.read() as session:
            file = self.find_file(session, caller, id)
            extras = NO_EXTRAS
            if evaluator_aggregates:
                judged = judged_versions(session, caller.workspace_id, file.id)
                extras = Extras(aggregates=judged)
            wanted = [(file.id, v.id) for v in all_versions(session, caller, file.id)]
            return {"records": answer_files(session, caller.workspace_id, wanted, extras)}

    def delete_version(self, caller: Owner, id: str, version_id: str) -> None:
        """Delete a Version; its deployments end, its Logs stay."""
        with changing_files(caller) as session:
            file, version = self.find(session, caller, id, version_id)
            delete_version(session, file, version, time.time_ns())

    def update_version(
        self, caller: Owner, id: str, version_id: str, body: VersionUpdate
    ) -> FileResponse:
        """Name or describe a Version."""
        with changing_files(caller) as session:
            file, version = self.find(session, caller, id, version_id)
            name_version(session, file.id, version, name=body.name, description=body.description)
            return answer_file(session, caller.workspace_id, file.id, version)

    def set_deployment(
        self, caller: Owner, id: str, environment_id: str, version_id: str
    ) -> FileResponse:
        """Deploy a Version to an environment."""
        with changing_files(caller) as session:
            file, version = self.find(session, caller, id, version_id)
            environment = get_environment(session, caller.workspace_id, environment_id)
            deploy(
                session,
                caller.workspace_id,
                file.id,
                environment.id,
                version,
                made_by=caller.key_id,
            )
            return answer_file(session, caller.workspace_id, file.id, version)

    def remove_deployment(self, caller: Owner, id: str, environment_id: str) -> None:
        """Let an environment use no Version of a File."""
        with changing_files(caller) as session:
            file = self.find_file(session, caller, id)
            environment = get_environment(session, caller.workspace_id, environment_id)
            undeploy(session, file.id, environment.id)

    def environments(self, caller: Owner, id: str) -> list[FileEnvironmentResponse]:
        """List all environments, each with the Version it uses."""
        with caller.store.read() as session:
            file = self.find_file(session, caller, id)
            deployed = {
                one.environment_id: one.version_id
                for one in list_deployments(session, caller.workspace_id, file.id)
            }
            wanted = [(file.id, version_id) for version_id in sorted(set(deployed.values()))]
            answers = {
                answer.version_id: answer
                for answer in answer_files(session, caller.workspace_id, wanted)
            }
            return [
                FileEnvironmentResponse(
                    **answer_environment(one).model_dump(),
                    file=answers.get(deployed.get(one.id, "")),
                )
                for one in list_environments(session, caller.workspace_id)
            ]

    def monitoring(self, caller: Owner, id: str, body: MonitoringUpdate) -> FileResponse:
        """Let Evaluators begin or cease to judge a File's Logs."""
        with changing_files(caller) as session:
            file = self.find_file(session, caller, id)
            for one in body.deactivate or []:
                deactivate(session, caller.workspace_id, file, _choice(one))
            for one in body.activate or []:
                activate(session, caller.workspace_id, file, _choice(one))
            session.flush()
            return self.answer(session, caller, file.id)

    def upsert(self, caller: Context, change: FileChange, content: Json) -> FileResponse:
        """Make a File or a new Version of it; the answer shows that Version."""
        with changing_files(caller) as session:
            file_id, version_id = upsert(
                session, caller.workspace_id, change, content, time.time_ns()
            )
            session.flush()
            return answer_file(session, caller.workspace_id, file_id, version_id)

    def change(self, caller: Context, body: Any) -> FileChange:
        """Return what an upsert says of the File."""
        path = clean_path(body.path) if body.path else None
        if body.path and path is None:
            raise Invalid(f"{body.path!r} is no path; write it like folder/name")
        return FileChange(
            kind=self.kind,
            path=path,
            file_id=body.id,
            version_name=body.version_name,
            version_description=body.version_description,
            description=body.description,
            tags=body.tags,
            readme=body.readme,
            made_by=caller.key_id,
        )

    def answer(self, session: Session, caller: Context, file_id: str) -> FileResponse:
        """Return a File at its default Version."""
        file, version = self.find(session, caller, file_id)
        return answer_file(session, caller.workspace_id, file.id, version)

    def find_file(self, session: Session, caller: Context, file_id: str) -> FileView:
        """Raises: NotFound: there is no File of this type with this id."""
        file = get_file(session, caller.workspace_id, file_id)
        if file.kind != self.kind:
            raise NotFound(f"{file_id} is no {self.kind} but a File of type {file.kind}")
        return file

    def find(
        self,
        session: Session,
        caller: Context,
        file_id: str,
        version_id: str | None = None,
        environment: str | None = None,
    ) -> tuple[FileView, str]:
        """Return a File and the id of the Version that is asked for.

        Raises: NotFound.
        """
        file = self.find_file(session, caller, file_id)
        version = choose_version(
            session,
            caller.workspace_id,
            file,
            version_id=version_id,
            environment=environment,
        )
        return file, version

    def _add(
        self, method: str, path: str, endpoint: Any, operation: str, model: Any = None
    ) -> None:
        self.router.add_api_route(
            path,
            endpoint,
            methods=[method],
            response_model=model,
            status_code=200 if model is not None else 204,
            operation_id=f"{self.group}.{operation}",
        )


def answer_page(
    caller: Context,
    wanted: FileFilter,
    page: int | None,
    size: int | None,
    sort_by: FileSortBy | None,
    order: SortOrder | None,
    extras: Extras = NO_EXTRAS,
) -> dict[str, Any]:
    """Return one page of Files; a page past the end is empty."""
    page, size = page or 1, DEFAULT_SIZE if size is None else size
    with caller.store.read() as session:
        found = page_files(
            session,
            caller.workspace_id,
            wanted,
            page=page,
            size=size,
            sort_by=sort_by,
            is_descending=None if order is None else order == "desc",
        )
        records = answer_files(session, caller.workspace_id, found.items, extras)
    return {"records": records, "page": page, "size": size, "total": found.total}


def all_versions(session: Session, caller: Context, file_id: str) -> list[VersionView]:
    """Return all Versions of a File, newest first."""
    versions: list[VersionView] = []
    cursor = None
    while True:
        page = list_versions(session, caller.workspace_id, file_id, cursor=cursor, limit=500)
        versions += page.items
        cursor = page.next_cursor
        if cursor is None:
            return versions


def _new_path(session: Session, caller: Context, file: FileView, body: FileMove) -> str:
    """Raises: NotFound: no such directory. Invalid: the path is none."""
    path = body.path if body.path is not None else file.path
    if body.directory_id is not None:
        directory = get_directory(session, caller.workspace_id, body.directory_id)
        path = join(directory.path, name_of(path))
    if body.name is not None:
        path = join(parent_of(path), body.name.replace("/", "-"))
    cleaned = clean_path(path)
    if cleaned is None:
        raise Invalid(f"{path!r} is no path; write it like folder/name")
    return cleaned


def _choice(one: EvaluatorActivation) -> EvaluatorChoice:
    if one.evaluator_version_id is None and (
        one.evaluator_id is None or one.environment_id is None
    ):
        raise Invalid("give evaluator_version_id, or evaluator_id with environment_id")
    return EvaluatorChoice(
        version_id=one.evaluator_version_id,
        evaluator_id=one.evaluator_id,
        environment_id=one.environment_id,
    )
