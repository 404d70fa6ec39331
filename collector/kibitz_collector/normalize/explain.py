"""Which rule filled which field of a Log: for `kibitz explain-span`."""

from dataclasses import dataclass

from kibitz_collector.normalize.pricing import NO_PRICES, UserPrices
from kibitz_collector.normalize.rules import DIALECTS, FLAT
from kibitz_collector.normalize.span import normalize_reading, read_span
from kibitz_collector.records import LogRecord, RawSpan


@dataclass(frozen=True, slots=True)
class Explanation:
    """A Log, and where each of its fields came from."""

    record: LogRecord
    dialects: list[str]  # whose attributes are present, in order of precedence
    sources: dict[str, str]  # field -> attribute or rule
    unread: list[str]  # attributes no rule knows; they stay in the raw attributes


def explain(span: RawSpan, *, prices: UserPrices = NO_PRICES) -> Explanation:
    """Normalize a span and keep the reasons."""
    reading = read_span(span)
    record = normalize_reading(reading, prices=prices)
    dialects = [d.NAME for d in DIALECTS if any(_knows(d, key) for key in span.attributes)]
    known = set(reading.sources.values())
    unread = sorted(key for key in span.attributes if key not in known and not key.startswith(FLAT))
    return Explanation(record, dialects, dict(reading.sources), unread)


def _knows(dialect: object, key: str) -> bool:
    rules: dict[str, tuple[str, ...]] = getattr(dialect, "RULES", {})
    if any(key in attributes for attributes in rules.values()):
        return True
    if key in getattr(dialect, "KINDS", {}):
        return True
    return key.startswith(tuple(getattr(dialect, "FLAT", ())))
