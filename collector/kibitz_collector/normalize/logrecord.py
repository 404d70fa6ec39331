"""`normalize_log(record)`: judgments, registrations and messages that come as log records."""

from hashlib import blake2b
from typing import Any

from kibitz import semconv as sc
from kibitz_collector.files.ids import hashed_id
from kibitz_collector.normalize import judging, values
from kibitz_collector.normalize.dialects import otel_events
from kibitz_collector.normalize.filing import clean_path
from kibitz_collector.normalize.span import MAPPER_VERSION, log_id, normalize
from kibitz_collector.records import (
    FileReference,
    FileRegistration,
    Json,
    Judgment,
    LogBody,
    LogError,
    LogRecord,
    RawLogRecord,
    RawSpan,
)

_REGISTERED = frozenset(("prompt", "tool", "flow", "agent", "evaluator"))


def normalize_log(record: RawLogRecord) -> LogRecord | FileRegistration | None:
    """Return what a log record says; None for one that is no business of ours. Never raises."""
    name = record.event_name or values.text(record.attributes.get("event.name")) or ""
    if name == sc.EVALUATION_EVENT:
        return _read_judgment(record)
    if name == sc.FILE_REGISTER_EVENT:
        return _read_registration(record)
    if name == otel_events.DETAILS:
        return _read_details(record)
    if name in otel_events.ROLES or name == otel_events.CHOICE:
        return _read_message(record, name)
    return None


def refusal(record: RawLogRecord) -> str | None:
    """Return why a log record that is our business could not be read; None for a foreign one."""
    name = record.event_name or record.attributes.get("event.name")
    if name == sc.EVALUATION_EVENT:
        return (
            f"the evaluation result needs {sc.EVALUATION_NAME} and the Log it is about:"
            f" {sc.JUDGED_LOG_ID}, or a trace id and a span id"
        )
    if name == sc.FILE_REGISTER_EVENT:
        return (
            f"the registration needs {sc.FILE_PATH}, {sc.FILE_TYPE} (a kind of File)"
            f" and {sc.FILE_CONTENT} (a JSON object)"
        )
    return None


def payload(record: RawLogRecord) -> Json:
    """Return attributes and body as one object; some senders use the one, some the other."""
    body = values.json_object(record.body)
    return {**record.attributes, **body} if body else record.attributes


def _read_details(record: RawLogRecord) -> LogRecord:
    """Read the content of a call as the start record of its span: it only ever fills blanks."""
    attributes = payload(record)
    attributes.pop("event.name", None)
    is_joined = record.trace_id is not None and record.span_id is not None
    model = values.text(attributes.get(sc.REQUEST_MODEL))
    operation = values.text(attributes.get(sc.OPERATION)) or sc.OP_CHAT
    span = RawSpan(
        trace_id=record.trace_id or _hash_hex(record, 16),
        span_id=record.span_id or _hash_hex(record, 8),
        parent_span_id=None,
        name=f"{operation} {model}" if model else operation,
        start_ns=record.time_ns,
        end_ns=0 if is_joined else record.time_ns,
        attributes=attributes,
        resource=record.resource,
        scope_name=record.scope_name,
    )
    log = normalize(span)
    if is_joined:
        log.is_start = True
    else:
        log.trace_id = log.span_id = None
    return log


def _read_message(record: RawLogRecord, name: str) -> LogRecord | None:
    """Read one message of a call; `join_log_records` puts those of one call together."""
    if record.trace_id is None or record.span_id is None:
        return None
    attributes = payload(record)
    body = LogBody()
    finish: str | None = None
    if name == otel_events.CHOICE:
        body.output_message, finish = otel_events.read_choice(attributes)
        if body.output_message is not None:
            content = body.output_message.get("content")
            body.output = content if isinstance(content, str) else None
    else:
        body.messages = otel_events.read_event(name, attributes) or None
    return LogRecord(
        id=log_id(record.trace_id, record.span_id),
        kind="prompt",
        name=sc.OP_CHAT,
        start_ns=record.time_ns,
        trace_id=record.trace_id,
        span_id=record.span_id,
        service=values.text(record.resource.get(sc.SERVICE_NAME)),
        source="otlp",
        status="incomplete",
        finish_reason=finish,
        mapper_version=MAPPER_VERSION,
        is_start=True,
        body=body,
    )


def _read_judgment(record: RawLogRecord) -> LogRecord | None:
    attributes = payload(record)
    name = values.text(attributes.get(sc.EVALUATION_NAME))
    judged = _judged_log(record, attributes)
    if name is None or judged is None:
        return None
    error_type = values.text(attributes.get(sc.ERROR_TYPE))
    explanation = values.text(attributes.get(sc.EVALUATION_EXPLANATION))
    user = values.text(attributes.get(sc.USER_ID))
    judgment = Judgment(
        judged_log_id=judged,
        return_type="select",
        is_error=error_type is not None,
        where=judging.find_where(attributes.get(sc.JUDGMENT_WHERE), "external"),
        made_by=user,
    )
    if error_type is None:
        judging.fill_value(judgment, _judged_value(attributes), name)
    error = LogError(type=error_type, message=explanation) if error_type else None
    path = values.text(attributes.get(sc.FILE_PATH)) or name
    return LogRecord(
        id=_judgment_id(record, attributes, judged, name),
        kind="evaluator",
        name=name,
        start_ns=record.time_ns,
        end_ns=record.time_ns,
        parent_id=judged,
        file=FileReference(
            kind="evaluator",
            path=clean_path(path) or "unnamed",
            content=values.json_object(attributes.get(sc.FILE_CONTENT)) or {},
        ),
        service=values.text(record.resource.get(sc.SERVICE_NAME)),
        environment=values.text(record.resource.get(sc.ENVIRONMENT)),
        source="sdk" if record.scope_name.startswith("kibitz") else "otlp",
        user=user,
        status="error" if error else "complete",
        error_type=error_type,
        mapper_version=MAPPER_VERSION,
        body=LogBody(
            output=explanation,
            metadata=values.json_object(attributes.get(sc.METADATA)),
            error=error,
            attributes=attributes or None,
            resource=record.resource or None,
            scope=record.scope_name or None,
        ),
        judgment=judgment,
    )


def _judged_log(record: RawLogRecord, attributes: Json) -> str | None:
    named = values.text(attributes.get(sc.JUDGED_LOG_ID))
    if named is not None:
        return named
    if record.trace_id is None or record.span_id is None:
        return None
    return log_id(record.trace_id, record.span_id)


def _judged_value(attributes: Json) -> Any:
    if sc.JUDGMENT_VALUE in attributes:
        return values.json_value(attributes[sc.JUDGMENT_VALUE])
    score = values.number(attributes.get(sc.EVALUATION_SCORE))
    return score if score is not None else values.text(attributes.get(sc.EVALUATION_LABEL))


def _judgment_id(record: RawLogRecord, attributes: Json, judged: str, name: str) -> str:
    """Return the same id for the same judgment, so that a retry is not a second one."""
    named = values.text(attributes.get(sc.JUDGMENT_ID))
    if named is None:
        value = repr(_judged_value(attributes))
        return hashed_id("log_", judged, name, str(record.time_ns), value)
    return named if named.startswith("log_") else hashed_id("log_", named)


def _read_registration(record: RawLogRecord) -> FileRegistration | None:
    attributes = payload(record)
    path = clean_path(values.text(attributes.get(sc.FILE_PATH)) or "")
    kind = attributes.get(sc.FILE_TYPE)
    file_content = values.json_object(attributes.get(sc.FILE_CONTENT))
    if path is None or kind not in _REGISTERED or file_content is None:
        return None
    return FileRegistration(kind=kind, path=path, content=file_content)


def _hash_hex(record: RawLogRecord, size: int) -> str:
    said = values.dumps([record.time_ns, record.event_name, record.attributes, record.body])
    return blake2b(said.encode("utf-8", "replace"), digest_size=size).hexdigest()
