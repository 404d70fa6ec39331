"""Between a `LogRecord` and the columns of the `log` table; what both databases can store."""

import hashlib
from operator import itemgetter
from typing import Any, cast

import orjson
from sqlalchemy import Table

from kibitz_collector.records import FileReference, LogBody, LogRecord, Tokens

Row = dict[str, Any]
"""One row of `log`, by column name."""
MetadataValue = tuple[str, str, float | None]
"""Key, value as text, and the number if it is one."""

INHERITS_TRACE, INHERITS_SESSION, INHERITS_USER = 1, 2, 4
TOKEN_COLUMNS = (
    "tokens_input_uncached",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_output",
    "tokens_reasoning",
)
_INT64_MAX = 2**63 - 1


def table(model: Any) -> Table:
    """Return the Core table of a model: bulk reads and writes make no objects."""
    return cast(Table, model.__table__)


def storable(text: str) -> str:
    """Replace what PostgreSQL refuses in text (NUL) and what has no encoding (lone surrogates)."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def join_flags(flags: list[str]) -> str:
    """Write flags as one text that `LIKE '%|flag|%'` finds them in."""
    return f"|{'|'.join(sorted(set(flags)))}|" if flags else ""


def split_flags(text: str) -> list[str]:
    """Read what `join_flags` wrote."""
    return text.strip("|").split("|") if text else []


def is_final(status: str) -> bool:
    """Tell whether nothing more is awaited of a Log with this status."""
    return status != "incomplete"


def may_be_judged(status: str) -> bool:
    """Tell whether evaluation jobs may exist for a Log with this status."""
    return status in ("complete", "error")


def own_trace_id(log_id: str) -> str:
    """Return the trace id of a Log that came without one and has no parent."""
    return hashlib.blake2b(log_id.encode("utf-8", "replace"), digest_size=16).hexdigest()


def to_row(
    record: LogRecord, workspace_id: int, file_id: str | None, version_id: str | None, now_ns: int
) -> Row:
    """Return the columns of a Log seen for the first time; no `seq` yet."""
    start_ns, end_ns = record.start_ns, record.end_ns
    uncached = read = write = output = reasoning = None
    if (tokens := record.tokens) is not None:
        uncached, read, write = tokens.input_uncached, tokens.cache_read, tokens.cache_write
        output, reasoning = tokens.output, tokens.reasoning
    row: Row = {
        "seq": None,
        "workspace_id": workspace_id,
        "id": record.id,
        "kind": record.kind,
        "name": record.name,
        "trace_id": record.trace_id or None,
        "span_id": record.span_id or None,
        "trace_parent_id": record.trace_parent_id or None,
        "parent_id": record.parent_id or None,
        "session_id": record.session_id or None,
        "user": record.user or None,
        "file_id": file_id,
        "version_id": version_id,
        "environment": record.environment or None,
        "service": record.service or None,
        "source": record.source,
        "start_ns": start_ns if 0 <= start_ns <= _INT64_MAX else _time(start_ns),
        "end_ns": end_ns if end_ns is None or 0 <= end_ns <= _INT64_MAX else _time(end_ns),
        "duration_ms": None,
        "status": record.status,
        "error_type": record.error_type or None,
        "provider": record.provider or None,
        "model": record.model or None,
        "model_served": record.model_served or None,
        "tokens_input_uncached": uncached if uncached is None else _count(uncached),
        "tokens_cache_read": read if read is None else _count(read),
        "tokens_cache_write": write if write is None else _count(write),
        "tokens_output": output if output is None else _count(output),
        "tokens_reasoning": reasoning if reasoning is None else _count(reasoning),
        "cost_usd": _real(record.cost_usd),
        "cost_reported_usd": _real(record.cost_reported_usd),
        "time_to_first_token_ms": _real(record.time_to_first_token_ms),
        "finish_reason": record.finish_reason or None,
        "response_id": record.response_id or None,
        "flags": join_flags(record.flags) if record.flags else "",
        "keep_probability": _real(record.keep_probability) or 1.0,
        "mapper_version": record.mapper_version,
        "run_id": record.run_id or None,
        "datapoint_id": record.datapoint_id or None,
        "received_ns": now_ns,
        "final_ns": None,
        "is_genai": record.is_genai,
        "is_hidden": not record.is_genai,
        "is_start": record.is_start,
        "is_covered": False,
        "is_top": True,
        "inherits": 0,
        "weak": None,
    }
    texts = _said(row)
    said = "".join(filter(None, texts))
    if not said.isascii() or "\0" in said:  # one look at all: hardly any is not plain
        row.update(
            {name: text and storable(text) for name, text in zip(_TEXTS, texts, strict=True)}
        )
    if row["trace_parent_id"] == row["id"]:
        row["trace_parent_id"] = None
    settle(row, now_ns)
    return row


_TEXTS = (
    "id",
    "name",
    "trace_id",
    "span_id",
    "trace_parent_id",
    "parent_id",
    "session_id",
    "user",
    "environment",
    "service",
    "error_type",
    "provider",
    "model",
    "model_served",
    "finish_reason",
    "response_id",
    "flags",
    "run_id",
    "datapoint_id",
)
"""Columns that hold what somebody wrote."""
_said = itemgetter(*_TEXTS)


def settle(row: Row, now_ns: int) -> None:
    """Fill in what follows from other columns: duration, final time, which ids may be inherited."""
    start_ns, end_ns = row["start_ns"], row["end_ns"]
    row["duration_ms"] = None if end_ns is None else max(0, end_ns - start_ns) / 1e6
    if row["final_ns"] is None and is_final(row["status"]):
        row["final_ns"] = now_ns
    inherits = row["inherits"]
    if row["trace_id"] is None:
        inherits |= INHERITS_TRACE
        # A judgment's own place is under the judged Log; it starts no trace.
        if row["trace_parent_id"] is None and row["parent_id"] is None:
            row["trace_id"] = own_trace_id(row["id"])
    if row["session_id"] is None:
        inherits |= INHERITS_SESSION
    if row["user"] is None:
        inherits |= INHERITS_USER
    row["inherits"] = inherits


def disinherit(row: Row) -> None:
    """Leave only what the Log itself has said; what it inherited is worked out again."""
    inherits = row["inherits"]
    if inherits & INHERITS_TRACE:
        row["trace_id"] = None
    if inherits & INHERITS_SESSION:
        row["session_id"] = None
    if inherits & INHERITS_USER:
        row["user"] = None
    row["inherits"] = 0


def to_record(row: Row, body: LogBody, file: FileReference | None) -> LogRecord:
    """Return the Log as it is stored, for what happens on its arrival."""
    return LogRecord(
        id=row["id"],
        kind=row["kind"],
        name=row["name"],
        start_ns=row["start_ns"],
        end_ns=row["end_ns"],
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        trace_parent_id=row["trace_parent_id"],
        parent_id=row["parent_id"],
        session_id=row["session_id"],
        file=file,
        environment=row["environment"],
        service=row["service"],
        source=row["source"],
        user=row["user"],
        status=row["status"],
        error_type=row["error_type"],
        provider=row["provider"],
        model=row["model"],
        model_served=row["model_served"],
        tokens=to_tokens(row),
        cost_usd=row["cost_usd"],
        cost_reported_usd=row["cost_reported_usd"],
        time_to_first_token_ms=row["time_to_first_token_ms"],
        finish_reason=row["finish_reason"],
        response_id=row["response_id"],
        flags=split_flags(row["flags"]),
        keep_probability=row["keep_probability"],
        mapper_version=row["mapper_version"],
        run_id=row["run_id"],
        datapoint_id=row["datapoint_id"],
        is_start=row["is_start"],
        is_genai=row["is_genai"],
        body=body,
    )


def to_tokens(row: Row) -> Tokens | None:
    """Return the five counts of a row; None when none is known."""
    counts = [row[column] for column in TOKEN_COLUMNS]
    if all(count is None for count in counts):
        return None
    return Tokens(
        input_uncached=counts[0],
        cache_read=counts[1],
        cache_write=counts[2],
        output=counts[3],
        reasoning=counts[4],
    )


def metadata_values(metadata: dict[str, Any] | None) -> list[MetadataValue]:
    """Return what `log_metadata` holds of a Log."""
    if not metadata:
        return []
    found: dict[str, MetadataValue] = {}
    for key, value in list(metadata.items())[:MAX_METADATA_KEYS]:
        number = None
        if isinstance(value, str):
            text = storable(value[:MAX_METADATA_VALUE])
        else:
            text = orjson.dumps(value, default=str).decode()[:MAX_METADATA_VALUE]
            if isinstance(value, int | float) and not isinstance(value, bool):
                number = _real(value)
        name = storable(key[:MAX_METADATA_VALUE])
        found[name] = (name, text, number)
    return list(found.values())


MAX_METADATA_KEYS = 64
MAX_METADATA_VALUE = 256


def _time(time_ns: int) -> int:
    return max(0, min(time_ns, _INT64_MAX))


def _count(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _INT64_MAX >> 10 else None


def _real(value: float | None) -> float | None:
    # SQLite turns NaN into NULL, PostgreSQL keeps it: neither is a number to add up.
    return None if value is None or value - value != 0 else float(value)
