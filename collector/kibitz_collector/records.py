"""What rooms hand each other: dataclasses with slots, no behaviour.

Times are UTC nanoseconds (`_ns`), durations milliseconds (`_ms`), money US dollars (`_usd`).
"""

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

Kind = Literal["prompt", "tool", "flow", "agent", "evaluator", "retriever", "embedding", "span"]
FileKind = Literal["prompt", "tool", "flow", "agent", "evaluator", "dataset"]
Status = Literal["incomplete", "complete", "error", "abandoned", "lost"]
Where = Literal["arrival", "guardrail", "run", "test", "notebook", "human", "feedback", "external"]
ReturnType = Literal["boolean", "number", "select", "multi_select", "text"]
Scope = Literal["log", "trace", "session"]
T = TypeVar("T")
Json = dict[str, Any]
Message = dict[str, Any]
"""`{role, content: str | list[part] | None, tool_calls: [{id, name, arguments: str}]?,
tool_call_id?, name?, reasoning?, parts?}`: the OpenAI form; `parts` keeps the OTel form when a part
has no OpenAI form."""


# --- receive -> normalize


@dataclass(slots=True, kw_only=True)
class SpanEvent:
    """One event of a raw span."""

    name: str
    time_ns: int
    attributes: Json


@dataclass(slots=True, kw_only=True)
class RawSpan:
    """One span as it came: sanitised (valid text, bounded, finite numbers), not interpreted.

    Ids are lower-case hex (32 and 16 characters).
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str = "INTERNAL"  # INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER
    start_ns: int
    end_ns: int  # 0: still open (a start record)
    status: Literal["unset", "ok", "error"] = "unset"
    status_message: str = ""
    attributes: Json = field(default_factory=dict)
    events: list[SpanEvent] = field(default_factory=list)
    links: list[Json] = field(default_factory=list)
    resource: Json = field(default_factory=dict)
    scope_name: str = ""
    scope_version: str = ""
    trace_state: str = ""
    dropped_attributes_count: int = 0


@dataclass(slots=True, kw_only=True)
class RawLogRecord:
    """One OpenTelemetry log record as it came, sanitised."""

    time_ns: int
    event_name: str
    body: Any
    trace_id: str | None = None
    span_id: str | None = None
    severity: int = 0
    attributes: Json = field(default_factory=dict)
    resource: Json = field(default_factory=dict)
    scope_name: str = ""


@dataclass(slots=True, kw_only=True)
class Rejected:
    """A record that could not be taken, for the quarantine."""

    reason: str
    payload: bytes
    signal: Literal["span", "log", "record"] = "span"  # record: a LogRecord the store refused


# --- normalize -> store


@dataclass(slots=True)
class Tokens:
    """Five disjoint counts; None where nothing is known."""

    input_uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None  # visible, without reasoning
    reasoning: int | None = None


@dataclass(slots=True, kw_only=True)
class FileReference:
    """Which File a Log is an execution of; File and Version are made on demand.

    `content` is what the Version is made of (see `files.identity`); {} when the sender said
    nothing. `is_derived` is True when the path was made up from service and function name.
    """

    kind: FileKind
    path: str
    content: Json = field(default_factory=dict)
    version_id: str | None = None  # when the sender names one
    is_derived: bool = False


@dataclass(slots=True, kw_only=True)
class LogError:
    """Why a Log failed."""

    type: str | None = None
    message: str | None = None
    traceback: str | None = None


@dataclass(slots=True)  # by position for normalize/span.py only: twice as fast for every span
class LogBody:
    """What is large about a Log; stored compressed, apart from the narrow row."""

    inputs: Json | None = None
    output: Any = None
    output_message: Message | None = None
    messages: list[Message] | None = None
    parameters: Json | None = None
    tools: list[Json] | None = None
    metadata: Json | None = None
    tags: list[str] | None = None
    error: LogError | None = None
    stdout: str | None = None
    provider_request: Json | None = None
    provider_response: Json | None = None
    attributes: Json | None = None  # raw, all of them
    events: list[Json] | None = None
    resource: Json | None = None
    scope: str | None = None
    api_fields: Json | None = None  # what the v5 and v4 API were told that has no other place


@dataclass(slots=True, kw_only=True)
class Judgment:
    """The narrow half of an evaluator Log: what was judged and how it came out.

    Exactly one of `number` (boolean: 1.0 / 0.0), `labels`, `text` is set, or none (abstention).
    """

    judged_log_id: str
    return_type: ReturnType
    number: float | None = None
    labels: list[str] | None = None
    text: str | None = None
    is_error: bool = False
    where: Where = "external"
    made_by: str | None = None  # user
    keep_probability: float = 1.0


@dataclass(slots=True)  # by position for normalize/span.py only: twice as fast for every span
class LogRecord:
    """One Log on its way into the store. None means: not known (and fills nothing on a merge)."""

    id: str
    kind: Kind
    name: str
    start_ns: int
    end_ns: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    trace_parent_id: str | None = None
    parent_id: str | None = None  # only evaluator Logs: the judged Log
    session_id: str | None = None
    file: FileReference | None = None
    environment: str | None = None
    service: str | None = None
    source: str | None = None  # sdk, otlp, humanloop, api, evaluator, demo
    user: str | None = None
    status: Status = "complete"
    error_type: str | None = None
    provider: str | None = None
    model: str | None = None
    model_served: str | None = None
    tokens: Tokens | None = None
    cost_usd: float | None = None  # ours, from the price table; None: price unknown
    cost_reported_usd: float | None = None
    time_to_first_token_ms: float | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    flags: list[str] = field(default_factory=list)
    keep_probability: float = 1.0
    mapper_version: int = 0
    run_id: str | None = None
    datapoint_id: str | None = None
    is_start: bool = False  # a start record: never overwrites an end
    is_named: bool = False  # the sender chose the id: what comes under it is one Log, never two
    is_genai: bool = True  # False: a plain span, hidden unless its trace holds a GenAI Log
    body: LogBody = field(default_factory=LogBody)
    judgment: Judgment | None = None


@dataclass(slots=True, kw_only=True)
class FileRegistration:
    """An SDK says what a File's Version is before any Log of it exists (evaluators)."""

    kind: FileKind
    path: str
    content: Json


# --- store -> everybody


@dataclass(slots=True, kw_only=True)
class IngestOutcome:
    """What became of one record, in the order given."""

    log_id: str
    is_new: bool
    seq: int
    error: str | None = None  # set: it could not be stored and is in quarantine; seq is 0


@dataclass(slots=True, kw_only=True)
class JudgmentView:
    """One judgment as pages and the API show it."""

    log_id: str  # of the evaluator Log
    judged_log_id: str
    evaluator_id: str
    evaluator_path: str
    evaluator_version_id: str | None
    return_type: ReturnType
    number: float | None
    labels: list[str] | None
    text: str | None
    is_error: bool
    where: Where
    made_by: str | None
    explanation: str | None  # the evaluator Log's output text, when there is one
    error: str | None
    created_ns: int

    @property
    def value(self) -> Any:
        """The judgment in the type its evaluator promises: bool, float, str, list or None."""
        match self.return_type:
            case "boolean":
                return None if self.number is None else bool(self.number)
            case "number":
                return self.number
            case "select":
                return self.labels[0] if self.labels else None
            case "multi_select":
                return self.labels
            case "text":
                return self.text


@dataclass(slots=True, kw_only=True)
class LogSummary:
    """The narrow row, with the names its ids stand for and a short text to recognise it by."""

    id: str
    seq: int
    kind: Kind
    name: str
    trace_id: str | None
    span_id: str | None
    trace_parent_id: str | None
    parent_id: str | None
    session_id: str | None
    file_id: str | None
    file_path: str | None
    version_id: str | None
    environment: str | None
    service: str | None
    source: str | None
    user: str | None
    start_ns: int
    end_ns: int | None
    duration_ms: float | None
    status: Status
    error_type: str | None
    provider: str | None
    model: str | None
    model_served: str | None
    tokens: Tokens
    cost_usd: float | None
    cost_reported_usd: float | None
    time_to_first_token_ms: float | None
    finish_reason: str | None
    response_id: str | None
    flags: list[str]
    keep_probability: float
    received_ns: int
    run_id: str | None = None
    datapoint_id: str | None = None
    preview_input: str = ""  # at most 200 characters
    preview_output: str = ""
    judgments: list[JudgmentView] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class LogDetail:
    """One Log, whole."""

    summary: LogSummary
    body: LogBody


@dataclass(slots=True, kw_only=True)
class TraceTotals:
    """Sums over a trace's leaf model calls (a parent that repeats its children is not added)."""

    log_count: int
    error_count: int
    cost_usd: float | None
    tokens: Tokens
    start_ns: int
    end_ns: int | None


@dataclass(slots=True, kw_only=True)
class SessionSummary:
    """One conversation."""

    id: str
    user: str | None
    trace_count: int
    log_count: int
    error_count: int
    cost_usd: float | None
    tokens_total: int | None
    start_ns: int
    last_ns: int
    first_input: str = ""


@dataclass(slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of rows, newest first, and the cursor of the next (None: no more)."""

    items: list[T]
    next_cursor: str | None = None
