"""Stores a batch of Logs in one transaction: merge, settle the tree, write, add up, make jobs."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.records import IngestOutcome
from kibitz_collector.store import dialect
from kibitz_collector.store.bodies import SeenHashes
from kibitz_collector.store.bulk import is_among
from kibitz_collector.store.matching import active_monitors
from kibitz_collector.store.writes import jobs
from kibitz_collector.store.writes.content import ContentCache, store_contents
from kibitz_collector.store.writes.files import FileCache, FileIds, resolve_files
from kibitz_collector.store.writes.judgments import write_judgments
from kibitz_collector.store.writes.prepared import Prepared
from kibitz_collector.store.writes.rollups import update_rollups
from kibitz_collector.store.writes.traces import update_sessions, update_traces
from kibitz_collector.store.writes.tree import LOG
from kibitz_collector.store.writes.work import Work


@dataclass(slots=True)
class Caches:
    """What one writer remembers between transactions."""

    files: FileCache = field(default_factory=FileCache)
    contents: ContentCache = field(default_factory=ContentCache)
    seen: SeenHashes = field(default_factory=SeenHashes)


@dataclass(slots=True)
class Ingested:
    """What a transaction did; `files` and `contents` go to the caches once it has committed."""

    outcomes: list[IngestOutcome]
    job_count: int
    judgment_count: int
    files: FileCache
    contents: dict[tuple[int, bytes], int]
    texts: list[tuple[int, str]]  # (seq, what the text index takes in) of new Logs


def ingest(
    session: Session,
    workspace_id: int,
    batch: Sequence[Prepared],
    *,
    caches: Caches,
    match_monitors: bool,
) -> Ingested:
    """Write a batch of Logs of one workspace."""
    connection = session.connection()
    now_ns = time.time_ns()
    _lock(connection, workspace_id, batch, now_ns)
    found = FileCache()
    stored: dict[tuple[int, bytes], int] = {}
    files = _resolve(connection, workspace_id, batch, now_ns, caches.files, found)
    work = Work(connection, workspace_id, caches.seen, now_ns)
    work.take(batch, files)
    tree = work.settle()
    changed = [node for node in tree.nodes.values() if node.is_changed]
    work.number(changed)
    store_contents(connection, workspace_id, work.contents(), caches.contents, stored)
    work.write(changed)
    woken = update_traces(connection, workspace_id, changed, work.traces, now_ns)
    _show_spans(connection, workspace_id, woken)
    update_sessions(connection, workspace_id, changed, now_ns)
    judgment_count = write_judgments(connection, workspace_id, work.judgments())
    job_count = 0
    if match_monitors and active_monitors(session, workspace_id):
        arrivals = work.arrivals()
        if arrivals:
            job_count = jobs.enqueue_arrivals(session, workspace_id, arrivals)
    # Last: other processes wait for these few rows until we commit.
    update_rollups(connection, changed)
    return Ingested(work.outcomes(), job_count, judgment_count, found, stored, work.texts())


def _lock(
    connection: Connection, workspace_id: int, batch: Sequence[Prepared], now_ns: int
) -> None:
    if connection.dialect.name == "sqlite":
        return
    trace_ids = {prepared.record.trace_id for prepared in batch}
    buckets: set[int] | None = set()
    for trace_id in trace_ids:
        if trace_id is None:
            buckets = None  # it may belong to any trace
            break
        digest = hashlib.blake2b(trace_id.encode("utf-8", "replace"), digest_size=4).digest()
        assert buckets is not None
        buckets.add(int.from_bytes(digest, "big") % dialect.TRACE_BUCKETS)
    dialect.lock_traces(connection, workspace_id, buckets, now_ns)


def _resolve(
    connection: Connection,
    workspace_id: int,
    batch: Sequence[Prepared],
    now_ns: int,
    cache: FileCache,
    found: FileCache,
) -> list[FileIds | None]:
    references_ = [p.record.file for p in batch if p.record.file is not None]
    resolved = iter(resolve_files(connection, workspace_id, references_, now_ns, cache, found))
    return [None if p.record.file is None else next(resolved) for p in batch]


def _show_spans(connection: Connection, workspace_id: int, trace_ids: set[str]) -> None:
    if trace_ids:
        connection.execute(
            update(LOG)
            .where(
                LOG.c.workspace_id == workspace_id,
                is_among(connection, LOG.c.trace_id, sorted(trace_ids)),
                LOG.c.is_hidden,
            )
            .values(is_hidden=False)
        )
