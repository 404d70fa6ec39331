"""Spans as the exporters of the official SDKs send them: OTLP/JSON, loosely.

The import reads this with the reader of OTLP; these models only say in the documentation what it
takes. Source: Humanloop API v5, 2025-07.
"""

from typing import Annotated, Any

from kibitz_collector.api.v5.models.shared import Body, known

ScopeName = Annotated[str, known("humanloop.sdk.provider", "humanloop.sdk.decorator")]
KindName = Annotated[
    str,
    known(
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ),
]


class AttributeValue(Body):
    """A value; the official exporters write every one as text."""

    stringValue: str | None = None


class Attribute(Body):
    """One attribute of a span."""

    key: str
    value: AttributeValue


class Scope(Body):
    """Which part of the SDK made the spans."""

    name: ScopeName | None = None
    version: str | None = None


class Span(Body):
    """One span: ids in base64 or hex, times as text or number."""

    traceId: str | None = None
    spanId: str | None = None
    traceState: str | None = None
    name: str | None = None
    kind: KindName | int | None = None
    startTimeUnixNano: str | float | None = None
    endTimeUnixNano: str | float | None = None
    attributes: list[Attribute] | None = None
    events: list[Any] | None = None
    links: list[dict[str, Any]] | None = None
    droppedAttributesCount: int | None = None
    droppedEventsCount: int | None = None
    droppedLinksCount: int | None = None


class ScopeSpans(Body):
    """Spans of one scope."""

    scope: Scope | None = None
    spans: list[Span] | None = None


class ResourceSpans(Body):
    """Spans of one process."""

    scopeSpans: list[ScopeSpans] | None = None


class TracesImport(Body):
    """What `POST /v5/import/otel/v1/traces` takes."""

    resourceSpans: list[ResourceSpans] | None = None


class TracesImported(Body):
    """The ids of the Logs that were made, one per span."""

    records: list[str]
