"""Asks a model once, whole or streamed, and makes the Log of it."""

import time
from collections.abc import Generator
from dataclasses import dataclass, replace

from kibitz_collector import providers
from kibitz_collector.access.http import Context
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.targets import Target
from kibitz_collector.errors import Invalid
from kibitz_collector.normalize.pricing import cost_usd
from kibitz_collector.providers import Connection, Delta, ModelRequest, ProviderError, Reply
from kibitz_collector.records import Json, LogBody, LogError, LogRecord, Message, Status

# The names that Logs from elsewhere carry; the contract's are its own.
_PROVIDER_NAMES = {
    "openai_azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "bedrock": "aws.bedrock",
}
SETTINGS = (
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "response_format",
    "reasoning_effort",
)
"""What a Prompt's content and a request call by the same name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of one model on behalf of a File; asked once per sample."""

    target: Target
    request: ModelRequest
    connection: Connection
    inputs: Json
    messages: list[Message]  # the caller's, without the template
    labels: Labels
    is_turn: bool = False  # one of many of an Agent: the Agent's own Log is that of the File


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a streamed sample."""

    index: int
    log_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How one sample came out: a reply, or an error."""

    index: int
    log_id: str
    start_ns: int
    end_ns: int
    reply: Reply | None = None
    error: ProviderError | None = None
    partial: str | None = None  # what had come before the error, or before the reader left
    first_ms: float | None = None
    prompt_cost_usd: float | None = None
    output_cost_usd: float | None = None

    @property
    def latency_s(self) -> float:
        """Return how long the provider took."""
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def cost_usd(self) -> float | None:
        """Return what it cost; None: the price is not known."""
        if self.prompt_cost_usd is None or self.output_cost_usd is None:
            return None
        return self.prompt_cost_usd + self.output_cost_usd

    @property
    def output(self) -> str | None:
        """Return the text, as far as it came."""
        return self.reply.text if self.reply is not None else self.partial


def ask(caller: Context, question: Question, index: int = 0) -> Sample:
    """Ask and wait; the Log is stored when this returns.

    A provider's error is part of the sample. Raises: Busy, Invalid: the Log could not be stored.
    """
    sample = ask_only(caller, question, index)
    _store(caller, question, sample)
    return sample


def ask_only(caller: Context, question: Question, index: int = 0) -> Sample:
    """Ask and wait; what becomes of the answer is the caller's business.

    A provider's error is part of the sample.
    """
    sample = Sample(
        index=index,
        log_id=question.labels.choose_id(index),
        start_ns=time.time_ns(),
        end_ns=0,
    )
    try:
        reply = providers.call(question.request, question.connection)
    except ProviderError as error:
        return replace(sample, error=error, end_ns=time.time_ns())
    return _priced(caller, question, replace(sample, reply=reply, end_ns=time.time_ns()))


def ask_streamed(
    caller: Context, question: Question, index: int = 0
) -> Generator[Piece | Sample, None, None]:
    """Ask and hand on what comes; the sample comes last, its Log is stored by then.

    Who leaves early leaves an abandoned Log behind.
    """
    start_ns, texts, first_ns = time.time_ns(), list[str](), 0
    log_id = question.labels.choose_id(index)
    reply: Reply | None = None
    failure: ProviderError | None = None
    is_left = True
    try:
        for item in providers.stream(question.request, question.connection):
            if isinstance(item, Delta):
                first_ns = first_ns or time.time_ns()
                texts.append(item.text)
                yield Piece(index=index, log_id=log_id, text=item.text)
            else:
                reply = item
        is_left = False
    except ProviderError as error:
        failure, is_left = error, False
    finally:
        sample = Sample(
            index=index,
            log_id=log_id,
            start_ns=start_ns,
            end_ns=time.time_ns(),
            reply=reply,
            error=failure,
            partial="".join(texts) if reply is None and texts else None,
            first_ms=(first_ns - start_ns) / 1e6 if first_ns else None,
        )
        sample = _priced(caller, question, sample)
        _store(caller, question, sample, is_left=is_left)
    yield sample


def _store(caller: Context, question: Question, sample: Sample, *, is_left: bool = False) -> None:
    record = to_record(question, sample, is_left=is_left)
    (outcome,) = caller.store.ingest(caller.workspace_id, [record])
    if outcome.error is not None:
        raise Invalid(f"the Log could not be stored: {outcome.error}")


def _priced(caller: Context, question: Question, sample: Sample) -> Sample:
    if sample.reply is None or sample.reply.tokens is None:
        return sample
    tokens = sample.reply.tokens
    provider = provider_name(question.connection.provider)
    models = (sample.reply.model_served, question.request.model)
    whole = cost_usd(tokens, provider, models, at_ns=sample.start_ns, prices=caller.prices)
    unanswered = replace(tokens, output=0, reasoning=0)
    prompt = cost_usd(unanswered, provider, models, at_ns=sample.start_ns, prices=caller.prices)
    if whole is None or prompt is None:
        return sample
    return replace(sample, prompt_cost_usd=prompt, output_cost_usd=max(0.0, whole - prompt))


def provider_name(provider: str) -> str:
    """Return the name that Logs carry for a provider of the contract."""
    return _PROVIDER_NAMES.get(provider, provider)


def to_record(question: Question, sample: Sample, *, is_left: bool = False) -> LogRecord:
    """Return the Log of a sample."""
    labels, reply, target = question.labels, sample.reply, question.target
    return LogRecord(
        id=sample.log_id,
        is_named=labels.log_id is not None,
        kind="prompt",
        name=target.name,
        start_ns=labels.start_ns or sample.start_ns,
        end_ns=labels.end_ns or sample.end_ns,
        trace_parent_id=labels.trace_parent_id,
        session_id=labels.session_id,
        file=None if question.is_turn else target.reference,
        environment=labels.environment,
        source="api",
        user=labels.user,
        status=_status(sample, labels, is_left=is_left),
        error_type=sample.error.type if sample.error is not None else None,
        provider=provider_name(question.connection.provider),
        model=question.request.model,
        model_served=reply.model_served if reply else None,
        tokens=reply.tokens if reply else None,
        cost_usd=sample.cost_usd,
        time_to_first_token_ms=sample.first_ms,
        finish_reason=reply.finish_reason if reply else None,
        response_id=reply.response_id if reply else None,
        run_id=labels.run_id,
        datapoint_id=labels.datapoint_id,
        body=_body(question, sample) if labels.is_saved else _nothing_but_times(sample),
    )


def _status(sample: Sample, labels: Labels, *, is_left: bool) -> Status:
    if sample.error is not None:
        return "error"
    if is_left:
        return "abandoned"
    return "incomplete" if labels.is_incomplete else "complete"


def _body(question: Question, sample: Sample) -> LogBody:
    request, reply, error = question.request, sample.reply, sample.error
    body = LogBody(
        inputs=question.inputs or None,
        output=sample.output,
        output_message=None if reply is None else reply.message,
        messages=question.messages or None,
        parameters=_parameters(request) or None,
        tools=request.tools or None,
        metadata=question.labels.metadata or None,
        provider_request=None if reply is None else reply.request,
        provider_response=None if reply is None else reply.response,
        api_fields=_api_fields(question, sample),
    )
    if error is not None:
        body.error = LogError(type=error.type, message=error.message)
        body.provider_request, body.provider_response = error.request, error.response
    return body


def _parameters(request: ModelRequest) -> Json:
    told = {name: getattr(request, name) for name in SETTINGS}
    return {name: value for name, value in told.items() if value is not None}


def _api_fields(question: Question, sample: Sample) -> Json:
    told = {
        "provider_latency": sample.latency_s,
        "prompt_cost": sample.prompt_cost_usd,
        "output_cost": sample.output_cost_usd,
        "tool_choice": question.request.tool_choice,
        "source": question.labels.source,
    }
    return {name: value for name, value in told.items() if value is not None}


def _nothing_but_times(sample: Sample) -> LogBody:
    error = None if sample.error is None else LogError(type=sample.error.type)
    told = {"save": False, "provider_latency": sample.latency_s}
    return LogBody(error=error, api_fields=told)
