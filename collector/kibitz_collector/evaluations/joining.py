"""Which Logs that came from outside belong to a run, and to which of its datapoints. Pure.

The official SDK's `evaluations.run` loses a decorated function's run and datapoint ids on the way
when OpenTelemetry is 1.43 or newer: ended spans cannot be written to any more. What is left is the
Version, the time, and the inputs.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from kibitz_collector.files.template import as_text
from kibitz_collector.records import Json, LogDetail, Message
from kibitz_collector.store.queries.datapoints import DatapointView


def match_named(missing: Sequence[DatapointView], logs: Iterable[LogDetail]) -> dict[str, str]:
    """Return the datapoint of each Log that names one of these."""
    wanted = {datapoint.id for datapoint in missing}
    return {
        log.summary.id: log.summary.datapoint_id
        for log in logs
        if log.summary.datapoint_id in wanted
    }


def match_inputs(missing: Sequence[DatapointView], logs: Iterable[LogDetail]) -> dict[str, str]:
    """Return the datapoint of each Log whose inputs are those of one; one Log for each datapoint.

    Of datapoints with equal inputs the first is taken first, as Logs come in the order of calls.
    """
    left = list(missing)
    found: dict[str, str] = {}
    for log in logs:
        for place, datapoint in enumerate(left):
            if _is_about(log, datapoint.content):
                found[log.summary.id] = left.pop(place).id
                break
    return found


def _is_about(log: LogDetail, content: Json) -> bool:
    inputs = content.get("inputs") or {}
    messages = content.get("messages")
    if not inputs and not messages:
        return False
    given: Json = log.body.inputs or {}
    if any(name not in given or as_text(given[name]) != as_text(inputs[name]) for name in inputs):
        return False
    return not messages or _said(messages) == _said(log.body.messages or [])


def _said(messages: Sequence[Message]) -> list[tuple[Any, Any]]:
    return [(message.get("role"), message.get("content")) for message in messages]
