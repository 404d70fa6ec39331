"""Evaluators judged by a model: their prompt is filled from the Log, the verdict read off the end.

The model is called from this process, never from the sandbox, with the workspace's own keys.
"""

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from kibitz_collector.access.http import Context
from kibitz_collector.calls import (
    PromptCall,
    Question,
    Sample,
    Target,
    ask_only,
    to_question,
)
from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.evaluate.parsing import Unparsable, last_line, parse_verdict
from kibitz_collector.evaluate.sandbox import Sandbox, Verdict, VerdictError
from kibitz_collector.evaluate.values import value_problem
from kibitz_collector.evaluate.variables import judge_inputs
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.providers import ProviderError
from kibitz_collector.records import Json

RETRY_DELAYS_S = (0.5, 2.0)
"""Waits before the model is asked again by whoever asked; jobs are put off for longer."""
AT_ONCE = 8
MAX_ANSWER_CHARS = 100_000
# Asking again later may help; of all else the next answer would be the same.
_TRANSIENT = ("rate_limit_error", "server_error", "connection_error", "timeout_error")
# The evaluator's own fault, and so the same for every Log.
_LASTING = (
    "authentication_error",
    "permission_error",
    "not_found_error",
    "configuration_error",
)
# What settings of no known form end in: Versions also come with spans, unchecked.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVerdict(Verdict):
    """A verdict with what the judge was asked and what it said.

    `is_transient`: there is none, and asking again later may give one.
    """

    inputs: Json = field(default_factory=dict)
    question: Question | None = None
    sample: Sample | None = None
    is_transient: bool = False


def judge(
    spec: EvaluatorSpec,
    logs: Sequence[Json],
    sandbox: Sandbox | None = None,
    caller: Context | None = None,
) -> list[Verdict]:
    """Ask the model about each Log, several at a time; one verdict each, in order.

    Nothing is stored.
    """
    if caller is None:
        raise TypeError("judging with a model needs a caller: whose keys and prices count")
    one = partial(judge_one, caller, spec)
    if len(logs) == 1:
        return [one(logs[0])]
    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(logs)))) as pool:
        return list(pool.map(one, logs))


def judge_one(caller: Context, spec: EvaluatorSpec, log: Json) -> ModelVerdict:
    """Ask the model about one Log.

    Raises: Busy: the database does not say with which key.
    """
    start = time.monotonic()
    verdict = ModelVerdict()
    try:
        verdict = replace(verdict, inputs=judge_inputs(spec.prompt or {}, log))
        question = _question(caller, spec, verdict.inputs)
        verdict = _ask(caller, spec, replace(verdict, question=question))
    except (Invalid, NotFound) as error:
        verdict = _failed(verdict, "BadPrompt", error.message)
    except _MALFORMED as error:
        problem = f"the judge's prompt is none: {type(error).__name__}: {error}"
        verdict = replace(_failed(verdict, "BadPrompt", problem), is_refused=True)
    return replace(verdict, duration_ms=(time.monotonic() - start) * 1000)


def _question(caller: Context, spec: EvaluatorSpec, inputs: Json) -> Question:
    """Raises: Invalid: the template names what is not there, or there is no template. NotFound."""
    if not spec.prompt or not spec.prompt.get("template"):
        raise Invalid("this evaluator has no prompt with a template to ask its model with")
    target = Target(
        kind="evaluator", file_id="", path="the judge's prompt", version_id="", content=spec.prompt
    )
    question = to_question(caller, PromptCall(target=target, inputs=inputs))
    limit_s = min(question.connection.timeout_s, caller.settings.judge_timeout_s)
    return replace(question, connection=replace(question.connection, timeout_s=limit_s))


def _ask(caller: Context, spec: EvaluatorSpec, asked: ModelVerdict) -> ModelVerdict:
    question = asked.question
    assert question is not None
    limit_s = caller.settings.judge_timeout_s
    sample = _within(limit_s, lambda: _ask_again(caller, question, time.monotonic() + limit_s))
    if sample is None:
        message = f"the judge's model was not done after {limit_s:g} s"
        return replace(_failed(asked, "timeout_error", message), is_transient=True)
    asked = replace(asked, sample=sample)
    if sample.error is None:
        return _read(spec, asked, question, sample)
    error = sample.error
    return replace(
        _failed(asked, error.type, error.message),
        is_transient=error.type in _TRANSIENT,
        is_refused=error.type in _LASTING,
    )


def _ask_again(caller: Context, question: Question, until: float) -> Sample:
    """Ask; what may pass in a moment is asked again, within the time there is."""
    sample = ask_only(caller, question)
    for delay_s in RETRY_DELAYS_S:
        wait_s = delay_s * random.uniform(0.75, 1.25)  # not all at the same moment again
        if not _may_pass(sample.error) or time.monotonic() + wait_s > until:
            return sample
        time.sleep(wait_s)
        sample = ask_only(caller, question)
    return sample


def _may_pass(error: ProviderError | None) -> bool:
    """Tell whether a failure is one of a moment; a time-out has had its time already."""
    return error is not None and error.type in _TRANSIENT and error.type != "timeout_error"


def _within(limit_s: float, work: Callable[[], T]) -> T | None:
    """Return the result of `work`, or None when it takes longer: it is then left to itself.

    A provider that sends one byte a minute is silent for no time-out of a socket.
    """
    done: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put(work())
        except BaseException as error:
            done.put(error)

    threading.Thread(target=run, name="kibitz-judge-call", daemon=True).start()
    try:
        result = done.get(timeout=limit_s)
    except queue.Empty:
        return None
    if isinstance(result, BaseException):
        raise result
    return result


def _read(
    spec: EvaluatorSpec, asked: ModelVerdict, question: Question, sample: Sample
) -> ModelVerdict:
    """Read the verdict off the end of what the model said."""
    text = (sample.output or "")[-MAX_ANSWER_CHARS:]
    if not last_line(text):
        return _failed(asked, "NoVerdict", f"the judge said nothing{_reason(question, sample)}")
    try:
        value = parse_verdict(text, spec)
    except Unparsable as error:
        return _failed(asked, "Unparsable", f"{error}{_reason(question, sample)}")
    problem = value_problem(value, spec)
    return replace(asked, value=value) if problem is None else _failed(asked, "WrongType", problem)


def _reason(question: Question, sample: Sample) -> str:
    """Say why an answer may have no end."""
    reason = sample.reply.finish_reason if sample.reply is not None else None
    match reason:
        case "length" | "max_tokens":
            limit = question.request.max_tokens
            told = f" of {limit}" if limit not in (None, -1) else ""
            return f" (it was cut off: raise the limit{told}, max_tokens of the judge's prompt)"
        case "tool_calls" | "tool_use":
            return " (it wanted to call a tool, and judges have none)"
        case "content_filter" | "refusal":
            return " (it refused, or was filtered)"
    return ""


def _failed(asked: ModelVerdict, type: str, message: str) -> ModelVerdict:
    return replace(asked, error=VerdictError(type=type, message=message))
