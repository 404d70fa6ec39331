"""One span while it is read: what the tables found, and where."""

from typing import Any

from kibitz_collector.records import Kind, RawSpan


class Reading:
    """What one pass over the attributes found; the fuller answers are worked out from it."""

    __slots__ = ("attributes", "flat", "found", "kind", "sources", "span")

    def __init__(self, span: RawSpan) -> None:
        self.span = span
        self.attributes = span.attributes
        self.found: dict[str, Any] = {}
        self.sources: dict[str, str] = {}  # field -> attribute (or rule) that filled it
        self.flat: dict[str, list[tuple[str, Any]]] = {}  # prefix -> (rest of the key, value)
        self.kind: Kind = "span"

    def take(self, field: str, value: Any, source: str) -> None:
        """Fill a field that the tables left empty."""
        if value is not None and field not in self.found:
            self.found[field] = value
            self.sources[field] = source
