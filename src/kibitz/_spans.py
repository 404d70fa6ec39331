"""The lean span: implements OpenTelemetry's Span interface, ends exactly once, writes one record.

It is opened by `_opening`, for decorators and integrations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, TraceState
from orjson import dumps

from kibitz import _record
from kibitz import semconv as sc
from kibitz._failure import Failure, read_failure
from kibitz._guard import guarded, swallow
from kibitz._record import attribute, attributes_text, json_text, text_attribute
from kibitz._runtime import SPAN, Runtime
from kibitz._scope import (
    Scope,
)
from kibitz._serialize import MAX_TEXT_BYTES, plain, snapshot

if TYPE_CHECKING:
    from kibitz._prompts import PromptScope
    from kibitz._running import Slot

_CONTENT = frozenset(
    {
        sc.SYSTEM_INSTRUCTIONS,
        sc.INPUT_MESSAGES,
        sc.OUTPUT_MESSAGES,
        sc.TOOL_DEFINITIONS,
        sc.TOOL_ARGUMENTS,
        sc.TOOL_RESULT,
        sc.LOG_INPUTS,
        sc.LOG_OUTPUT,
    }
)
_MOST_TAILS = 1000  # names may be made up by the host
_INPUTS = b'{"key":%b,"value":{"stringValue":' % json_text(sc.LOG_INPUTS)
_OUTPUT = b'{"key":%b,"value":{"stringValue":' % json_text(sc.LOG_OUTPUT)
_CLOSE, _COMMA = b"}},", b","
# The same between the pieces of a span that says nothing else.
_THEN_INPUTS, _THEN_OUTPUT = _COMMA + _INPUTS, _CLOSE + _OUTPUT
_THEN_END, _END = b'}}],"endTimeUnixNano":"', b'"}]}'
_MOST_EVENTS = 128
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSAMPLED = TraceFlags(TraceFlags.DEFAULT)


class Span(trace.Span, Scope):
    """One running call, and the scope of what it calls; only `end` may race with itself."""

    # What most calls never set is the class's own: setting all of it costs as much as the rest.
    # OpenTelemetry's base class has no __slots__, so there is room in each span for what is set.
    context: Context  # what was current before
    runtime: Runtime
    parent_id: int = 0
    template: bytes  # of the record's head: name and kind
    static: bytes  # attributes encoded beforehand, joined by commas
    start_ns: int
    capture: str
    kind: int = _record.KIND_INTERNAL
    head: bytes | None = None
    slot: Slot | None = None  # where it is noted as running
    ambient_id: int = 0
    is_dropped: bool = False
    is_ended: bool = False
    path: str | None = None  # of the File
    prompt: PromptScope | None = None
    held_back: Scope | None = None  # a prompt's: what is current inside instead of the span
    heir: Span | None = None  # the provider's span that took this prompt's place
    inputs: str | None = None
    output: str | None = None
    has_more: bool = False  # must be set with any of what follows, or a session, or `ambient_id`
    attributes: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    events: list[bytes] | None = None
    failure: Failure | None = None
    truncated: dict[str, int] | None = None

    def __init__(self) -> None:
        """All fields are set by `begin`: a call with so many arguments costs as much again."""

    @property
    def span(self) -> Span:  # type: ignore[override]  # of the scope that it is
        """The span itself."""
        return self

    @property
    def scope(self) -> Scope:
        """What is current inside. In no field: a cycle would leave each span to the collector."""
        return self if self.held_back is None else self.held_back

    # --- for decorators and integrations

    def set(self, name: str, value: Any) -> None:
        """Set an attribute: text, number, flag or list of these; None is left out, else JSON."""
        with guarded("setting an attribute"):
            if value is None or self.is_ended or self.is_dropped:
                return
            if name in _CONTENT and self.capture == "metadata":
                return
            if type(value) in (str, bool, int, float):
                kept: Any = value
                if type(value) is str and len(value) > MAX_TEXT_BYTES:
                    self.note_cut(name, len(value))
                    kept = f"{value[:MAX_TEXT_BYTES]}…[cut, {len(value)} characters]"
            elif isinstance(value, (list, tuple)) and all(
                type(item) in (str, bool, int, float) for item in value[:1000]
            ):
                kept = list(value[:1000])
            else:
                kept = self.snap(name, value)
            self._set(name, kept)

    def set_json(self, name: str, value: Any) -> None:
        """Set an attribute to the bounded JSON text of any value."""
        try:
            if self.is_ended or self.is_dropped:
                return
            if self.capture == "metadata" and name in _CONTENT:
                return
            text = plain(value)
            self._set(name, self.snap(name, value) if text is None else text)
        except Exception as error:
            swallow("setting an attribute", error)

    def snap(self, name: str, value: Any) -> str:
        """Return a value's bounded JSON text and remember if it was cut."""
        text, original_bytes = snapshot(value)
        if original_bytes:
            self.note_cut(name, original_bytes)
        return text

    def _set(self, name: str, kept: Any) -> None:
        if self.attributes is None:
            self.attributes, self.has_more = {}, True
        self.attributes[name] = kept

    def note_cut(self, name: str, original_bytes: int) -> None:
        """Note that a value was cut, and how long it was."""
        if self.truncated is None:
            self.truncated, self.has_more = {}, True
        self.truncated[name] = original_bytes

    def set_inputs(self, value: Any) -> None:
        """Set the Log's inputs."""
        with guarded("setting inputs"):
            if self.capture != "metadata" and not self.is_dropped:
                self.inputs = self.snap(sc.LOG_INPUTS, value)

    def set_output(self, value: Any) -> None:
        """Set the Log's output."""
        with guarded("setting the output"):
            if self.capture != "metadata" and not self.is_dropped:
                self.output = self.snap(sc.LOG_OUTPUT, value)

    def add_metadata(self, values: Mapping[str, Any]) -> None:
        """Add to the Log's metadata; the values are copied now."""
        with guarded("adding metadata"):
            import orjson

            copied = orjson.loads(snapshot(dict(values)).text)
            self.metadata, self.has_more = {**(self.metadata or {}), **copied}, True

    def add_tag(self, tag: str) -> None:
        """Add a tag to the Log."""
        with guarded("adding a tag"):
            tags = self.tags = self.tags or []
            self.has_more = True
            if tag not in tags and len(tags) < 100:
                tags.append(str(tag))

    def fail(self, error: BaseException) -> None:
        """Note the error this call ended with: status, type, and an exception event."""
        with guarded("noting an error"):
            if not self.is_ended and not self.is_dropped:
                self.failure, self.has_more = read_failure(error, self.runtime.now_ns()), True

    def end(self, end_time: int | None = None) -> None:
        """End the span and write its record; only the first call counts."""
        if self.is_ended:
            return
        self.is_ended = True
        if self.is_dropped:
            return
        try:
            runtime = self.runtime
            end_ns = runtime.now_ns() if end_time is None else end_time
            start_ns = self.start_ns
            if end_ns < start_ns:  # the wall clock was set back
                end_ns = start_ns
            runtime.emit(SPAN, self._encode(end_ns), self.capture == "redacted")
            slot = self.__dict__.pop("slot", None)  # at one stroke: only one may empty it
            if slot is not None:
                slot.empty()
            if runtime.after_span is not None:
                runtime.after_span(self)
        except Exception as error:
            swallow("writing a span", error)

    # --- the record

    def note_start(self) -> None:
        """Let it be known that this call runs, should the process be killed inside."""
        if self.is_dropped:
            return
        runtime, start_ns = self.runtime, self.start_ns
        head = self.head = self._head()
        extra = self._placing_attributes() if self.has_more else b""
        tail = _start_tail(runtime, self.template, self.static)
        if tail is not None and not extra and self.capture != "redacted":
            self.slot = runtime.note_start(head, tail, start_ns)
            return
        whole = head + extra + _record.start_tail(self.static)
        bare = head + _record.BARE_TAIL
        self.slot = runtime.note_scrubbed((whole, bare), start_ns, self.capture == "redacted")

    def _head(self) -> bytes:
        return _record.span_head(
            self.template, self.trace_id, self.span_id, self.parent_id, self.start_ns
        )

    def _placing_attributes(self) -> bytes:
        """What the session and a remote caller give, each followed by a comma."""
        extra = self.carried.encoded
        if self.ambient_id:
            ambient = text_attribute(sc.AMBIENT_PARENT, f"{self.ambient_id:016x}")
            extra = b"%b,%b" % (extra, ambient) if extra else ambient
        return extra + b"," if extra else b""

    def _encode(self, end_ns: int) -> bytes:
        head, inputs, output = self.head or self._head(), self.inputs, self.output
        if self.has_more or inputs is None or output is None or not self.static:
            return self._encode_more(head, end_ns)
        pieces = (head, self.static, _THEN_INPUTS, dumps(inputs), _THEN_OUTPUT, dumps(output))
        return b"".join((*pieces, _THEN_END, b"%d" % end_ns, _END))

    def _encode_more(self, head: bytes, end_ns: int) -> bytes:
        failure, events, error = self.failure, self.events, None
        if failure is not None:
            is_content = self.capture != "metadata"
            events = [*(events or ()), failure.event(is_content)]
            error = failure.message if is_content else failure.type_name
        end = _record.span_end(end_ns, events=events, error=error)
        return _record.span_record(head, self._all_attributes(), end)

    def _all_attributes(self) -> list[bytes]:
        """In pieces, each whole attribute followed by a comma, so that all is copied only once."""
        parts = [self.static, _COMMA] if self.static else []
        carried = self.carried
        if carried.encoded:
            parts += (carried.encoded, _COMMA)
        if self.inputs is not None:
            parts += (_INPUTS, dumps(self.inputs), _CLOSE)  # JSON: no surrogates to be afraid of
        if self.output is not None:
            parts += (_OUTPUT, dumps(self.output), _CLOSE)
        if self.attributes:
            parts += (attributes_text(self.attributes), _COMMA)
        if self.metadata or carried.metadata:
            merged = {**carried.metadata, **(self.metadata or {})}
            parts += (text_attribute(sc.METADATA, snapshot(merged).text), _COMMA)
        if self.failure is not None:
            parts += (text_attribute(sc.ERROR_TYPE, self.failure.type_name), _COMMA)
        if self.tags:
            parts += (attribute(sc.TAGS, self.tags), _COMMA)
        if self.truncated:
            parts += (text_attribute(sc.TRUNCATED, snapshot(self.truncated).text), _COMMA)
        if self.ambient_id:
            parts += (text_attribute(sc.AMBIENT_PARENT, f"{self.ambient_id:016x}"), _COMMA)
        return parts

    # --- OpenTelemetry's interface

    def get_span_context(self) -> SpanContext:
        """Return the ids as OpenTelemetry's object."""
        flags = _UNSAMPLED if self.is_dropped else _SAMPLED
        state = TraceState([("kibitz", f"{self.span_id:016x}")])
        return SpanContext(self.trace_id, self.span_id, False, flags, state)

    def set_attribute(self, key: str, value: Any) -> None:
        """As `set`."""
        self.set(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set each attribute."""
        for key, value in attributes.items():
            self.set(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event."""
        with guarded("adding an event"):
            events = self.events = self.events or []
            self.has_more = True
            if self.capture != "metadata" and len(events) < _MOST_EVENTS:
                at_ns = self.runtime.now_ns() if timestamp is None else timestamp
                events.append(_record.event(name, at_ns, (attributes or {}).items()))

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """Links are not kept."""

    def update_name(self, name: str) -> None:
        """Change the name."""
        with guarded("renaming a span"):
            self.template, self.head = _record.span_template(json_text(name), self.kind), None

    def is_recording(self) -> bool:
        """Whether what is set now will be written."""
        return not (self.is_ended or self.is_dropped)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """An error status fails the span; any other changes nothing."""
        code = status.status_code if isinstance(status, Status) else status
        text = status.description if isinstance(status, Status) else description
        if code is StatusCode.ERROR and self.failure is None:
            self.failure = Failure("error", text or "", "", self.runtime.now_ns())
            self.has_more = True

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Note an exception as an event; the status stays."""
        with guarded("noting an exception"):
            at_ns = self.runtime.now_ns() if timestamp is None else timestamp
            events = self.events = self.events or []
            self.has_more = True
            if len(events) < _MOST_EVENTS:
                events.append(read_failure(exception, at_ns).event(self.capture != "metadata"))

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """End the span, with the error if there is one."""
        if error is not None:
            self.fail(error)
        self.end()


def _start_tail(runtime: Runtime, template: bytes, static: bytes) -> bytes | None:
    """What makes a head of this function a start record; None: it must be scrubbed each time.

    Looking once whether redaction leaves them alone saves half of what starting a call costs.
    """
    tails, key = runtime.tails, (template, static)
    if key in tails:
        return tails[key]
    tail = _record.start_tail(static)
    found = tail if runtime.leaves_alone(_record.span_head(template, 0, 0, 0, 0) + tail) else None
    if len(tails) < _MOST_TAILS:
        tails[key] = found
    return found
