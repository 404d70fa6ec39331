"""Changes a stored Log as told: what is named is set, None clears, all else stays as it is.

Unlike `ingest`, which only adds what is missing, this is for a caller who knows better: the API's
PATCH. Sums and traces are corrected by the difference, the text index is told, monitors run again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection
from sqlmodel import Session

from kibitz_collector.errors import NotFound
from kibitz_collector.records import FileReference
from kibitz_collector.store import dialect
from kibitz_collector.store.bodies import (
    EncodedBody,
    SeenHashes,
    Values,
    decode_values,
    encode_values,
    load_contents,
    references,
)
from kibitz_collector.store.contribution import has_usage
from kibitz_collector.store.rows import Row, settle, table
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable
from kibitz_collector.store.tables.logs import LogMetadata
from kibitz_collector.store.tables.search import SearchPending
from kibitz_collector.store.writes import jobs
from kibitz_collector.store.writes.arrivals import Arrival
from kibitz_collector.store.writes.content import ContentCache, store_contents
from kibitz_collector.store.writes.cover import uncover
from kibitz_collector.store.writes.files import FILE
from kibitz_collector.store.writes.pieces import write_keys
from kibitz_collector.store.writes.rollups import update_rollups
from kibitz_collector.store.writes.traces import load_traces, update_sessions, update_traces
from kibitz_collector.store.writes.tree import LOG, Node, Tree, load_rows, settle_tree

BODY, METADATA = table(LogBodyTable), table(LogMetadata)
SEARCH_PENDING = table(SearchPending)


@dataclass(slots=True, kw_only=True)
class LogPatch:
    """What to change of a Log."""

    columns: Row = field(default_factory=dict)  # of the `log` table
    body: Values = field(default_factory=dict)  # fields of a LogBody; None clears
    api_fields: Values = field(default_factory=dict)  # keys of LogBody.api_fields; None clears


def update_log(
    session: Session,
    workspace_id: int,
    log_id: str,
    patch: LogPatch,
    *,
    match_monitors: bool = True,
) -> int:
    """Change a Log; returns how many evaluation jobs that made.

    Raises: NotFound.
    """
    connection, now_ns = session.connection(), time.time_ns()
    dialect.lock_traces(connection, workspace_id, None, now_ns)
    old = load_rows(connection, workspace_id, [log_id]).get(log_id)
    if old is None:
        raise NotFound(f"no Log {log_id!r}")
    document, values = _load_values(connection, workspace_id, old["seq"])
    node = Node(_patch_row(old, patch, now_ns), old)
    changed_values = _patch_values(values, patch, is_open=node.row["status"] == "incomplete")
    has_changed_body = changed_values != values
    changed = _settle(connection, workspace_id, node)
    _write_rows(connection, changed)
    if has_changed_body:
        body = encode_values(changed_values, SeenHashes())
        store_contents(connection, workspace_id, body.contents, ContentCache(), {})
        _write_body(connection, old["seq"], body)
        _write_metadata(connection, workspace_id, old["seq"], changed_values.get("metadata"))
        _mark_for_index(connection, old, document)
    _add_up(connection, workspace_id, changed, now_ns)
    if not match_monitors or not (changed or has_changed_body):
        return 0
    arrival = _arrival(connection, node, changed_values)
    return jobs.enqueue_arrivals(session, workspace_id, [arrival])


def _load_values(
    connection: Connection, workspace_id: int, seq: int
) -> tuple[bytes | None, Values]:
    document = connection.execute(select(BODY.c.document).where(BODY.c.seq == seq)).scalar()
    if document is None:
        return None, {}
    contents = load_contents(connection, workspace_id, references([document]))
    return document, decode_values(document, contents)


def _patch_values(values: Values, patch: LogPatch, *, is_open: bool) -> Values:
    changes = dict(patch.body)
    told = {**(values.get("api_fields") or {}), **patch.api_fields}
    if not is_open:  # else what completes it knows better
        told["patched"] = sorted({*(told.get("patched") or ()), *patch.columns, *patch.body})
    changes["api_fields"] = {k: v for k, v in told.items() if v is not None} or None
    changed = {**values, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def _patch_row(old: Row, patch: LogPatch, now_ns: int) -> Row:
    row = {**old, **patch.columns}
    if row["status"] != "incomplete":
        row["is_start"] = False  # somebody has said how it ended: it is whole
    settle(row, now_ns)
    return row


def _settle(connection: Connection, workspace_id: int, node: Node) -> Sequence[Node]:
    """Let the Log's relatives take over what has changed; returns all that must be written."""
    tree = Tree()
    tree.add(node)
    trace_id = node.row["trace_id"]
    settle_tree(connection, workspace_id, tree, set() if trace_id is None else {trace_id})
    assert node.old is not None
    if has_usage(node.old) and not has_usage(node.row):
        uncover(connection, workspace_id, tree, [node.row])
    return [one for one in tree.nodes.values() if one.is_changed]


def _write_rows(connection: Connection, nodes: Sequence[Node]) -> None:
    for node in sorted(nodes, key=lambda node: int(node.row["seq"])):
        assert node.old is not None
        changes = {k: v for k, v in node.row.items() if node.old[k] != v}
        connection.execute(update(LOG).where(LOG.c.seq == node.row["seq"]).values(**changes))


def _write_body(connection: Connection, seq: int, body: EncodedBody) -> None:
    if body.document is None:
        connection.execute(delete(BODY).where(BODY.c.seq == seq))
        return
    columns = {
        "preview_input": body.preview_input,
        "preview_output": body.preview_output,
        "document": body.document,
    }
    connection.execute(
        dialect.insert(connection, BODY)
        .values(seq=seq, **columns)
        .on_conflict_do_update(index_elements=["seq"], set_=columns)
    )


def _write_metadata(
    connection: Connection, workspace_id: int, seq: int, metadata: dict[str, Any] | None
) -> None:
    connection.execute(delete(METADATA).where(METADATA.c.seq == seq))
    write_keys(connection, workspace_id, [(seq, metadata)])


def _mark_for_index(connection: Connection, old: Row, document: bytes | None) -> None:
    """Leave what the indexed text was made of, unless an earlier change has left it already."""
    connection.execute(
        dialect.insert(connection, SEARCH_PENDING)
        .values(seq=old["seq"], kind=old["kind"], document=document)
        # Touches the row that is there: the indexer must not delete it before we commit.
        .on_conflict_do_update(index_elements=["seq"], set_={"kind": SEARCH_PENDING.c.kind})
    )


def _add_up(
    connection: Connection, workspace_id: int, changed: Sequence[Node], now_ns: int
) -> None:
    trace_ids = {
        trace_id
        for node in changed
        for row in (node.row, node.old)
        if row is not None and (trace_id := row["trace_id"]) is not None
    }
    traces = load_traces(connection, workspace_id, trace_ids)
    update_traces(connection, workspace_id, changed, traces, now_ns)
    update_sessions(connection, workspace_id, changed, now_ns)
    update_rollups(connection, changed)


def _arrival(connection: Connection, node: Node, values: Values) -> Arrival:
    row, file = node.row, None
    found = connection.execute(
        select(FILE.c.kind, FILE.c.path, FILE.c.is_derived).where(FILE.c.id == row["file_id"])
    ).first()
    if found is not None:
        file = FileReference(kind=found.kind, path=found.path, is_derived=found.is_derived)
    return Arrival(row, values, file, is_patch=True)
