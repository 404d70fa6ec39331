"""One Log of a batch on its way through ingest, and the writing of its row, body and metadata."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.engine import Connection

from kibitz_collector.records import FileReference, Judgment, LogRecord
from kibitz_collector.store.bodies import EncodedBody, Values
from kibitz_collector.store.bulk import overwrite, write_many
from kibitz_collector.store.rows import Row, metadata_rows, table
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable
from kibitz_collector.store.tables.logs import LogMetadata
from kibitz_collector.store.tables.search import SearchPending
from kibitz_collector.store.writes.tree import LOG, Node

BODY, METADATA = table(LogBodyTable), table(LogMetadata)
SEARCH_PENDING = table(SearchPending)


@dataclass(slots=True)
class Piece:
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


def write_rows(connection: Connection, changed: Sequence[Node]) -> None:
    """Write the `log` rows of new and of changed Logs."""
    write_many(connection, LOG, [node.row for node in changed if node.old is None])
    merged = [node for node in changed if node.old is not None]
    if merged:
        _update_rows(connection, merged)


def write_bodies(connection: Connection, pieces: Iterable[Piece]) -> None:
    """Write the documents that are new or have changed."""
    new: list[Row] = []
    merged: list[Row] = []
    for piece in pieces:
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
    write_many(connection, BODY, new)
    if merged:
        connection.execute(
            update(BODY)
            .where(BODY.c.seq == bindparam("the_seq"))
            .values({name: bindparam(name) for name in merged[0] if name != "seq"}),
            [{"the_seq": row.pop("seq"), **row} for row in merged],
        )


def write_metadata(connection: Connection, workspace_id: int, pieces: Iterable[Piece]) -> None:
    """Write the metadata keys that filters find Logs by."""
    new: list[Row] = []
    merged: list[Row] = []
    for piece in pieces:
        if not piece.body_changed:
            continue
        values = piece.values
        metadata = piece.record.body.metadata if values is None else values.get("metadata")
        rows = metadata_rows(metadata, workspace_id)
        for row in rows:
            row["seq"] = piece.node.row["seq"]
        (new if piece.node.old is None else merged).extend(rows)
    write_many(connection, METADATA, new)
    write_many(connection, METADATA, merged, overwrite)


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
