"""From a request about a Log to what the store takes: a record of a new one, a patch of an old."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from kibitz_collector.api.v5.chat_messages import to_message
from kibitz_collector.api.v5.contract import to_ns
from kibitz_collector.api.v5.log_targets import Target
from kibitz_collector.api.v5.models.logs import NewLog
from kibitz_collector.api.v5.models.shared import ChatMessage
from kibitz_collector.errors import Conflict, Invalid
from kibitz_collector.files.ids import random_id
from kibitz_collector.normalize import UserPrices, message_text
from kibitz_collector.normalize.pricing import cost_usd
from kibitz_collector.records import (
    FileKind,
    Json,
    Kind,
    LogBody,
    LogDetail,
    LogError,
    LogRecord,
    LogSummary,
    Status,
    Tokens,
)
from kibitz_collector.store.bodies import Values
from kibitz_collector.store.rows import Row
from kibitz_collector.store.writes.updates import LogPatch

# Kept as they were told beside what we make of them: they come back unchanged.
API_FIELDS = (
    "created_at",
    "provider_latency",
    "prompt_tokens",
    "reasoning_tokens",
    "output_tokens",
    "prompt_cost",
    "output_cost",
    "tool_choice",
    "source",
    "marked_completed",
)
_BODY_FIELDS = ("inputs", "output", "stdout", "provider_request", "provider_response", "metadata")
_PAYLOAD_API_FIELDS = ("tool_choice",)
_STARTS_OPEN: tuple[FileKind, ...] = ("flow",)
_KINDS: dict[FileKind, Kind] = {
    "prompt": "prompt",
    "tool": "tool",
    "flow": "flow",
    "agent": "agent",
    "evaluator": "evaluator",
}


def new_record(kind: FileKind, body: NewLog, target: Target, prices: UserPrices) -> LogRecord:
    """Make the record of a new Log.

    Raises: Invalid: it is said to be complete and lacks what a complete Log needs.
    """
    now_ns = time.time_ns()
    start_ns = to_ns(body.start_time) or to_ns(body.created_at) or now_ns
    status = _first_status(kind, body)
    told = body.model_dump(include=set(API_FIELDS), exclude_none=True, mode="json")
    values = _body_values(body, body.model_dump(exclude_none=True))
    if body.save is False:
        values = {}
        told = {k: v for k, v in told.items() if k not in _PAYLOAD_API_FIELDS} | {"save": False}
    elif kind == "flow" and status != "incomplete":
        check_complete(values)
    error = values.pop("error", None)
    record = LogRecord(
        id=body.log_id or random_id("log_"),
        is_named=True,
        kind=_KINDS[kind],
        name=target.path.rpartition("/")[2],
        start_ns=start_ns,
        end_ns=_first_end(kind, status, body, start_ns, now_ns),
        trace_parent_id=body.trace_parent_id,
        file=target.reference(kind),
        environment=body.environment,
        source="api",
        user=body.user,
        status=status,
        finish_reason=getattr(body, "finish_reason", None),
        run_id=body.run_id,
        datapoint_id=body.source_datapoint_id,
        # An open Log is a start record: its span, or a later request, makes it whole.
        is_start=status == "incomplete",
        body=LogBody(
            **values, error=None if error is None else LogError(**error), api_fields=told or None
        ),
    )
    if kind in ("prompt", "agent"):
        _add_usage(record, told, target.content, prices)
    return record


def new_patch(kind: FileKind, stored: LogDetail, body: BaseModel, prices: UserPrices) -> LogPatch:
    """Make the patch of a stored Log: what was given is set, null clears.

    Raises: Conflict: it is complete and shall be open again. Invalid: it shall be complete and
    lacks what a complete Log needs.
    """
    given = body.model_dump(exclude_unset=True)
    summary = stored.summary
    api_fields = body.model_dump(exclude_unset=True, include=set(API_FIELDS), mode="json")
    is_saved = (stored.body.api_fields or {}).get("save") is not False
    changes = _body_values(body, given) if is_saved else {}
    columns = _columns(given, stored)
    columns["status"] = status = _next_status(stored, given)
    if summary.status == "incomplete" and status != "incomplete":
        columns.setdefault("end_ns", summary.end_ns or time.time_ns())
        if kind == "flow" and is_saved:
            check_complete({**asdict(stored.body), **changes})
    columns |= _usage_columns(summary, given, stored.body.api_fields or {}, prices)
    if not is_saved:
        api_fields = {k: v for k, v in api_fields.items() if k not in _PAYLOAD_API_FIELDS}
    return LogPatch(columns=columns, body=changes, api_fields=api_fields)


def check_complete(values: Mapping[str, Any]) -> None:
    """Refuse a Flow's Log as complete that has nothing to show.

    Raises: Invalid, naming what is missing.
    """
    if values.get("inputs") is None and not values.get("messages"):
        raise Invalid("a complete Log needs inputs; send `inputs` with log_status 'complete'")
    if all(values.get(name) is None for name in ("output", "output_message", "error")):
        raise Invalid(
            "a complete Log needs one of output, output_message and error; send it with "
            "log_status 'complete'"
        )


def _body_values(body: BaseModel, given: Mapping[str, Any]) -> Values:
    """Return the fields of a LogBody that were given, as they are stored."""
    values: Values = {name: given[name] for name in _BODY_FIELDS if name in given}
    if "error" in given:
        values["error"] = None if given["error"] is None else {"message": given["error"]}
    if "messages" in given:
        messages: list[ChatMessage] | None = getattr(body, "messages", None)
        values["messages"] = [to_message(one) for one in messages] if messages else None
    if "output_message" in given:
        message: ChatMessage | None = getattr(body, "output_message", None)
        values["output_message"] = None if message is None else to_message(message)
        if message is not None and "output" not in given:
            values["output"] = message_text(values["output_message"]) or None
    return values


def _first_status(kind: FileKind, body: NewLog) -> Status:
    log_status = body.log_status or ("incomplete" if kind in _STARTS_OPEN else "complete")
    if log_status == "incomplete":
        return "incomplete"
    return "complete" if body.error is None else "error"


def _next_status(stored: LogDetail, given: Mapping[str, Any]) -> Status:
    now = stored.summary.status
    wanted = given.get("log_status")
    if wanted == "incomplete" and now != "incomplete":
        raise Conflict(f"Log {stored.summary.id} is complete and cannot be opened again")
    if now == "incomplete" and wanted != "complete":
        return "incomplete"
    if "error" in given:
        return "complete" if given["error"] is None else "error"
    if now in ("complete", "error"):
        return now
    return "complete" if stored.body.error is None else "error"


def _first_end(
    kind: FileKind, status: Status, body: NewLog, start_ns: int, now_ns: int
) -> int | None:
    end_ns = to_ns(body.end_time)
    if end_ns is not None:
        return end_ns
    if body.provider_latency is not None:
        return start_ns + round(body.provider_latency * 1e9)
    if status != "incomplete" and kind == "flow":
        return max(now_ns, start_ns)
    return None


def _columns(given: Mapping[str, Any], stored: LogDetail) -> Row:
    columns: Row = {}
    summary, told = stored.summary, stored.body.api_fields or {}
    start_ns = to_ns(given.get("start_time"))
    created = told.get("created_at")
    if start_ns is None and (
        created is None or to_ns(datetime.fromisoformat(created)) == summary.start_ns
    ):
        start_ns = to_ns(given.get("created_at"))  # which stands for it, where none was told
    if start_ns is not None:
        columns["start_ns"] = start_ns
    if "end_time" in given:
        columns["end_ns"] = to_ns(given["end_time"])
    elif given.get("provider_latency") is not None:
        latency_ns = round(given["provider_latency"] * 1e9)
        columns["end_ns"] = (start_ns or summary.start_ns) + latency_ns
    if "finish_reason" in given:
        columns["finish_reason"] = given["finish_reason"]
    if "error" in given and given["error"] is None:
        columns["error_type"] = None
    return columns


def _add_usage(record: LogRecord, told: Values, content: Json, prices: UserPrices) -> None:
    model = content.get("model")
    if isinstance(model, str):
        record.model, record.provider = model, str(content.get("provider") or "openai")
    tokens = _with_output(Tokens(input_uncached=told.get("prompt_tokens")), told)
    record.tokens = None if tokens == Tokens() else tokens
    record.cost_reported_usd = _reported(told)
    record.cost_usd = _cost(record.provider, record.model, tokens, told, record.start_ns, prices)


def _usage_columns(
    summary: LogSummary, given: Mapping[str, Any], before: Values, prices: UserPrices
) -> Row:
    """Return what follows from tokens and costs that were given; nothing, if none were."""
    if not any(name.endswith(("_tokens", "_cost")) for name in given):
        return {}
    told = {**before, **given}
    tokens = replace(summary.tokens)
    if "prompt_tokens" in given:
        tokens = replace(
            tokens, input_uncached=given["prompt_tokens"], cache_read=None, cache_write=None
        )
    if "output_tokens" in given or "reasoning_tokens" in given:
        told.setdefault("output_tokens", _sum(summary.tokens.output, summary.tokens.reasoning))
        told.setdefault("reasoning_tokens", summary.tokens.reasoning)
        tokens = _with_output(tokens, told)
    columns: Row = {f"tokens_{name}": count for name, count in asdict(tokens).items()}
    columns["cost_reported_usd"] = _reported(told)
    columns["cost_usd"] = _cost(
        summary.provider, summary.model, tokens, told, summary.start_ns, prices
    )
    return columns


def _with_output(tokens: Tokens, told: Values) -> Tokens:
    output, reasoning = told.get("output_tokens"), told.get("reasoning_tokens")
    if output is not None and reasoning is not None:
        output = max(0, output - reasoning)  # ours do not overlap
    return replace(tokens, output=output, reasoning=reasoning)


def _reported(told: Values) -> float | None:
    reported: float | None = _sum(told.get("prompt_cost"), told.get("output_cost"))
    return reported


def _cost(
    provider: str | None,
    model: str | None,
    tokens: Tokens,
    told: Values,
    at_ns: int,
    prices: UserPrices,
) -> float | None:
    """Return our price; a model of one's own is in no table, then what the sender says counts."""
    ours = cost_usd(tokens, provider, (model,), at_ns=at_ns, prices=prices)
    return _reported(told) if ours is None else ours


def _sum(*parts: float | None) -> Any:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
