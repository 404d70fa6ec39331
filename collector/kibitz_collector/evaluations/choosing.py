"""Which Files and Versions a request about evaluations means; refuses what makes no sense."""

from dataclasses import dataclass
from typing import Protocol

from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.evaluations.worker import CALLED_HERE
from kibitz_collector.files.identity import tool_type
from kibitz_collector.normalize import clean_path
from kibitz_collector.store import Session
from kibitz_collector.store.queries import evaluation as evaluator_queries
from kibitz_collector.store.queries.files import (
    FileView,
    VersionView,
    choose_version,
    find_file,
    get_file,
    get_version,
)
from kibitz_collector.store.writes.evaluations import ChosenEvaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One way to say which Version is meant; the first that is given counts."""

    version_id: str | None = None
    file_id: str | None = None
    path: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A File at a Version."""

    file: FileView
    version: VersionView

    @property
    def ids(self) -> tuple[str, str]:
        """Return the ids of File and Version."""
        return self.file.id, self.version.id


def choose_file(
    session: Session, workspace_id: int, *, file_id: str | None, path: str | None
) -> FileView:
    """Return the File to be evaluated.

    Raises: NotFound. Invalid: neither is given, or it is a Dataset.
    """
    file = _find(session, workspace_id, file_id, path)
    if file.kind == "dataset":
        raise Invalid(f"{file.path!r} is a Dataset; give the File that it tests as `file`")
    return file


def choose(session: Session, workspace_id: int, wanted: Reference) -> Chosen:
    """Return the Version that is meant.

    Raises: NotFound. Invalid: nothing is given.
    """
    if wanted.version_id is not None:
        version = get_version(session, workspace_id, wanted.version_id)
        return Chosen(file=get_file(session, workspace_id, version.file_id), version=version)
    file = _find(session, workspace_id, wanted.file_id, wanted.path)
    version_id = choose_version(session, workspace_id, file, environment=wanted.environment)
    return Chosen(file=file, version=get_version(session, workspace_id, version_id))


def choose_dataset(session: Session, workspace_id: int, wanted: Reference) -> Chosen:
    """Return a Dataset's Version.

    Raises: NotFound. Invalid: it is no Dataset's.
    """
    chosen = choose(session, workspace_id, wanted)
    if chosen.file.kind != "dataset":
        raise Invalid(f"{chosen.file.path!r} is a {chosen.file.kind.title()}, not a Dataset")
    return chosen


def choose_evaluated(session: Session, workspace_id: int, wanted: Reference) -> Chosen:
    """Return the Version that a run evaluates.

    Raises: NotFound. Invalid: it is a Dataset's.
    """
    chosen = choose(session, workspace_id, wanted)
    if chosen.file.kind == "dataset":
        raise Invalid(f"{chosen.file.path!r} is a Dataset; give it as `dataset`")
    return chosen


def choose_evaluator(
    session: Session, workspace_id: int, wanted: Reference, orchestrated: bool | None
) -> ChosenEvaluator:
    """Return an Evaluator's Version; judged here unless it cannot be, or shall not be.

    Raises: NotFound. Invalid: it is no Evaluator.
    """
    chosen = choose(session, workspace_id, wanted)
    if chosen.file.kind != "evaluator":
        raise Invalid(f"{chosen.file.path!r} is a {chosen.file.kind.title()}, not an Evaluator")
    view = evaluator_queries.get_evaluator(session, workspace_id, *chosen.ids)
    return ChosenEvaluator(
        evaluator_id=view.id,
        version_id=view.version_id,
        orchestrated=view.spec.is_run_here and orchestrated is not False,
    )


class _RunChoice(Protocol):
    orchestrated: bool | None
    use_existing_logs: bool | None


def is_orchestrated(said: _RunChoice, version: Chosen | None, dataset: Chosen | None) -> bool:
    """Tell whether a run's Logs are generated here.

    Raises: Invalid: they shall be and cannot, or existing ones of nothing in particular are wanted.
    """
    is_whole = version is not None and dataset is not None
    if said.use_existing_logs and not is_whole:
        raise Invalid("use_existing_logs needs both `dataset` and `version`")
    if said.orchestrated is None:
        return is_whole and _problem(version) is None
    if not said.orchestrated:
        return False
    problem = _problem(version) if is_whole else "both `dataset` and `version` are needed"
    if problem is not None:
        raise Invalid(f"Logs cannot be generated here: {problem}")
    return True


def _problem(version: Chosen | None) -> str | None:
    """Say why a Version cannot be called here; None: it can."""
    if version is None:
        return "nothing is evaluated"
    kind, path = version.file.kind, version.file.path
    if kind not in CALLED_HERE:
        return f"{path!r} is a {kind.title()}, which runs in your app; send its Logs with run_id"
    if kind == "tool" and tool_type(version.version.content) != "python":
        return f"the Tool {path!r} has no source_code to run"
    return None


def _find(session: Session, workspace_id: int, file_id: str | None, path: str | None) -> FileView:
    if file_id is not None:
        return get_file(session, workspace_id, file_id)
    cleaned = clean_path(path or "")
    if cleaned is None:
        raise Invalid("give the File's `id` or its `path`")
    found = find_file(session, workspace_id, cleaned)
    if found is None:
        raise NotFound(f"no File at {cleaned!r}")
    return found
