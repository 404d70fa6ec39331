"""Takes decoded records through normalize into the store; a bad one is quarantined alone."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson

from kibitz_collector.access.http import Context
from kibitz_collector.errors import Busy, CollectorError
from kibitz_collector.files.ids import random_id
from kibitz_collector.normalize import (
    NO_PRICES,
    UserPrices,
    join_log_records,
    normalize,
    normalize_log,
    refusal,
)
from kibitz_collector.receive.producer import complete_report
from kibitz_collector.records import (
    FileRegistration,
    IngestOutcome,
    LogRecord,
    RawLogRecord,
    RawSpan,
    Rejected,
)
from kibitz_collector.store.writes.producers import ProducerReport
from kibitz_collector.turns import TURN, pieces

log = logging.getLogger("kibitz.collector")
_MAX_REASONS = 5
RETRY_FOR_S = 30.0


@dataclass(slots=True)
class Verdict:
    """What became of one request."""

    ids: list[str] = field(default_factory=list)  # one per span, stored or quarantined
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """Return the first few different reasons as one text."""
        different = list(dict.fromkeys(self.reasons))
        shown = "; ".join(different[:_MAX_REASONS])
        more = len(different) - _MAX_REASONS
        return f"{shown}; and {more} other reasons" if more > 0 else shown


def accept_spans(
    caller: Context, decoded: Sequence[RawSpan | Rejected], report: ProducerReport | None = None
) -> Verdict:
    """Store spans; returns when they are committed. `report`: of which process they are.

    Raises: Busy: nothing was stored, the sender should come again.
    """
    refused: list[Rejected] = []
    records, places = read_spans(decoded, refused, caller.prices)
    outcomes = _ingest(caller, records, complete_report(report, decoded, len(refused)))
    verdict = _judge(outcomes, refused)
    caller.store.quarantine(caller.workspace_id, refused)
    verdict.ids = _ids(len(decoded), places, outcomes)
    return verdict


def read_spans(
    decoded: Sequence[RawSpan | Rejected], refused: list[Rejected], prices: UserPrices = NO_PRICES
) -> tuple[list[LogRecord], list[int]]:
    """Normalize spans; returns the records and the place each had. Adds to `refused`."""
    records: list[LogRecord] = []
    places: list[int] = []
    for piece in pieces(list(enumerate(decoded))):
        with TURN:
            for place, span in piece:
                if isinstance(span, Rejected):
                    refused.append(span)
                elif (record := _read_span(span, refused, prices)) is not None:
                    records.append(record)
                    places.append(place)
    return records, places


def _read_span(span: RawSpan, refused: list[Rejected], prices: UserPrices) -> LogRecord | None:
    try:
        return normalize(span, prices=prices)
    except Exception as error:
        # A mistake of ours in one span's reading must not cost its neighbours.
        log.exception("a span could not be normalized; it is in quarantine")
        refused.append(_refuse(span, f"cannot be normalized: {error!r}", is_span=True))
        return None


def accept_logs(
    caller: Context,
    decoded: Sequence[RawLogRecord | Rejected],
    report: ProducerReport | None = None,
) -> Verdict:
    """Store what log records say about Logs and Files; others are none of our business.

    Raises: Busy: nothing was stored, the sender should come again.
    """
    refused: list[Rejected] = []
    records: list[LogRecord] = []
    registrations: list[tuple[RawLogRecord, FileRegistration]] = []
    for raw in decoded:
        if isinstance(raw, Rejected):
            refused.append(raw)
            continue
        try:
            found = normalize_log(raw)
        except Exception as error:
            log.exception("a log record could not be normalized; it is in quarantine")
            refused.append(_refuse(raw, f"cannot be normalized: {error!r}", is_span=False))
            continue
        if isinstance(found, FileRegistration):
            registrations.append((raw, found))
        elif found is not None:
            records.append(found)
        else:
            reason = refusal(raw)
            if reason is not None:
                refused.append(_refuse(raw, reason, is_span=False))
    for raw, registration in registrations:
        _register(caller, raw, registration, refused)
    outcomes = _ingest(
        caller, join_log_records(records), complete_report(report, decoded, len(refused))
    )
    verdict = _judge(outcomes, refused)
    caller.store.quarantine(caller.workspace_id, refused)
    return verdict


def insist(
    attempt: Callable[[], Verdict],
    *,
    retry_for_s: float = RETRY_FOR_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Verdict:
    """Repeat an attempt while the store is busy: for senders that give up for good on any error.

    Raises: Busy: still so after `retry_for_s`.
    """
    deadline = clock() + retry_for_s
    pause_s = 0.05
    while True:
        try:
            return attempt()
        except Busy:
            if clock() + pause_s > deadline:
                raise
            sleep(pause_s)
            pause_s = min(pause_s * 2, 2.0)


def _ingest(
    caller: Context, records: list[LogRecord], report: ProducerReport | None
) -> list[IngestOutcome]:
    if records:
        return caller.store.ingest(caller.workspace_id, records, report)
    if report is not None:
        caller.store.note_producer(caller.workspace_id, report)
    return []


def _judge(outcomes: list[IngestOutcome], refused: list[Rejected]) -> Verdict:
    # What the store itself refuses it has put into the quarantine already.
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    reasons = [rejected.reason for rejected in refused] + errors
    return Verdict(rejected=len(reasons), reasons=reasons)


def _ids(count: int, places: list[int], outcomes: list[IngestOutcome]) -> list[str]:
    ids = [""] * count
    for place, outcome in zip(places, outcomes, strict=True):
        ids[place] = outcome.log_id
    return [known or random_id("log_") for known in ids]


def _register(
    caller: Context, raw: RawLogRecord, registration: FileRegistration, refused: list[Rejected]
) -> None:
    if registration.kind == "evaluator" and caller.role != "full":
        reason = f"registering {registration.path!r} needs a key with role 'full'"
        refused.append(_refuse(raw, reason, is_span=False))
        return
    try:
        caller.store.register_file(caller.workspace_id, registration)
    except Busy:
        raise
    except CollectorError as error:
        refused.append(_refuse(raw, error.message, is_span=False))


def _refuse(raw: RawSpan | RawLogRecord, reason: str, *, is_span: bool) -> Rejected:
    try:
        payload = orjson.dumps(raw)
    except TypeError:
        payload = repr(raw).encode("utf-8", "backslashreplace")
    return Rejected(reason=reason, payload=payload, signal="span" if is_span else "log")
