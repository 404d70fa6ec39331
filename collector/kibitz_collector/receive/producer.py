"""What a request of our SDK says about the process it comes from, so that losses can be seen."""

import re
from collections.abc import Sequence
from dataclasses import replace

from starlette.datastructures import Headers

from kibitz_collector.records import RawLogRecord, RawSpan, Rejected
from kibitz_collector.store.writes.producers import ProducerReport

_PROCESS = re.compile(r"[0-9a-f]{16}")
_SEQUENCE = re.compile(r"([0-9]{1,15})-([0-9]{1,15}); *count=([0-9]{1,9})")
_PRODUCED = re.compile(r"produced=([0-9]{1,15})(?:;|$)")


def read_report(headers: Headers) -> ProducerReport | None:
    """Read what the headers of our SDK say; None: there are none to trust.

    Shape: Kibitz-Process: 16 hex digits; Kibitz-Sequence: 1-120; count=118;
    Kibitz-Totals: produced=130; … (of the process up to now, so that a loss at its end is seen)
    """
    process = headers.get("kibitz-process", "")
    if not _PROCESS.fullmatch(process):
        return None
    totals = _PRODUCED.match(headers.get("kibitz-totals", ""))
    report = ProducerReport(process=process, produced=int(totals[1]) if totals else 0)
    found = _SEQUENCE.fullmatch(headers.get("kibitz-sequence", ""))
    if found is None:
        return report
    first, last, count = (int(number) for number in found.groups())
    if not 0 < first <= last or not 0 < count <= last - first + 1:
        return report
    return replace(report, first=first, last=last, count=count)


def complete_report(
    report: ProducerReport | None,
    decoded: Sequence[RawSpan | RawLogRecord | Rejected],
    rejected: int,
) -> ProducerReport | None:
    """Add what the records themselves say: their host and service, and how many were refused."""
    if report is None or not (report.count or report.produced):
        return None
    raw = next((one for one in decoded if not isinstance(one, Rejected)), None)
    resource = {} if raw is None else raw.resource
    return replace(
        report,
        rejected=rejected,
        host=_text(resource.get("host.name")),
        service=_text(resource.get("service.name")),
    )


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) and value else None
