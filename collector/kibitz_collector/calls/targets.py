"""Which File and Version a call is about: by id or path; by Version, environment, or content."""

from dataclasses import dataclass

from kibitz_collector.access.http import Context
from kibitz_collector.errors import Conflict, Invalid, NotFound
from kibitz_collector.files.identity import FILE_PREFIXES
from kibitz_collector.files.kinds.tool import function_of
from kibitz_collector.normalize import clean_path
from kibitz_collector.records import FileKind, FileReference, FileRegistration, Json
from kibitz_collector.store import Session
from kibitz_collector.store.queries import environments as environment_queries
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries.files import FileView


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One File at one Version."""

    kind: FileKind
    file_id: str
    path: str
    version_id: str
    content: Json

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def reference(self) -> FileReference:
        """Return what a Log says to belong to this Version."""
        return FileReference(kind=self.kind, path=self.path, version_id=self.version_id)


def find_target(
    caller: Context,
    kind: FileKind,
    *,
    file_id: str | None = None,
    path: str | None = None,
    version_id: str | None = None,
    environment: str | None = None,
    content: Json | None = None,
) -> Target:
    """Find what is called. With content, File and Version are made where they do not exist.

    Without version or environment, it is the Version deployed to the default environment.
    Raises: NotFound. Invalid: neither id nor path is given. Conflict: it is a File of another kind.
    """
    if content is not None:
        return _with_content(caller, kind, _path_of(caller, kind, file_id, path), content)
    with caller.store.read() as session:
        file = _find_file(session, caller.workspace_id, kind, file_id, path)
        chosen = version_id or _deployed(session, caller.workspace_id, file, environment)
        if chosen is None:
            raise NotFound(f"{file.path} has no Version yet; say what it is with the call")
        version = file_queries.get_version(session, caller.workspace_id, chosen)
    if version.file_id != file.id:
        raise NotFound(f"Version {chosen!r} is not one of {file.path}")
    return Target(
        kind=kind,
        file_id=file.id,
        path=file.path,
        version_id=version.id,
        content=version.content,
    )


def _with_content(caller: Context, kind: FileKind, path: str, content: Json) -> Target:
    registration = FileRegistration(kind=kind, path=path, content=content)
    made_file, made_version = caller.store.register_file(caller.workspace_id, registration)
    return Target(kind=kind, file_id=made_file, path=path, version_id=made_version, content=content)


def _path_of(caller: Context, kind: FileKind, file_id: str | None, path: str | None) -> str:
    if file_id is not None:
        with caller.store.read() as session:
            return _find_file(session, caller.workspace_id, kind, file_id, None).path
    cleaned = clean_path(path or "")
    if cleaned is None:
        raise Invalid(f"path or id must say which {kind} to call")
    with caller.store.read() as session:
        known = file_queries.find_file(session, caller.workspace_id, cleaned)
    if known is not None:
        _check_kind(known, kind)
    return cleaned


def _find_file(
    session: Session, workspace_id: int, kind: FileKind, file_id: str | None, path: str | None
) -> FileView:
    if file_id is not None:
        file = file_queries.get_file(session, workspace_id, file_id)
    else:
        cleaned = clean_path(path or "")
        if cleaned is None:
            raise Invalid(f"path or id must say which {kind} to call")
        found = file_queries.find_file(session, workspace_id, cleaned)
        if found is None:
            raise NotFound(f"no {kind} at {cleaned!r}")
        file = found
    _check_kind(file, kind)
    return file


def _check_kind(file: FileView, kind: FileKind) -> None:
    if file.kind != kind:
        raise Conflict(f"{file.path!r} is a {file.kind.title()}, not a {kind.title()}")


def _deployed(
    session: Session, workspace_id: int, file: FileView, environment: str | None
) -> str | None:
    if environment is None:
        return file.version_id
    known = environment_queries.get_environment(session, workspace_id, environment)
    for deployment in environment_queries.list_deployments(session, workspace_id, file.id):
        if deployment.environment_id == known.id:
            return deployment.version_id
    raise NotFound(f"{file.path} has no Version deployed to {known.name!r}")


def tool_function(session: Session, workspace_id: int, linked_id: str) -> Json:
    """Return the function of a linked Tool: of its deployed Version, or of the Version linked.

    Raises: NotFound. Invalid: it has none.
    """
    version_id: str | None = linked_id
    if linked_id.startswith(FILE_PREFIXES["tool"]):
        version_id = _find_file(session, workspace_id, "tool", linked_id, None).version_id
    if version_id is None:
        raise NotFound(f"the linked Tool {linked_id!r} has no Version")
    version = file_queries.get_version(session, workspace_id, version_id)
    name = file_queries.get_file(session, workspace_id, version.file_id).name
    function = function_of(version.content, name)
    if function is None:
        raise Invalid(f"the linked Tool {linked_id!r} has no function that a model could call")
    return function
