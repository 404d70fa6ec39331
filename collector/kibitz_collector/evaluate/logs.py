"""Turns stored Logs into what an evaluator receives: one dict with the keys of a v5 Log."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kibitz_collector.records import (
    FileKind,
    FileReference,
    Json,
    LogDetail,
    LogRecord,
    LogSummary,
    Tokens,
)

MAX_TREE_LOGS = 2_000
MAX_TREE_DEPTH = 50
"""Logs deeper down are shown on this level: JSON nests only so far."""
_FILE_KINDS: dict[str, FileKind] = {
    kind: kind for kind in ("prompt", "tool", "flow", "agent", "evaluator", "dataset")
}


def evaluator_log(detail: LogDetail) -> dict[str, Any]:
    """Return one Log as an evaluator sees it, without its trace.

    Shape: the v5 Log keys, and `kind`, `name`, `path`, `model`, `provider`, `children` (empty).
    """
    summary, body = detail.summary, detail.body
    error = body.error
    log: dict[str, Any] = {
        "id": summary.id,
        "kind": summary.kind,
        "name": summary.name,
        "path": summary.file_path,
        "inputs": body.inputs or {},
        "output": body.output,
        "output_message": body.output_message,
        "messages": body.messages or [],
        "tools": body.tools or [],
        "error": _error_text(error.type, error.message) if error else summary.error_type,
        "error_type": summary.error_type,
        "log_status": "complete" if summary.status in ("complete", "error") else "incomplete",
        "model": summary.model,
        "provider": summary.provider,
        "metadata": body.metadata or {},
        "tags": body.tags or [],
        "user": summary.user,
        "session_id": summary.session_id,
        "environment": summary.environment,
        "source": summary.source,
        "trace_id": summary.trace_id,
        "trace_parent_id": summary.trace_parent_id,
        "start_time": _iso(summary.start_ns),
        "end_time": None if summary.end_ns is None else _iso(summary.end_ns),
        "created_at": _iso(summary.received_ns),
        "provider_latency": None if summary.duration_ms is None else summary.duration_ms / 1000,
        "prompt_tokens": _sum(summary.tokens, "input_uncached", "cache_read", "cache_write"),
        "output_tokens": _sum(summary.tokens, "output", "reasoning"),
        "reasoning_tokens": summary.tokens.reasoning,
        "cost": summary.cost_usd if summary.cost_usd is not None else summary.cost_reported_usd,
        "finish_reason": summary.finish_reason,
        "stdout": body.stdout,
        "children": [],
    }
    if summary.kind in _FILE_KINDS:
        log[summary.kind] = _version(summary, body.parameters or {})
    return log


def add_version(log: Json, content: Json) -> None:
    """Let a Log say of its Version all that it is made of: its template too."""
    kind = str(log["kind"])
    if isinstance(log.get(kind), dict):
        log[kind] = {**content, **log[kind]}


def evaluator_tree(root_id: str, details: Sequence[LogDetail]) -> dict[str, Any] | None:
    """Return a Log with all Logs below it nested in `children`; None: it is not among them."""
    by_parent: dict[str | None, list[LogDetail]] = {}
    root = None
    for detail in details:
        if detail.summary.id == root_id:
            root = detail
        else:
            by_parent.setdefault(detail.summary.trace_parent_id, []).append(detail)
    if root is None:
        return None
    tree = evaluator_log(root)
    # Each Log is taken from `by_parent` once, so a cycle ends.
    level, depth, left = [(root_id, tree)], 0, MAX_TREE_LOGS
    while level and left > 0:
        depth += 1
        below = []
        for parent_id, place in level:
            children = by_parent.pop(parent_id, [])
            children.sort(key=lambda child: (child.summary.start_ns, child.summary.seq))
            for child in children[:left]:
                log = evaluator_log(child)
                place["children"].append(log)
                below.append((child.summary.id, log if depth < MAX_TREE_DEPTH else place))
            left -= len(children)
        level = below
    return tree


def record_of(detail: LogDetail) -> LogRecord:
    """Return a stored Log in the form that monitors match."""
    summary = detail.summary
    kind = _FILE_KINDS.get(summary.kind)
    file = None
    if kind is not None and summary.file_path is not None:
        file = FileReference(kind=kind, path=summary.file_path, version_id=summary.version_id)
    return LogRecord(
        id=summary.id,
        kind=summary.kind,
        name=summary.name,
        start_ns=summary.start_ns,
        end_ns=summary.end_ns,
        trace_id=summary.trace_id,
        span_id=summary.span_id,
        trace_parent_id=summary.trace_parent_id,
        parent_id=summary.parent_id,
        session_id=summary.session_id,
        file=file,
        environment=summary.environment,
        service=summary.service,
        source=summary.source,
        user=summary.user,
        status=summary.status,
        error_type=summary.error_type,
        provider=summary.provider,
        model=summary.model,
        model_served=summary.model_served,
        tokens=summary.tokens,
        cost_usd=summary.cost_usd,
        cost_reported_usd=summary.cost_reported_usd,
        time_to_first_token_ms=summary.time_to_first_token_ms,
        finish_reason=summary.finish_reason,
        flags=summary.flags,
        keep_probability=summary.keep_probability,
        is_genai=summary.kind != "span",
        body=detail.body,
    )


def _version(summary: LogSummary, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        **parameters,
        "id": summary.file_id,
        "version_id": summary.version_id,
        "path": summary.file_path,
        **({"model": summary.model, "provider": summary.provider} if summary.model else {}),
    }


def _error_text(kind: str | None, message: str | None) -> str:
    return ": ".join(part for part in (kind, message) if part) or "error"


def _sum(tokens: Tokens, *names: str) -> int | None:
    known = [n for n in (getattr(tokens, name) for name in names) if n is not None]
    return sum(known) if known else None


def _iso(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.isoformat()
