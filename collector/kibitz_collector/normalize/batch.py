"""Joins log records of one request that speak of the same call; pure."""

from collections.abc import Iterable

from kibitz_collector.records import LogRecord


def join_log_records(records: Iterable[LogRecord]) -> list[LogRecord]:
    """Put messages that came as one log record each together under their call, in order."""
    joined: dict[str, LogRecord] = {}
    for record in records:
        known = joined.get(record.id)
        if known is None:
            joined[record.id] = record
            continue
        if record.body.messages:
            known.body.messages = (known.body.messages or []) + record.body.messages
        if known.body.output_message is None:
            known.body.output_message = record.body.output_message
            known.body.output = record.body.output
        known.finish_reason = known.finish_reason or record.finish_reason
    return list(joined.values())
