"""One span while it is read: what the tables found, and where."""

from typing import Any

from kibitz_collector.normalize.plan import Plan
from kibitz_collector.records import Kind, RawSpan


class Reading:
    """What one pass over the attributes found; the fuller answers are worked out from it."""

    __slots__ = ("attributes", "flat", "found", "kind", "may", "plan", "sources", "span")

    def __init__(self, span: RawSpan, plan: Plan) -> None:
        self.span = span
        self.plan = plan
        self.attributes = span.attributes
        self.flat = plan.flat
        self.may = plan.may
        self.found: dict[str, Any] = {}
        self.sources = plan.sources.copy()  # field -> attribute (or rule) that filled it
        self.kind: Kind = "span"

    def take(self, field: str, value: Any, source: str) -> None:
        """Fill a field that the tables left empty."""
        if value is not None and field not in self.found:
            self.found[field] = value
            self.sources[field] = source

    def build(self, prefix: str) -> Any:
        """Return what the attributes under a prefix make; None when there are none."""
        flat = self.flat.get(prefix)
        return None if flat is None else flat.build(self.attributes)
