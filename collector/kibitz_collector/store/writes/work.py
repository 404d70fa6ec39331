"""One batch on its way through ingest: gathered and merged in memory, written table by table."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.engine import Connection

from kibitz_collector.records import FileReference, IngestOutcome, LogRecord
from kibitz_collector.store import dialect
from kibitz_collector.store.bodies import (
    EncodedBody,
    SeenHashes,
    Values,
    decode_values,
    encode_values,
    load_contents,
    references,
    to_values,
)
from kibitz_collector.store.bulk import is_among
from kibitz_collector.store.merge import (
    Facts,
    collides,
    give_other_id,
    is_verdict_again,
    merge,
    read_facts,
)
from kibitz_collector.store.rows import Row, to_row
from kibitz_collector.store.writes.arrivals import Arrival
from kibitz_collector.store.writes.files import FILE, FileIds
from kibitz_collector.store.writes.judgments import NewJudgment
from kibitz_collector.store.writes.pieces import (
    BODY,
    Piece,
    note_changes,
    write_bodies,
    write_metadata,
    write_rows,
)
from kibitz_collector.store.writes.prepared import Prepared
from kibitz_collector.store.writes.traces import load_traces
from kibitz_collector.store.writes.tree import Node, Tree, load_rows, settle_tree


class Work:
    """One batch on its way through: gathers in memory, then writes table by table."""

    def __init__(
        self, connection: Connection, workspace_id: int, seen: SeenHashes, now_ns: int
    ) -> None:
        self._connection = connection
        self._workspace_id = workspace_id
        self._seen = seen
        self._now_ns = now_ns
        self._pieces: dict[str, Piece] = {}
        self._order: list[tuple[Piece, bool]] = []  # (its Log, is it new), as the batch came
        self._documents: dict[int, bytes] = {}  # seq -> body as stored before this batch
        self.traces: dict[str, Row] = {}

    def take(self, batch: Sequence[Prepared], files: Sequence[FileIds | None]) -> None:
        """Make rows of the records and merge those whose Log is known or comes twice."""
        rows = []
        for prepared, ids in zip(batch, files, strict=True):
            file_id, version = ids or (None, None)
            rows.append(to_row(prepared.record, self._workspace_id, file_id, version, self._now_ns))
        ids_ = {row["id"] for row in rows}
        stored = load_rows(self._connection, self._workspace_id, ids_)
        if stored or len(ids_) < len(rows):
            self._give_other_ids(batch, rows, stored)
        values = self._stored_values([stored[row["id"]] for row in rows if row["id"] in stored])
        for prepared, row in zip(batch, rows, strict=True):
            id_ = row["id"]
            if id_ in stored or id_ in self._pieces:
                self._add_to(prepared.record, row, stored, values)
                continue
            record, body = prepared.record, prepared.body
            piece = self._pieces[id_] = Piece(
                Node(row, None),
                record,
                body,
                prepared.text,
                record.file,
                record.judgment,
                body.document is not None,
            )
            self._order.append((piece, True))

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
        if not by_seq:
            return {}
        found = self._connection.execute(
            select(BODY.c.seq, BODY.c.document).where(
                is_among(self._connection, BODY.c.seq, sorted(by_seq))
            )
        )
        documents = {seq: document for seq, document in found}
        self._documents.update(documents)
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

    def _add_to(
        self,
        record: LogRecord,
        row: Row,
        stored: dict[str, Row],
        stored_values: dict[str, tuple[Values, bool]],
    ) -> None:
        """Merge a record into its Log, which is stored or came earlier in the batch."""
        id_ = row["id"]
        piece = self._pieces.get(id_)
        if piece is None:
            values, has_body = stored_values.get(id_, ({}, False))
            piece = self._pieces[id_] = self._known(record, stored[id_], values, has_body)
        self._order.append((piece, False))
        if not is_verdict_again(piece.node.row, row):
            self._merge(piece, record, row)

    def _known(self, record: LogRecord, old: Row, values: Values, has_body: bool) -> Piece:
        facts = read_facts(old, values)
        return Piece(
            Node(facts.row, old),
            record,
            EncodedBody(None),
            text=None,
            file=None,
            judgment=None,
            body_changed=False,
            has_body=has_body,
            values=values,
            weak=facts.weak,
        )

    def _merge(self, piece: Piece, record: LogRecord, row: Row) -> None:
        if piece.values is None:
            piece.values = to_values(piece.record.body)
            piece.text = None
        before = Facts(piece.node.row, piece.values, set(piece.weak))
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
        concerned = _traces(tree)
        self.traces = load_traces(self._connection, self._workspace_id, concerned)
        settle_tree(self._connection, self._workspace_id, tree, set(self.traces))
        late = _traces(tree) - concerned
        self.traces.update(load_traces(self._connection, self._workspace_id, late))
        self._show(tree)
        return tree

    def _show(self, tree: Tree) -> None:
        """A plain span is shown when its trace holds a GenAI Log."""
        genai = {trace_id for trace_id, trace in self.traces.items() if trace["genai_count"]}
        plain = []
        for node in tree.nodes.values():
            row = node.row
            if row["is_genai"]:
                row["is_hidden"] = False
                genai.add(row["trace_id"])
            else:
                plain.append(row)
        genai.discard(None)
        for row in plain:
            row["is_hidden"] = row["trace_id"] not in genai

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
        pieces = self._pieces.values()
        write_rows(self._connection, changed)
        write_bodies(self._connection, pieces)
        write_metadata(self._connection, self._workspace_id, pieces)
        note_changes(self._connection, pieces, self._documents)

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
        return [
            Arrival(
                piece.node.row,
                piece.record.body if piece.values is None else piece.values,
                piece.file,
                piece.judgment,
            )
            for piece in self._pieces.values()
            if piece.body_changed or piece.node.is_changed
        ]

    def _find_files(self) -> None:
        """Name the File of Logs whose last piece did not."""
        nameless = [
            piece
            for piece in self._pieces.values()
            if piece.file is None and piece.node.row["file_id"] is not None
        ]
        if not nameless:
            return
        wanted = sorted({piece.node.row["file_id"] for piece in nameless})
        rows = self._connection.execute(
            select(FILE.c.id, FILE.c.kind, FILE.c.path, FILE.c.is_derived).where(
                is_among(self._connection, FILE.c.id, wanted)
            )
        )
        files = {
            file_id: FileReference(kind=kind, path=path, is_derived=is_derived)
            for file_id, kind, path, is_derived in rows
        }
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
            IngestOutcome(log_id=row["id"], is_new=is_new, seq=row["seq"])
            for row, is_new in ((piece.node.row, is_new) for piece, is_new in self._order)
        ]


def _traces(tree: Tree) -> set[str]:
    """Return the traces that Logs in hand are in, or were in before."""
    nodes = tree.nodes.values()
    found = {node.row["trace_id"] for node in nodes}
    found |= {node.old["trace_id"] for node in nodes if node.old is not None}
    found.discard(None)
    return found
