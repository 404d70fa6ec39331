"""One Log of a batch on its way through ingest, and the writing of its row, body and metadata."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.engine import Connection

from kibitz_collector.records import FileReference, Judgment, LogRecord
from kibitz_collector.store.bodies import EncodedBody, Values
from kibitz_collector.store.bulk import Conflict, overwrite, write_many, write_tuples
from kibitz_collector.store.rows import metadata_values, table
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable
from kibitz_collector.store.tables.logs import LogMetadata
from kibitz_collector.store.tables.search import SearchPending
from kibitz_collector.store.writes.tree import LOG, Node

BODY, METADATA = table(LogBodyTable), table(LogMetadata)
SEARCH_PENDING = table(SearchPending)


_BODY_COLUMNS = ("seq", "preview_input", "preview_output", "document")
_METADATA_COLUMNS = ("seq", "key", "workspace_id", "value", "number")


@dataclass(slots=True)
class Piece:
    """One Log of this batch: its node in the tree and what goes with it."""

    node: Node
    record: LogRecord
    body: EncodedBody
    text: str | None  # None: to be read from the database, or changed since it was made
    file: FileReference | None
    judgment: Judgment | None
    body_changed: bool
    has_body: bool = False  # a document is stored already
    values: Values | None = None  # None: as in `record`, which came alone
    weak: Set[str] = frozenset()


def write_rows(connection: Connection, changed: Sequence[Node]) -> None:
    """Write the `log` rows of new and of changed Logs."""
    write_many(connection, LOG, [node.row for node in changed if node.old is None])
    merged = [node for node in changed if node.old is not None]
    if merged:
        _update_rows(connection, merged)


def write_bodies(connection: Connection, pieces: Iterable[Piece]) -> None:
    """Write the documents that are new or have changed."""
    new: list[tuple[Any, ...]] = []
    merged: list[tuple[Any, ...]] = []
    for piece in pieces:
        body = piece.body
        if piece.body_changed and body.document is not None:
            seq = piece.node.row["seq"]
            row = (seq, body.preview_input, body.preview_output, body.document)
            (merged if piece.has_body else new).append(row)
    write_tuples(connection, BODY, _BODY_COLUMNS, new)
    write_tuples(connection, BODY, _BODY_COLUMNS, merged, overwrite)


def write_metadata(connection: Connection, workspace_id: int, pieces: Iterable[Piece]) -> None:
    """Write the metadata keys that filters find Logs by."""
    new: list[tuple[int, Any]] = []
    merged: list[tuple[int, Any]] = []
    for piece in pieces:
        if not piece.body_changed:
            continue
        values, node = piece.values, piece.node
        metadata = piece.record.body.metadata if values is None else values.get("metadata")
        if metadata:
            (new if node.old is None else merged).append((node.row["seq"], metadata))
    write_keys(connection, workspace_id, new)
    write_keys(connection, workspace_id, merged, overwrite)


def write_keys(
    connection: Connection,
    workspace_id: int,
    metadata: Iterable[tuple[int, Any]],
    conflict: Conflict | None = None,
) -> None:
    """Write `log_metadata` rows of Logs, given by their `seq`."""
    rows = [
        (seq, key, workspace_id, value, number)
        for seq, given in metadata
        for key, value, number in metadata_values(given)
    ]
    write_tuples(connection, METADATA, _METADATA_COLUMNS, rows, conflict)


def note_changes(
    connection: Connection, pieces: Iterable[Piece], documents: Mapping[int, bytes]
) -> None:
    """Tell the text index what has changed; `documents`: the bodies as they were, by `seq`.

    It can only take out what it is shown again.
    """
    rows = [
        {
            "seq": (seq := piece.node.row["seq"]),
            "kind": piece.node.old["kind"],
            "document": documents.get(seq),
        }
        for piece in pieces
        if piece.node.old is not None
        and (piece.body_changed or piece.node.old["kind"] != piece.node.row["kind"])
    ]
    write_many(connection, SEARCH_PENDING, rows, _touch)


def _touch(statement: Any, _names: tuple[str, ...]) -> Any:
    # Touches the row that is there: the indexer must not delete it before we commit.
    return statement.on_conflict_do_update(
        index_elements=["seq"], set_={"kind": SEARCH_PENDING.c.kind}
    )


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
