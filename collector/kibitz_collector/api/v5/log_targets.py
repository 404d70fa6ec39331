"""Which File and Version a posted Log is an execution of; both are made on demand."""

from dataclasses import dataclass

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.kernel_texts import read_kernel as read_text
from kibitz_collector.api.v5.models.kernels import AgentKernel, PromptKernel, content_of
from kibitz_collector.api.v5.models.logs import NewLog
from kibitz_collector.api.v5.models.shared import Body
from kibitz_collector.errors import Conflict, Invalid, NotFound
from kibitz_collector.files.identity import content_hash
from kibitz_collector.normalize import clean_path
from kibitz_collector.records import FileKind, FileReference, FileRegistration, Json
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries.files import FileView

_MAY_BE_EMPTY = ("tool", "flow")
"""A Prompt without a model is nothing; a Tool or a Flow may say nothing of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The File and Version of a posted Log."""

    file_id: str
    version_id: str
    path: str
    content: Json

    def reference(self, kind: FileKind) -> FileReference:
        """Return how a record names it."""
        return FileReference(kind=kind, path=self.path, version_id=self.version_id)


def find_target(
    caller: Context,
    kind: FileKind,
    body: NewLog,
    kernel: Body | str | None,
    version_id: str | None,
    environment: str | None,
) -> Target:
    """Find or make what a posted Log belongs to.

    Raises: NotFound, Invalid. Conflict: the path belongs to a File of another kind.
    """
    path, file = find_place(caller, kind, body.id, body.path)
    if kernel is not None:
        return register(caller, kind, path, read_kernel(kind, kernel))
    if file is None and kind not in _MAY_BE_EMPTY:
        raise NotFound(f"no {kind.title()} at {path!r}; send `{kind}` to make one")
    if file is None:
        return register(caller, kind, path, {})
    return existing(caller, kind, file, version_id, environment)


def find_place(
    caller: Context, kind: FileKind, file_id: str | None, path: str | None
) -> tuple[str, FileView | None]:
    """Return the path meant, and the File that is there.

    Raises: NotFound, Invalid. Conflict: it is a File of another kind.
    """
    with caller.store.read() as session:
        if file_id is not None:
            found = file_queries.get_file(session, caller.workspace_id, file_id)
            if found.kind != kind:
                raise NotFound(f"{file_id} is no {kind.title()} but a {found.kind.title()}")
            return found.path, found
        cleaned = clean_path(path or "")
        if cleaned is None:
            raise Invalid(f"path or id must say which {kind.title()} this Log belongs to")
        file = file_queries.find_file(session, caller.workspace_id, cleaned)
    if file is not None and file.kind != kind:
        raise Conflict(f"{cleaned!r} is a {file.kind.title()}, not a {kind.title()}")
    return cleaned, file


def existing(
    caller: Context,
    kind: FileKind,
    file: FileView,
    version_id: str | None,
    environment: str | None,
) -> Target:
    """Return a known File at the Version that was asked for, else at its default one.

    Raises: NotFound.
    """
    if file.version_id is None and kind in _MAY_BE_EMPTY:
        return register(caller, kind, file.path, {})
    with caller.store.read() as session:
        wanted = file_queries.choose_version(
            session, caller.workspace_id, file, version_id=version_id, environment=environment
        )
        version = file_queries.get_version(session, caller.workspace_id, wanted)
    return Target(file_id=file.id, version_id=wanted, path=file.path, content=version.content)


def register(caller: Context, kind: FileKind, path: str, content: Json) -> Target:
    """Make sure there is such a File and Version."""
    if kind != "evaluator":  # whose registration has a say in which Version monitors use
        # Most often it is there: a look costs a tenth of a transaction.
        with caller.store.read() as session:
            file = file_queries.find_file(session, caller.workspace_id, path)
            known = file and file_queries.find_version(
                session, caller.workspace_id, file.id, content_hash(kind, content)
            )
        if file is not None and known:
            return Target(file_id=file.id, version_id=known, path=path, content=content)
    file_id, version_id = caller.store.register_file(
        caller.workspace_id, FileRegistration(kind=kind, path=path, content=content)
    )
    return Target(file_id=file_id, version_id=version_id, path=path, content=content)


def read_kernel(kind: FileKind, kernel: Body | str) -> Json:
    """Return what a Version is made of; a text is that of a .prompt or .agent file.

    Raises: Invalid: the text cannot be read.
    """
    if isinstance(kernel, str):
        agent = kind == "agent"
        kernel = read_text(kernel, AgentKernel) if agent else read_text(kernel, PromptKernel)
    return content_of(kernel, type(kernel))
