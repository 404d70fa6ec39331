"""Records for the store's tests, and a look at what is stored without going through queries."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from kibitz_collector.records import FileReference, LogBody, LogRecord, Tokens
from kibitz_collector.store import Store
from kibitz_collector.store.bodies import decode_bodies, to_values
from kibitz_collector.store.rows import table
from kibitz_collector.store.tables.logs import Log
from kibitz_collector.store.tables.logs import LogBody as LogBodyTable

TRACE = "0af7651916cd43dd8448eb211c80319c"
START_NS = 1_790_000_000_000_000_000
WORKSPACE = 1
# What depends on the order or the moment of arrival by definition.
ARRIVAL = {"seq", "received_ns", "final_ns"}


def log(id_: str, parent: str | None = None, **fields: Any) -> LogRecord:
    """Return a complete model call of one second."""
    values: dict[str, Any] = {
        "id": id_,
        "kind": "prompt",
        "name": f"call {id_}",
        "start_ns": START_NS,
        "end_ns": START_NS + 10**9,
        "trace_id": TRACE,
        "trace_parent_id": parent,
    }
    return LogRecord(**{**values, **fields})


def model_call(id_: str, parent: str | None = None, **fields: Any) -> LogRecord:
    """Return a model call with tokens, cost, a File and a body."""
    values: dict[str, Any] = {
        "model": "gpt-4o",
        "provider": "openai",
        "tokens": Tokens(input_uncached=100, output=20),
        "cost_usd": 0.0015,
        "file": FileReference(kind="prompt", path="support/reply", content={"model": "gpt-4o"}),
        "body": LogBody(
            inputs={"question": "where is my order?"},
            messages=[{"role": "user", "content": "where is my order?"}],
            output="on its way",
        ),
    }
    return log(id_, parent, **{**values, **fields})


def rows(store: Store, model: Any, workspace_id: int | None = None) -> list[dict[str, Any]]:
    """Return a table's rows (of one workspace) in the order of its primary key."""
    target = table(model)
    statement = select(target).order_by(*target.primary_key)
    if workspace_id is not None:
        statement = statement.where(target.c.workspace_id == workspace_id)
    with store.read() as session:
        found = session.connection().execute(statement)
        return [dict(row) for row in found.mappings()]


def stored(store: Store, id_: str) -> dict[str, Any]:
    """Return one Log's row without what depends on arrival, and its body under "body"."""
    target, body = table(Log), table(LogBodyTable)
    with store.read() as session:
        row = dict(
            session.connection().execute(select(target).where(target.c.id == id_)).mappings().one()
        )
        document = session.connection().execute(
            select(body.c.document).where(body.c.seq == row["seq"])
        )
        values = to_values(decode_bodies(session, WORKSPACE, [document.scalar()])[0])
    return {**{k: v for k, v in row.items() if k not in ARRIVAL}, "body": values}


def ingest_each(store: Store, records: Iterable[LogRecord]) -> None:
    """Store records one transaction each."""
    for record in records:
        store.ingest(WORKSPACE, [record])
