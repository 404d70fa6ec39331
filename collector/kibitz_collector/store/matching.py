"""Which monitors want a Log: kept compiled in memory, matched while the Log is being written."""

import hashlib
import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from kibitz_collector.errors import BadQuery, Invalid
from kibitz_collector.files.kinds.evaluator import read_evaluator
from kibitz_collector.query import compile_match, parse
from kibitz_collector.query.ast import And, Comparison, Node, Not, Or
from kibitz_collector.records import FileReference, LogRecord, Scope
from kibitz_collector.store.tables.counters import Counter
from kibitz_collector.store.tables.files import Version
from kibitz_collector.store.tables.jobs import Evaluator, EvaluatorState, Monitor

log = logging.getLogger("kibitz.collector")
REVISION = "monitors"
"""The counter that moves whenever monitors, their evaluators' versions or suspensions change."""
_UNITS = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledMonitor:
    """One active monitor of an evaluator version that is not suspended, ready to match."""

    id: str
    evaluator_id: str
    version_id: str
    file_path: str | None
    matches: Callable[[LogRecord], bool] | None
    filter: Node | None = None  # what `matches` was made of
    names_kind: bool  # its filter speaks of kinds, so it may mean judgments or plain spans
    scope: Scope
    sample_rate: float

    def may_want(self, kind: str, status: str, *, is_plain: bool) -> bool:
        """Tell whether it can want any Log of this sort; `is_plain`: a judgment or a plain span."""
        if self.file_path is not None:
            return True
        if is_plain and not self.names_kind:
            return False
        return self.filter is None or _may_match(self.filter, kind, status)

    def may_want_file(self, file: FileReference | None) -> bool:
        """Tell whether it can want any Log of this File."""
        return self.file_path is None or (file is not None and file.path == self.file_path)

    def wants(self, record: LogRecord) -> bool:
        """Tell whether this Log is one to judge."""
        if self.file_path is not None:
            return self.may_want_file(record.file)
        if not self.names_kind and (is_judgment(record) or not record.is_genai):
            return False
        return self.matches is not None and self.matches(record)


class _Cache:
    """Compiled monitors per database and workspace; compiled again after each change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: weakref.WeakKeyDictionary[
            Engine, tuple[int, dict[int, list[CompiledMonitor]]]
        ] = weakref.WeakKeyDictionary()

    def monitors(self, session: Session, workspace_id: int) -> Sequence[CompiledMonitor]:
        engine = session.connection().engine
        revision = session.exec(select(Counter.value).where(Counter.name == REVISION)).one()
        with self._lock:
            known_revision, workspaces = self._known.get(engine, (revision, {}))
            if known_revision == revision and workspace_id in workspaces:
                return workspaces[workspace_id]
        compiled = _compile(session, workspace_id)
        with self._lock:
            known_revision, workspaces = self._known.get(engine, (revision, {}))
            if known_revision != revision:
                workspaces = {}
            self._known[engine] = (revision, {**workspaces, workspace_id: compiled})
        return compiled


_CACHE = _Cache()


def active_monitors(session: Session, workspace_id: int) -> Sequence[CompiledMonitor]:
    """Return the monitors in force."""
    return _CACHE.monitors(session, workspace_id)


def is_judgment(record: LogRecord) -> bool:
    """Tell whether a Log is a judgment, of whatever origin."""
    return record.judgment is not None or record.kind == "evaluator"


def is_sampled(log_id: str, rate: float) -> bool:
    """Decide by the Log's id alone, so that a repeated Log is decided the same."""
    if rate >= 1.0:
        return True
    digest = hashlib.blake2b(log_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < rate * _UNITS


def content_hash(record: LogRecord) -> str:
    """Return a hash of what an evaluator would see; a change of it is a reason to judge again."""
    body = record.body
    seen = (
        record.status,
        record.error_type,
        record.model,
        body.inputs,
        body.output,
        body.output_message,
        body.messages,
        body.error,
        body.metadata,
    )
    try:
        data = orjson.dumps(seen, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # integers over 64 bits
        data = repr(seen).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _compile(session: Session, workspace_id: int) -> list[CompiledMonitor]:
    statement = (
        select(Monitor, Evaluator.version_id)
        .join(Evaluator, col(Evaluator.file_id) == col(Monitor.evaluator_id))
        .where(Monitor.workspace_id == workspace_id, col(Monitor.is_active))
        .order_by(col(Monitor.id))
    )
    suspended = set(
        session.exec(
            select(EvaluatorState.version_id).where(
                EvaluatorState.workspace_id == workspace_id, EvaluatorState.state == "suspended"
            )
        )
    )
    found = [(monitor, monitor.version_id or newest) for monitor, newest in session.exec(statement)]
    used = {version_id for _, version_id in found} - suspended
    run_here = _run_here(session, workspace_id, used)
    compiled = []
    for monitor, version_id in found:
        if version_id in run_here:
            one = _compile_one(monitor, version_id)
            compiled += [one] if one is not None else []
    return compiled


def _run_here(session: Session, workspace_id: int, version_ids: set[str]) -> set[str]:
    """Return those of these evaluator versions that judge by themselves, in a collector.

    An environment may have come to use a Version that people judge with.
    """
    statement = select(Version.id, Version.content).where(
        Version.workspace_id == workspace_id, col(Version.id).in_(sorted(version_ids))
    )
    run_here = set()
    for version_id, content in session.exec(statement):
        try:
            spec = read_evaluator(orjson.loads(content))
        except Invalid:
            continue  # came in as a Log's File, unchecked
        if spec.is_run_here:
            run_here.add(version_id)
    return run_here


def _compile_one(monitor: Monitor, version_id: str) -> CompiledMonitor | None:
    node = matches = None
    if monitor.filter is not None:
        try:
            node = parse(monitor.filter)
            matches = compile_match(node)
        except BadQuery as error:
            # It parsed when it was attached; the language has changed since. Not worth losing Logs.
            log.error("monitor %s is left out, its filter is not understood: %s", monitor.id, error)
            return None
    return CompiledMonitor(
        id=monitor.id,
        evaluator_id=monitor.evaluator_id,
        version_id=version_id,
        file_path=monitor.file_path,
        matches=matches,
        filter=node,
        names_kind=node is not None and _names_kind(node),
        scope=_scope(monitor.scope),
        sample_rate=monitor.sample_rate,
    )


def _scope(text: str) -> Scope:
    match text:
        case "trace":
            return "trace"
        case "session":
            return "session"
        case _:
            return "log"


def _names_kind(node: Node) -> bool:
    match node:
        case And(parts) | Or(parts):
            return any(_names_kind(part) for part in parts)
        case Not(part):
            return _names_kind(part)
        case Comparison(field="kind" | "file" | "id"):
            return True
        case _:
            return False


def _may_match(node: Node, kind: str, status: str) -> bool:
    """Tell whether any Log of this kind and status can match; what else is said is left open."""
    match node:
        case And(parts):
            return all(_may_match(part, kind, status) for part in parts)
        case Or(parts):
            return any(_may_match(part, kind, status) for part in parts)
        case Comparison(field="kind", op="=", value=value):
            return value == kind
        case Comparison(field="status", op="=", value=value):
            return value == status
        case _:
            return True
