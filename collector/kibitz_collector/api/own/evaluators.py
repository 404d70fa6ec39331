"""`/api/evaluators`: make and look at evaluators, and try a source on Logs before saving it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.api.v5.models.kernels import PromptKernel, content_of
from kibitz_collector.errors import Invalid
from kibitz_collector.evaluate.evaluators.llm import ModelVerdict
from kibitz_collector.evaluate.sandbox import Sandbox, Verdict
from kibitz_collector.evaluate.source import check_evaluator
from kibitz_collector.evaluate.trial import try_evaluator
from kibitz_collector.files.kinds.evaluator import Arguments, EvaluatorType, Valence
from kibitz_collector.records import ReturnType, Tokens
from kibitz_collector.store.queries import evaluation as queries
from kibitz_collector.store.writes import evaluation as writes

router = APIRouter(prefix="/api/evaluators", tags=["evaluators"], route_class=JsonRoute)
Caller = Annotated[Context, Depends(full_context)]


class NumberLimitsIn(BaseModel):
    """Between which numbers an evaluator judges."""

    min: float | None = None
    max: float | None = None
    step: float | None = Field(None, gt=0)


class EvaluatorIn(BaseModel):
    """What an evaluator is made of."""

    evaluator_type: EvaluatorType = "code"
    code: str = Field(
        "", description="Python source; the last function is called with one Log (dict)"
    )
    prompt: PromptKernel | None = Field(
        None, description="of type llm: what a Prompt is made of; model and template at least"
    )
    arguments_type: Arguments = Field(
        "target_free", description="target_required: called with the Log and its test case"
    )
    return_type: ReturnType = "boolean"
    options: list[Any] | None = Field(None, description="choices of select and multi_select")
    number_limits: NumberLimitsIn | None = None
    number_valence: Valence | None = None

    def content(self) -> dict[str, Any]:
        """Return it as a Version's content."""
        fields = set(EvaluatorIn.model_fields) - {"prompt"}
        said = self.model_dump(include=fields, exclude_none=True)
        if self.prompt is not None:
            said["prompt"] = content_of(self.prompt, PromptKernel)
        silent = {"code": "", "arguments_type": "target_free", "options": []}
        return {name: value for name, value in said.items() if silent.get(name) != value}


class NewEvaluatorIn(EvaluatorIn):
    """An evaluator to save."""

    path: str = Field(min_length=1, max_length=512, description="such as support/is_polite")


class TrialIn(EvaluatorIn):
    """An evaluator to try, written out or a saved one, and on what."""

    evaluator: str | None = Field(None, description="id or path of a saved one, instead")
    version_id: str | None = Field(None, description="its version; null: the newest")
    log: dict[str, Any] | None = Field(None, description="a Log of your own making")
    log_ids: list[str] = Field(default_factory=list, max_length=50)
    filter: str | None = Field(None, max_length=4000, description="or the newest Logs that match")
    sample: int = Field(5, ge=1, le=50, description="how many of these")
    testcase: dict[str, Any] | None = Field(None, description="a datapoint, for all of them")


class EvaluatorOut(BaseModel):
    """One evaluator at the version its monitors use."""

    id: str
    path: str
    version_id: str
    evaluator_type: str
    return_type: ReturnType
    options: list[Any]
    where: str = Field(description="collector: judged here; app: judged in the app")
    code: str
    prompt: dict[str, Any] | None = Field(description="of type llm")
    state: str = Field(description="active or suspended")
    reason: str | None = Field(description="why it is suspended")
    suspended_ns: int | None
    judged_count: int
    error_count: int
    last_error: str | None
    created_ns: int


class VerdictOut(BaseModel):
    """What came of one trial."""

    log_id: str | None
    value: Any
    error: dict[str, Any] | None = Field(description="type, message, line")
    stdout: str
    duration_ms: float
    output: str | None = Field(default=None, description="what a judge's model said, whole")
    inputs: dict[str, Any] | None = Field(
        default=None, description="what its template was filled with"
    )
    messages: list[dict[str, Any]] | None = Field(default=None, description="what it was asked")
    model: str | None = None
    tokens: Tokens | None = None
    cost_usd: float | None = None


@router.get("")
def list_evaluators(caller: Caller) -> list[EvaluatorOut]:
    """List all evaluators."""
    with caller.store.read() as session:
        views = queries.list_evaluators(session, caller.workspace_id)
    return [_out(view) for view in views]


@router.post("", status_code=201)
def save_evaluator(evaluator: NewEvaluatorIn, request: Request, caller: Caller) -> EvaluatorOut:
    """Make an evaluator, or a new version of it, from source."""
    content = evaluator.content()
    check_evaluator(content, request.app.state.sandbox)
    with caller.store.write() as session:
        file_id, _ = writes.save_evaluator(session, caller.workspace_id, evaluator.path, content)
    return _read(caller, file_id)


@router.post("/try")
def try_source(trial: TrialIn, request: Request, caller: Caller) -> list[VerdictOut]:
    """Run an evaluator on Logs without saving anything: neither it nor what it says."""
    sandbox: Sandbox | None = request.app.state.sandbox
    if trial.evaluator is not None:
        with caller.store.read() as session:
            spec = queries.get_evaluator(
                session, caller.workspace_id, trial.evaluator, trial.version_id
            ).spec
    else:
        spec = check_evaluator(trial.content(), sandbox)
    if spec.evaluator_type == "code" and sandbox is None:
        raise Invalid("this collector runs no evaluators (it was started so); ask one that does")
    results = try_evaluator(
        caller,
        sandbox,
        spec,
        log=trial.log,
        log_ids=trial.log_ids,
        filter_text=trial.filter,
        sample=trial.sample,
        testcase=trial.testcase,
    )
    return [_verdict(log_id, verdict) for log_id, verdict in results]


@router.get("/{evaluator:path}")
def get_evaluator(evaluator: str, caller: Caller, version_id: str | None = None) -> EvaluatorOut:
    """Return one evaluator with its source, by id or path."""
    return _read(caller, evaluator, version_id)


@router.post("/{evaluator_id}/resume")
def resume_evaluator(
    evaluator_id: str, caller: Caller, version_id: str | None = None
) -> EvaluatorOut:
    """Let a suspended evaluator run again; what waits for it is judged."""
    view = _read(caller, evaluator_id, version_id)
    with caller.store.write() as session:
        writes.resume_evaluator(session, caller.workspace_id, view.version_id)
    caller.store.announce("jobs")
    return _read(caller, view.id, view.version_id)


def _read(caller: Context, evaluator: str, version_id: str | None = None) -> EvaluatorOut:
    with caller.store.read() as session:
        return _out(queries.get_evaluator(session, caller.workspace_id, evaluator, version_id))


def _out(view: queries.EvaluatorView) -> EvaluatorOut:
    spec = view.spec
    return EvaluatorOut(
        id=view.id,
        path=view.path,
        version_id=view.version_id,
        evaluator_type=spec.evaluator_type,
        return_type=spec.return_type,
        options=spec.options,
        where=spec.where,
        code=spec.code,
        prompt=spec.prompt,
        state=view.state,
        reason=view.reason,
        suspended_ns=view.suspended_ns,
        judged_count=view.judged_count,
        error_count=view.error_count,
        last_error=view.last_error,
        created_ns=view.created_ns,
    )


def _verdict(log_id: str | None, verdict: Verdict) -> VerdictOut:
    error = verdict.error
    shown = VerdictOut(
        log_id=log_id,
        value=verdict.value,
        error=None
        if error is None
        else {"type": error.type, "message": error.message, "line": error.line},
        stdout=verdict.stdout,
        duration_ms=verdict.duration_ms,
    )
    if not isinstance(verdict, ModelVerdict):
        return shown
    shown.inputs = verdict.inputs
    if verdict.question is not None:
        shown.messages = verdict.question.request.messages
        shown.model = verdict.question.request.model
    if verdict.sample is not None:
        shown.output, shown.cost_usd = verdict.sample.output, verdict.sample.cost_usd
        reply = verdict.sample.reply
        shown.tokens = None if reply is None else reply.tokens
    return shown
