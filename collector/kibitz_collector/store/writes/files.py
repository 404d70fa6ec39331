"""Makes Files and Versions on demand, in bulk."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import select, tuple_, update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.errors import Conflict
from kibitz_collector.files.identity import FILE_PREFIXES, content_hash, version_id
from kibitz_collector.files.ids import random_id
from kibitz_collector.files.kinds.evaluator import DEFAULT_EVALUATORS
from kibitz_collector.records import FileKind, FileReference, FileRegistration, Json
from kibitz_collector.store import dialect
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.counters import Counter
from kibitz_collector.store.tables.files import Directory, File, Version
from kibitz_collector.store.writes.defaults import (
    DEPLOYMENT,
    ENVIRONMENT,
    deploy_first,
    expect_feedback,
)

FILE, VERSION, DIRECTORY = table(File), table(Version), table(Directory)
COUNTER = table(Counter)
REVISION = "files"
"""The counter that moves whenever a File is moved, or a File or Version is deleted."""
_CHUNK = 400

FileIds = tuple[str, str | None]
"""File id and Version id; no Version when nobody has ever said what the File is."""


@dataclass(slots=True)
class FileCache:
    """What earlier transactions have found or made; good as long as the revision is the same."""

    files: dict[tuple[int, str, str], str] = field(default_factory=dict)  # (workspace, kind, path)
    versions: dict[tuple[str, bytes], str] = field(default_factory=dict)  # (file, content as given)
    limit: int = 20_000
    revision: int = 0

    def add(self, other: "FileCache") -> None:
        """Take over what a transaction found, once it has committed."""
        is_full = len(self.files) + len(self.versions) > self.limit
        if is_full or other.revision != self.revision:
            self.files.clear()
            self.versions.clear()
            self.revision = other.revision
        self.files.update(other.files)
        self.versions.update(other.versions)


def register_file(
    session: Session, workspace_id: int, registration: FileRegistration
) -> tuple[str, str]:
    """Make sure a File and a Version with this content exist; returns their ids."""
    reference = FileReference(
        kind=registration.kind, path=registration.path, content=registration.content
    )
    files = resolve_files(session.connection(), workspace_id, [reference], time.time_ns())
    file_id, version = files[0]
    if version is None:  # registered without content: an empty Version stands for it
        new = _Wanted(file_id, registration.kind, {}, None)
        version = _versions(session.connection(), workspace_id, [new], set(), time.time_ns())[0]
    return file_id, version


def resolve_files(
    connection: Connection,
    workspace_id: int,
    references: Sequence[FileReference],
    now_ns: int,
    cache: FileCache | None = None,
    found: FileCache | None = None,
) -> list[FileIds]:
    """Return the ids of what each reference names, making what is missing.

    `cache` is only read; what this call finds goes into `found`, which the caller adds to the cache
    after its commit.
    """
    cache = cache or FileCache()
    found = found if found is not None else FileCache()
    found.revision = _read_revision(connection)
    if cache.revision != found.revision:
        cache = FileCache()
    file_ids, made = _files(connection, workspace_id, references, now_ns, cache, found)
    described = {f for r, f in zip(references, file_ids, strict=True) if not _is_silent(r)}
    result: list[FileIds] = []
    wanted: list[_Wanted] = []
    for reference, file_id in zip(references, file_ids, strict=True):
        if _is_silent(reference) and (file_id not in made or file_id in described):
            result.append((file_id, None))  # the deployed one, filled in below
            continue
        key = (file_id, _raw(reference))
        known = cache.versions.get(key) or found.versions.get(key)
        result.append((file_id, known))
        if known is None:
            content = _known_content(reference) if _is_silent(reference) else reference.content
            wanted.append(_Wanted(file_id, reference.kind, content, reference.version_id))
            found.versions[key] = ""  # asked for once
    made_ids = _versions(connection, workspace_id, wanted, made, now_ns)
    for want, made_id in zip(wanted, made_ids, strict=True):
        found.versions[(want.file_id, _raw(want))] = made_id
    deployed = _deployed(
        connection,
        {
            file_id
            for reference, (file_id, version) in zip(references, result, strict=True)
            if version is None and _is_silent(reference)
        },
    )
    return [
        (file_id, known or found.versions.get((file_id, _raw(reference))) or deployed.get(file_id))
        for reference, (file_id, known) in zip(references, result, strict=True)
    ]


def forget_files(connection: Connection) -> None:
    """Make every process look Files and Versions up again."""
    connection.execute(
        update(COUNTER).where(COUNTER.c.name == REVISION).values(value=COUNTER.c.value + 1)
    )


def ensure_file(
    connection: Connection, workspace_id: int, kind: FileKind, path: str, now_ns: int
) -> tuple[str, bool]:
    """Return the id of the File at a path, and whether it was made just now.

    Raises: Conflict: a File of another kind is there.
    """
    reference = FileReference(kind=kind, path=path)
    holder = _paths(connection, workspace_id, {path}).get(path)
    if holder is None:
        holder = _make_file(connection, workspace_id, path, reference, now_ns)
    if holder[1] != kind:
        raise Conflict(f"{path!r} is taken by a File of type {holder[1]}")
    return holder[0], holder[2]


def ensure_version(
    connection: Connection,
    workspace_id: int,
    file_id: str,
    kind: FileKind,
    content: Json,
    now_ns: int,
    *,
    is_new_file: bool,
) -> str:
    """Return the id of the Version with this content, making it if needed.

    The first one of a new File is deployed to the default environment.
    """
    wanted = _Wanted(file_id, kind, content, None)
    new_files = {file_id} if is_new_file else set()
    return _versions(connection, workspace_id, [wanted], new_files, now_ns)[0]


def ensure_directories(connection: Connection, workspace_id: int, path: str, now_ns: int) -> None:
    """Make sure that a directory and those above it exist."""
    parts = path.split("/") if path else []
    rows = [
        {
            "id": random_id("dir_"),
            "workspace_id": workspace_id,
            "path": "/".join(parts[: number + 1]),
            "created_ns": now_ns,
            "updated_ns": now_ns,
        }
        for number in range(len(parts))
    ]
    if rows:
        connection.execute(dialect.insert(connection, DIRECTORY).on_conflict_do_nothing(), rows)


@dataclass(slots=True)
class _Wanted:
    file_id: str
    kind: str
    content: dict[str, object]
    version_id: str | None


def _is_silent(reference: FileReference) -> bool:
    """Tell whether the sender named a File and said nothing about its Version."""
    return not reference.content and reference.version_id is None


def _known_content(reference: FileReference) -> Json:
    """Return what a File is known to be made of when its first sender does not say; {}: nothing."""
    known = DEFAULT_EVALUATORS.get(reference.path) if reference.kind == "evaluator" else None
    return dict(known or {})


def _raw(reference: FileReference | _Wanted) -> bytes:
    content = orjson.dumps(reference.content, option=orjson.OPT_SORT_KEYS)
    return content + b"\0" + reference.version_id.encode() if reference.version_id else content


def _files(
    connection: Connection,
    workspace_id: int,
    references: Sequence[FileReference],
    now_ns: int,
    cache: FileCache,
    found: FileCache,
) -> tuple[list[str], set[str]]:
    """Return each reference's File id, and the ids of Files made just now."""
    missing = {
        (r.kind, r.path): r
        for r in references
        if (workspace_id, r.kind, r.path) not in cache.files
        and (workspace_id, r.kind, r.path) not in found.files
    }
    made: set[str] = set()
    if missing:
        taken = _paths(connection, workspace_id, {path for _kind, path in missing})
        for (kind, path), reference in sorted(missing.items()):
            place = path
            holder = taken.get(path)
            if holder is not None and holder[1] != kind:
                # A path belongs to one File. Another kind of thing there gets a place beside it.
                place = f"{path} ({kind})"
                holder = taken.get(place) or _paths(connection, workspace_id, {place}).get(place)
            if holder is None:
                holder = _make_file(connection, workspace_id, place, reference, now_ns)
                if holder[2]:
                    made.add(holder[0])
                taken[place] = holder
            found.files[(workspace_id, kind, path)] = holder[0]
    ids = [
        cache.files.get((workspace_id, r.kind, r.path))
        or found.files[(workspace_id, r.kind, r.path)]
        for r in references
    ]
    return ids, made


_Holder = tuple[str, str, bool]  # id, kind, made just now


def _paths(connection: Connection, workspace_id: int, paths: set[str]) -> dict[str, _Holder]:
    holders: dict[str, _Holder] = {}
    for part in _chunks(sorted(paths)):
        rows = connection.execute(
            select(FILE.c.path, FILE.c.id, FILE.c.kind).where(
                FILE.c.workspace_id == workspace_id, FILE.c.path.in_(part)
            )
        )
        holders.update({path: (file_id, kind, False) for path, file_id, kind in rows})
    return holders


def _make_file(
    connection: Connection, workspace_id: int, path: str, reference: FileReference, now_ns: int
) -> _Holder:
    file_id = random_id(FILE_PREFIXES[reference.kind])
    ensure_directories(connection, workspace_id, path.rpartition("/")[0], now_ns)
    connection.execute(
        dialect.insert(connection, FILE).on_conflict_do_nothing(),
        {
            "id": file_id,
            "workspace_id": workspace_id,
            "kind": reference.kind,
            "path": path,
            "name": path.rpartition("/")[2] or path,
            "tags": "[]",
            "is_derived": reference.is_derived,
            "created_ns": now_ns,
            "updated_ns": now_ns,
        },
    )
    # Another process may have been first.
    holder = _paths(connection, workspace_id, {path})[path]
    is_made = holder[0] == file_id
    if is_made and reference.kind == "prompt":
        expect_feedback(connection, workspace_id, path, now_ns)
    return holder[0], holder[1], is_made


def _versions(
    connection: Connection,
    workspace_id: int,
    wanted: Sequence[_Wanted],
    new_files: set[str],
    now_ns: int,
) -> list[str]:
    """Return each wanted Version's id; the first one of a new File is deployed to the default."""
    if not wanted:
        return []
    keys = [(want.file_id, content_hash(want.kind, want.content)) for want in wanted]
    _restore_deleted(connection, keys)
    known = _known_versions(connection, keys)
    named = {want.version_id: want.file_id for want in wanted if want.version_id}
    real = _known_ids(connection, workspace_id, named)
    rows = {}
    for want, key in zip(wanted, keys, strict=True):
        if key in known or key in rows or want.version_id in real:
            continue
        rows[key] = {
            "id": want.version_id or version_id(want.kind, *key),
            "workspace_id": workspace_id,
            "file_id": want.file_id,
            "content_hash": key[1],
            "content": orjson.dumps(
                {k: v for k, v in want.content.items() if v is not None},
                option=orjson.OPT_SORT_KEYS,
            ).decode(),
            "created_ns": now_ns,
            "status": "committed",
        }
    if rows:
        connection.execute(
            dialect.insert(connection, VERSION).on_conflict_do_nothing(),
            [rows[key] for key in sorted(rows)],
        )
        known = _known_versions(connection, keys)
    ids = [
        real.get(want.version_id or "") or known[key]
        for want, key in zip(wanted, keys, strict=True)
    ]
    first = {file_id: id_ for (file_id, _), id_ in zip(reversed(keys), reversed(ids), strict=True)}
    deploy_first(
        connection, workspace_id, {f: v for f, v in first.items() if f in new_files}, now_ns
    )
    return ids


def _restore_deleted(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Bring a deleted Version back when its content is seen again: an id means one content."""
    for part in _chunks(sorted(set(keys))):
        connection.execute(
            update(VERSION)
            .where(
                tuple_(VERSION.c.file_id, VERSION.c.content_hash).in_(part),
                VERSION.c.status == "deleted",
            )
            .values(status="committed")
        )


def _read_revision(connection: Connection) -> int:
    statement = select(COUNTER.c.value).where(COUNTER.c.name == REVISION)
    revision: int = connection.execute(statement).scalar_one()
    return revision


def _known_versions(
    connection: Connection, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    known = {}
    for part in _chunks(sorted(set(keys))):
        rows = connection.execute(
            select(VERSION.c.file_id, VERSION.c.content_hash, VERSION.c.id).where(
                tuple_(VERSION.c.file_id, VERSION.c.content_hash).in_(part)
            )
        )
        known.update({(file_id, hashed): version for file_id, hashed, version in rows})
    return known


def _known_ids(connection: Connection, workspace_id: int, named: dict[str, str]) -> dict[str, str]:
    """Return the Version ids that exist in the File they were named with."""
    known = {}
    for part in _chunks(sorted(named)):
        rows = connection.execute(
            select(VERSION.c.id, VERSION.c.file_id).where(
                VERSION.c.workspace_id == workspace_id, VERSION.c.id.in_(part)
            )
        )
        known.update({version: version for version, file_id in rows if named[version] == file_id})
    return known


def _deployed(connection: Connection, file_ids: set[str]) -> dict[str, str]:
    deployed = {}
    for part in _chunks(sorted(file_ids)):
        rows = connection.execute(
            select(DEPLOYMENT.c.file_id, DEPLOYMENT.c.version_id)
            .join(ENVIRONMENT, ENVIRONMENT.c.id == DEPLOYMENT.c.environment_id)
            .where(
                ENVIRONMENT.c.is_default,
                DEPLOYMENT.c.ended_ns.is_(None),
                DEPLOYMENT.c.file_id.in_(part),
            )
        )
        deployed.update({file_id: version for file_id, version in rows})
    return deployed


def _chunks(items: Sequence[object]) -> Iterable[Sequence[object]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
