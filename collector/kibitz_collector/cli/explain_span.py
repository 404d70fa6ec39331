"""`kibitz explain-span`: show which rule filled which field of the Log a span becomes."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from kibitz_collector.errors import CollectorError
from kibitz_collector.normalize import Explanation, explain
from kibitz_collector.receive import otlp_json, otlp_proto
from kibitz_collector.records import RawSpan, Rejected

_MAX_SHOWN = 100
# Fields of a Log under the names the rules use for what fills them.
_SOURCES = {
    "session_id": ("session",),
    "file": ("file_path", "file_content", "title"),
    "status": ("log_status", "error_type", "error_message", "record"),
    "id": ("log_id",),
    "trace_parent_id": ("parent_log_id",),
    "model": ("model", "invocation", "model_any"),
    "model_served": ("model_served", "model_any"),
    "tokens": (
        "tokens_input",
        "tokens_output",
        "tokens_total",
        "tokens_cache_read",
        "tokens_cache_write",
        "tokens_reasoning",
        "usage",
    ),
    "cost_usd": ("tokens_input", "tokens_output", "usage"),
    "cost_reported_usd": ("cost_reported",),
    "time_to_first_token_ms": ("first_token_s", "first_token_ms"),
    "finish_reason": ("finish",),
    "parameters": ("temperature", "top_p", "max_tokens", "seed", "stop", "stream", "invocation"),
    "datapoint_id": ("datapoint_id",),
}
_LEFT_OUT = frozenset(
    ("body", "is_genai", "is_named", "is_start", "mapper_version", "start_ns", "end_ns")
)
_RAW = frozenset(("attributes", "events", "resource", "scope"))


def main(argv: list[str]) -> int:
    """Explain every span of a file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kibitz explain-span", description=__doc__)
    parser.add_argument(
        "file", help="an OTLP request body (JSON or protobuf), or one span as JSON; - for stdin"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args(argv)
    try:
        spans = read_spans(_read(arguments.file))
    except (OSError, CollectorError) as error:
        print(f"kibitz explain-span: {arguments.file}: {error}", file=sys.stderr)
        return 1
    status = 0
    for span in spans:
        if isinstance(span, Rejected):
            print(f"rejected: {span.reason}", file=sys.stderr)
            status = 1
            continue
        explanation = explain(span)
        print(_as_json(explanation) if arguments.json else as_table(explanation))
    return status


def read_spans(data: bytes) -> list[RawSpan | Rejected]:
    """Read spans from an OTLP body in either encoding, or from one span of OTLP/JSON.

    Raises: BadPayload: neither.
    """
    if data.lstrip()[:1] not in (b"{", b"["):
        return otlp_proto.decode_spans(data)
    document, _ = otlp_json.parse(data)
    if "resourceSpans" not in document:
        scoped = {"scope": document.get("scope"), "spans": [document]}
        document = {"resourceSpans": [{"scopeSpans": [scoped]}]}
    return otlp_json.decode_spans(orjson.dumps(document))


def as_table(explanation: Explanation) -> str:
    """Write one line per filled field: its value, and the attribute or rule that filled it."""
    lines = [f"dialects: {', '.join(explanation.dialects) or 'none known'}"]
    fields = [field for field in _fields(explanation) if field[1] not in (None, [], {})]
    width = max((len(name) for name, _, _ in fields), default=0)
    for name, value, source in fields:
        shown = orjson.dumps(value, default=str).decode()
        shown = shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"
        lines.append(f"  {name:<{width}}  {shown}" + (f"  ← {source}" if source else ""))
    if explanation.unread:
        lines.append(f"read by no rule (kept as they are): {', '.join(explanation.unread)}")
    return "\n".join(lines)


def _fields(explanation: Explanation) -> list[tuple[str, Any, str]]:
    record = asdict(explanation.record)
    body = record["body"]
    fields = [(name, value) for name, value in record.items() if name not in _LEFT_OUT]
    fields += [(name, value) for name, value in body.items() if name not in _RAW]
    return [(name, value, _source(name, explanation.sources)) for name, value in fields]


def _source(field: str, sources: dict[str, str]) -> str:
    names = _SOURCES.get(field, (field,))
    return ", ".join(dict.fromkeys(sources[name] for name in names if name in sources))


def _as_json(explanation: Explanation) -> str:
    fields = {
        name: {"value": value, "source": source or None}
        for name, value, source in _fields(explanation)
    }
    whole = {
        "dialects": explanation.dialects,
        "fields": fields,
        "unread": explanation.unread,
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2, default=str).decode()


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
