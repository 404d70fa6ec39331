"""Stores a batch of Logs in one transaction: merge, settle the tree, write, add up, make jobs."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.query.text import body_pieces, index_text
from kibitz_collector.records import FileReference, IngestOutcome, Judgment, LogRecord
from kibitz_collector.store import dialect
from kibitz_collector.store.bodies import (
    EncodedBody,
    SeenHashes,
    Values,
    decode_values,
    encode_body,
    encode_values,
    load_contents,
    references,
    to_body,
    to_values,
)
from kibitz_collector.store.merge import (
    Facts,
    collides,
    give_other_id,
    is_verdict_again,
    merge,
    read_facts,
)
from kibitz_collector.store.rows import (
    Row,
    may_be_judged,
    metadata_rows,
    table,
    to_record,
    to_row,
)
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable
from kibitz_collector.store.tables.logs import LogMetadata
from kibitz_collector.store.tables.search import SearchPending
from kibitz_collector.store.writes import jobs
from kibitz_collector.store.writes.arrivals import Arrival
from kibitz_collector.store.writes.content import ContentCache, store_contents
from kibitz_collector.store.writes.files import FILE, FileCache, FileIds, resolve_files
from kibitz_collector.store.writes.judgments import NewJudgment, write_judgments
from kibitz_collector.store.writes.rollups import update_rollups
from kibitz_collector.store.writes.traces import load_traces, update_sessions, update_traces
from kibitz_collector.store.writes.tree import LOG, Node, Tree, load_rows, settle_tree

BODY, METADATA = table(LogBodyTable), table(LogMetadata)
SEARCH_PENDING = table(SearchPending)
_CHUNK = 400


@dataclass(slots=True)
class Prepared:
    """A record with its body encoded: the part that needs no database, done by the caller."""

    record: LogRecord
    body: EncodedBody
    text: str | None = None  # for the text index; None: nobody wants it now

    @property
    def size_bytes(self) -> int:
        """Roughly what it occupies while it waits."""
        return 1000 + 2 * self.body.size_bytes + len(self.text or "")


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


def prepare(record: LogRecord, seen: SeenHashes, wants_text: bool) -> Prepared:
    """Encode a record's body.

    Raises: whatever a value that is not JSON raises; the record is then for the quarantine.
    """
    body = encode_body(record.body, seen)
    text = None
    if wants_text and body.is_as_given:
        text = index_text(body_pieces(record.kind, record.body))
    return Prepared(record, body, text)


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
    work = _Work(connection, workspace_id, caches.seen, now_ns)
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
    if match_monitors:
        arrivals = work.arrivals()
        if arrivals:
            job_count = jobs.enqueue_arrivals(session, workspace_id, arrivals)
    # Last: other processes wait for these few rows until we commit.
    update_rollups(connection, changed)
    return Ingested(work.outcomes(), job_count, judgment_count, found, stored, work.texts())


def _lock(
    connection: Connection, workspace_id: int, batch: Sequence[Prepared], now_ns: int
) -> None:
    buckets: set[int] | None = set()
    for prepared in batch:
        trace_id = prepared.record.trace_id
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


@dataclass(slots=True)
class _Piece:
    """One Log of this batch: its node in the tree and what goes with it."""

    node: Node
    body: EncodedBody
    text: str | None  # None: to be read from the database, or changed since it was made
    values: Values | None  # None: as in `record`, which came alone
    weak: set[str]
    record: LogRecord
    file: FileReference | None
    judgment: Judgment | None
    has_body: bool  # a document is stored already
    body_changed: bool


class _Work:
    """One batch on its way through: gathers in memory, then writes table by table."""

    def __init__(
        self, connection: Connection, workspace_id: int, seen: SeenHashes, now_ns: int
    ) -> None:
        self._connection = connection
        self._workspace_id = workspace_id
        self._seen = seen
        self._now_ns = now_ns
        self._pieces: dict[str, _Piece] = {}
        self._order: list[tuple[str, bool]] = []  # (id, is new), as the batch came
        self._documents: dict[int, bytes] = {}  # seq -> body as stored before this batch
        self.traces: dict[str, Row] = {}

    def take(self, batch: Sequence[Prepared], files: Sequence[FileIds | None]) -> None:
        """Make rows of the records and merge those whose Log is known or comes twice."""
        rows = []
        for prepared, ids in zip(batch, files, strict=True):
            file_id, version = ids or (None, None)
            rows.append(to_row(prepared.record, self._workspace_id, file_id, version, self._now_ns))
        stored = load_rows(self._connection, self._workspace_id, {row["id"] for row in rows})
        self._give_other_ids(batch, rows, stored)
        values = self._stored_values([stored[row["id"]] for row in rows if row["id"] in stored])
        for prepared, row in zip(batch, rows, strict=True):
            self._take_one(prepared, row, stored, values)

    def _give_other_ids(
        self, batch: Sequence[Prepared], rows: list[Row], stored: dict[str, Row]
    ) -> None:
        whole = {id_: row for id_, row in stored.items() if not row["is_start"]}
        moved = False
        for prepared, row in zip(batch, rows, strict=True):
            other = whole.get(row["id"])
            if other is not None and not prepared.record.is_named and collides(other, row):
                give_other_id(row)
                moved = True
            if not row["is_start"]:
                whole.setdefault(row["id"], row)
        if moved:
            missing = {row["id"] for row in rows} - stored.keys()
            stored.update(load_rows(self._connection, self._workspace_id, missing))

    def _stored_values(self, rows: list[Row]) -> dict[str, tuple[Values, bool]]:
        """Return the stored bodies of Logs about to be merged, and whether there is one."""
        by_seq = {row["seq"]: row["id"] for row in rows}
        documents: dict[int, bytes] = {}
        for part in _chunks(sorted(by_seq)):
            found = self._connection.execute(
                select(BODY.c.seq, BODY.c.document).where(BODY.c.seq.in_(part))
            )
            documents.update({seq: document for seq, document in found})
        self._documents.update(documents)
        if not by_seq:
            return {}
        contents = load_contents(
            self._connection, self._workspace_id, references(documents.values())
        )
        return {
            id_: (
                decode_values(documents[seq], contents) if seq in documents else {},
                seq in documents,
            )
            for seq, id_ in by_seq.items()
        }

    def _take_one(
        self,
        prepared: Prepared,
        row: Row,
        stored: dict[str, Row],
        stored_values: dict[str, tuple[Values, bool]],
    ) -> None:
        record, id_ = prepared.record, row["id"]
        piece = self._pieces.get(id_)
        self._order.append((id_, piece is None and id_ not in stored))
        if piece is None:
            old = stored.get(id_)
            if old is None:
                self._pieces[id_] = _Piece(
                    node=Node(row, None),
                    body=prepared.body,
                    text=prepared.text,
                    values=None,
                    weak=set(),
                    record=record,
                    file=record.file,
                    judgment=record.judgment,
                    has_body=False,
                    body_changed=prepared.body.document is not None,
                )
                return
            values, has_body = stored_values.get(id_, ({}, False))
            facts = read_facts(old, values)
            piece = self._pieces[id_] = _Piece(
                node=Node(facts.row, old),
                body=EncodedBody(None),
                text=None,
                values=values,
                weak=facts.weak,
                record=record,
                file=None,
                judgment=None,
                has_body=has_body,
                body_changed=False,
            )
        if not is_verdict_again(piece.node.row, row):
            self._merge(piece, record, row)

    def _merge(self, piece: _Piece, record: LogRecord, row: Row) -> None:
        if piece.values is None:
            piece.values = to_values(piece.record.body)
            piece.text = None
        before = Facts(piece.node.row, piece.values, piece.weak)
        merged = merge(before, Facts(row, to_values(record.body)), self._now_ns)
        if merged.values != piece.values:
            piece.body_changed = True
            piece.body = encode_values(merged.values, self._seen)
        piece.node.row, piece.values, piece.weak = merged.row, merged.values, merged.weak
        if record.file is not None and (piece.file is None or not row["is_start"]):
            piece.file = record.file
        piece.judgment = piece.judgment or record.judgment

    def settle(self) -> Tree:
        """Let the Logs hand each other what they inherit; returns all Logs in hand."""
        tree = Tree()
        for piece in self._pieces.values():
            tree.add(piece.node)
        concerned = {
            trace_id
            for piece in self._pieces.values()
            for row in (piece.node.row, piece.node.old)
            if row is not None and (trace_id := row["trace_id"]) is not None
        }
        self.traces = load_traces(self._connection, self._workspace_id, concerned)
        settle_tree(self._connection, self._workspace_id, tree, set(self.traces))
        late = {
            trace_id
            for node in tree.nodes.values()
            for row in (node.row, node.old)
            if row is not None and (trace_id := row["trace_id"]) is not None
        } - concerned
        self.traces.update(load_traces(self._connection, self._workspace_id, late))
        self._show(tree)
        return tree

    def _show(self, tree: Tree) -> None:
        """A plain span is shown when its trace holds a GenAI Log."""
        genai = {trace_id for trace_id, trace in self.traces.items() if trace["genai_count"]}
        genai |= {node.row["trace_id"] for node in tree.nodes.values() if node.row["is_genai"]}
        genai.discard(None)
        for node in tree.nodes.values():
            row = node.row
            row["is_hidden"] = not row["is_genai"] and row["trace_id"] not in genai

    def number(self, changed: Sequence[Node]) -> None:
        """Give new Logs their `seq`, in the order they came."""
        new = [node.row for node in changed if node.old is None]
        if new:
            for row, seq in zip(new, dialect.next_seqs(self._connection, len(new)), strict=True):
                row["seq"] = seq

    def contents(self) -> dict[bytes, bytes]:
        """Return the shared values the bodies to be written refer to."""
        contents: dict[bytes, bytes] = {}
        for piece in self._pieces.values():
            if piece.body_changed:
                contents.update(piece.body.contents)
        return contents

    def write(self, changed: Sequence[Node]) -> None:
        """Write rows, bodies and metadata keys."""
        new = [node.row for node in changed if node.old is None]
        merged = [node for node in changed if node.old is not None]
        if new:
            dialect.insert_many(self._connection, LOG, new)
        if merged:
            _update_rows(self._connection, merged)
        self._write_bodies()
        self._write_metadata()
        # The text index can only take out what it is shown again: the body as it was.
        reindex = [
            {
                "seq": (seq := piece.node.row["seq"]),
                "kind": piece.node.old["kind"],
                "document": self._documents.get(seq),
            }
            for piece in self._pieces.values()
            if piece.node.old is not None
            and (piece.body_changed or piece.node.old["kind"] != piece.node.row["kind"])
        ]
        if reindex:
            self._connection.execute(
                # Touches the row that is there: the indexer must not delete it before we commit.
                dialect.insert(self._connection, SEARCH_PENDING).on_conflict_do_update(
                    index_elements=["seq"], set_={"kind": SEARCH_PENDING.c.kind}
                ),
                reindex,
            )

    def _write_bodies(self) -> None:
        new: list[Row] = []
        merged: list[Row] = []
        for piece in self._pieces.values():
            body = piece.body
            if not piece.body_changed or body.document is None:
                continue
            row = {
                "seq": piece.node.row["seq"],
                "preview_input": body.preview_input,
                "preview_output": body.preview_output,
                "document": body.document,
            }
            (merged if piece.has_body else new).append(row)
        if new:
            dialect.insert_many(self._connection, BODY, new)
        if merged:
            self._connection.execute(
                update(BODY)
                .where(BODY.c.seq == bindparam("the_seq"))
                .values({name: bindparam(name) for name in merged[0] if name != "seq"}),
                [{"the_seq": row.pop("seq"), **row} for row in merged],
            )

    def _write_metadata(self) -> None:
        rows: list[Row] = []
        for piece in self._pieces.values():
            if not piece.body_changed:
                continue
            metadata = (
                piece.record.body.metadata if piece.values is None else piece.values.get("metadata")
            )
            for row in metadata_rows(metadata, self._workspace_id):
                row["seq"] = piece.node.row["seq"]
                rows.append(row)
        if rows:
            statement = dialect.insert(self._connection, METADATA)
            self._connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["seq", "key"],
                    set_={name: statement.excluded[name] for name in ("value", "number")},
                ),
                rows,
            )

    def judgments(self) -> list[NewJudgment]:
        """Return the judgments that came with evaluator Logs."""
        return [
            NewJudgment(piece.node.row, piece.judgment)
            for piece in self._pieces.values()
            if piece.judgment is not None
        ]

    def arrivals(self) -> list[Arrival]:
        """Return what the evaluation rooms are told: Logs that are new or say more than before."""
        self._find_files()
        arrivals = []
        for piece in self._pieces.values():
            node, row = piece.node, piece.node.row
            if not (node.is_changed or piece.body_changed):
                continue
            body = piece.record.body if piece.values is None else to_body(piece.values)
            record = to_record(row, body, piece.file)
            record.judgment = piece.judgment
            arrivals.append(
                Arrival(
                    record=record,
                    seq=row["seq"],
                    file_id=row["file_id"],
                    version_id=row["version_id"],
                    is_new=node.old is None,
                    is_final=may_be_judged(row["status"]),
                    was_final=node.old is not None and may_be_judged(node.old["status"]),
                )
            )
        return arrivals

    def _find_files(self) -> None:
        """Name the File of Logs whose last piece did not."""
        nameless = [
            piece
            for piece in self._pieces.values()
            if piece.file is None and piece.node.row["file_id"] is not None
        ]
        files: dict[str, FileReference] = {}
        for part in _chunks(sorted({piece.node.row["file_id"] for piece in nameless})):
            rows = self._connection.execute(
                select(FILE.c.id, FILE.c.kind, FILE.c.path, FILE.c.is_derived).where(
                    FILE.c.id.in_(part)
                )
            )
            for file_id, kind, path, is_derived in rows:
                files[file_id] = FileReference(kind=kind, path=path, is_derived=is_derived)
        for piece in nameless:
            piece.file = files.get(piece.node.row["file_id"])

    def texts(self) -> list[tuple[int, str]]:
        """Return what the text index takes in of Logs that came whole and alone."""
        return [
            (piece.node.row["seq"], piece.text)
            for piece in self._pieces.values()
            if piece.text is not None
        ]

    def outcomes(self) -> list[IngestOutcome]:
        """Return what became of each record, in the order given."""
        return [
            IngestOutcome(log_id=id_, is_new=is_new, seq=self._pieces[id_].node.row["seq"])
            for id_, is_new in self._order
        ]


def _update_rows(connection: Connection, nodes: Sequence[Node]) -> None:
    """Write changed rows whole: one statement for all of them."""
    columns = [column.name for column in LOG.columns if column.name != "seq"]
    connection.execute(
        update(LOG)
        .where(LOG.c.seq == bindparam("the_seq"))
        .values({name: bindparam(f"new_{name}") for name in columns}),
        [
            {"the_seq": node.row["seq"], **{f"new_{name}": node.row[name] for name in columns}}
            for node in sorted(nodes, key=lambda node: node.row["seq"])
        ],
    )


def _show_spans(connection: Connection, workspace_id: int, trace_ids: set[str]) -> None:
    for part in _chunks(sorted(trace_ids)):
        connection.execute(
            update(LOG)
            .where(
                LOG.c.workspace_id == workspace_id,
                LOG.c.trace_id.in_(part),
                LOG.c.is_hidden,
            )
            .values(is_hidden=False)
        )


def _chunks(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
