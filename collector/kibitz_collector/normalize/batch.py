"""What only a look at several records of one request can tell; pure."""

from collections.abc import Iterable

from kibitz_collector.records import LogRecord

_MAX_DEPTH = 256  # of parents walked; cycles exist on the wire


def inherit_grouping(records: Iterable[LogRecord]) -> None:
    """Give each record the session and user of its nearest ancestor in the same request.

    Instrumentors of client libraries set neither; the application sets them on a span above.
    """
    listed = [record for record in records if record.trace_parent_id is not None]
    if not listed:
        return
    by_id = {record.id: record for record in records}
    for record in listed:
        if record.session_id is None or record.user is None:
            _inherit(record, by_id)


def _inherit(record: LogRecord, by_id: dict[str, LogRecord]) -> None:
    above = record
    for _ in range(_MAX_DEPTH):
        parent = by_id.get(above.trace_parent_id) if above.trace_parent_id else None
        if parent is None or parent is record:
            return
        record.session_id = record.session_id or parent.session_id
        record.user = record.user or parent.user
        if record.session_id and record.user:
            return
        above = parent


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
