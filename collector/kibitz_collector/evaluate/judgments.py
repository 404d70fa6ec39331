"""Turns a verdict into the evaluator's Log: the judgment, under an id that a second run repeats."""

from typing import Any

from kibitz_collector.calls import Question, Sample, provider_name
from kibitz_collector.evaluate.evaluators.llm import MAX_ANSWER_CHARS, ModelVerdict
from kibitz_collector.evaluate.sandbox import Verdict
from kibitz_collector.files.ids import hashed_id
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.records import FileReference, Judgment, LogBody, LogError, LogRecord
from kibitz_collector.store.queries.evaluation import EvaluatorView
from kibitz_collector.store.writes.claims import Claim, ClaimedJob


def judgment_record(
    claim: Claim,
    evaluator: EvaluatorView,
    job: ClaimedJob,
    log: dict[str, Any],
    verdict: Verdict,
    now_ns: int,
) -> LogRecord:
    """Return the Log of one evaluation on arrival."""
    error = verdict.error
    path, spec = evaluator.path, evaluator.spec
    record = LogRecord(
        id=judgment_log_id(claim.workspace_id, job, claim.version_id),
        kind="evaluator",
        name=path.rpartition("/")[2],
        start_ns=now_ns - int(verdict.duration_ms * 1e6),
        end_ns=now_ns,
        parent_id=job.log_id,
        file=FileReference(kind="evaluator", path=path, version_id=claim.version_id),
        environment=log.get("environment"),
        source="evaluator",
        status="complete" if error is None else "error",
        error_type=None if error is None else error.type,
        keep_probability=job.keep_probability,
        body=LogBody(
            output=verdict.value,
            error=None if error is None else _log_error(verdict),
            stdout=verdict.stdout or None,
        ),
        judgment=make_judgment(spec, verdict, job.log_id, job.keep_probability),
    )
    if job.is_for_run and record.judgment is not None:
        record.judgment.where = "run"
    if isinstance(verdict, ModelVerdict):
        _tell_of_model(record, verdict)
    return record


def _tell_of_model(record: LogRecord, verdict: ModelVerdict) -> None:
    """Add what the judge's model was asked, what it said, and what that cost."""
    question, sample = verdict.question, verdict.sample
    record.body.inputs = verdict.inputs or None
    record.body.output = None
    if question is None:
        return
    record.provider = provider_name(question.connection.provider)
    record.model = question.request.model
    if sample is not None:
        _tell_of_sample(record, question, sample)


def _tell_of_sample(record: LogRecord, question: Question, sample: Sample) -> None:
    body, reply, error = record.body, sample.reply, sample.error
    record.start_ns, record.end_ns = sample.start_ns, sample.end_ns
    body.output = sample.output and sample.output[-MAX_ANSWER_CHARS:]
    body.api_fields = {"provider_latency": sample.latency_s}
    if error is not None:
        body.provider_request, body.provider_response = error.request, error.response
    if reply is None:
        return
    record.model_served, record.response_id = reply.model_served, reply.response_id
    record.tokens, record.finish_reason = reply.tokens, reply.finish_reason
    record.cost_usd = sample.cost_usd
    body.provider_request = reply.request
    if len(reply.text or "") <= MAX_ANSWER_CHARS:
        body.output_message, body.provider_response = reply.message, reply.response


def judgment_log_id(workspace_id: int, job: ClaimedJob, version_id: str) -> str:
    """Return the id that judging this content of this Log with this version always has."""
    return hashed_id("log_", str(workspace_id), job.log_id, version_id, job.content_hash)


def make_judgment(
    spec: EvaluatorSpec, verdict: Verdict, judged_log_id: str, keep_probability: float
) -> Judgment:
    """Return the narrow half: the value in the column of its type."""
    judgment = Judgment(
        judged_log_id=judged_log_id,
        return_type=spec.return_type,
        is_error=verdict.error is not None,
        where="arrival",
        keep_probability=keep_probability,
    )
    value = verdict.value
    if value is None or verdict.error is not None:
        return judgment
    match spec.return_type:
        case "boolean" | "number":
            judgment.number = float(value)
        case "select":
            judgment.labels = [value]
        case "multi_select":
            judgment.labels = list(dict.fromkeys(value))
        case "text":
            judgment.text = value
    return judgment


def _log_error(verdict: Verdict) -> LogError:
    error = verdict.error
    assert error is not None
    place = "" if error.line is None else f" (line {error.line})"
    return LogError(type=error.type, message=f"{error.message}{place}")
