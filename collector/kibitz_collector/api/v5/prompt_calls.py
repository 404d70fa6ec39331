"""`POST /v5/prompts/call`: fills a Prompt, asks its model, stores the Log; JSON or events."""

from collections.abc import Generator
from contextlib import closing
from typing import Any, cast

from fastapi import APIRouter, Request

from kibitz_collector import calls
from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.chat_messages import to_chat_message, to_message
from kibitz_collector.api.v5.contract import ContractRoute, Owner, to_ns, to_time
from kibitz_collector.api.v5.events import event_stream, in_thread, provider_failure
from kibitz_collector.api.v5.file_answers import answer_file
from kibitz_collector.api.v5.log_targets import read_kernel
from kibitz_collector.api.v5.models.calls import (
    CallRequest,
    PromptCallLogResponse,
    PromptCallRequest,
    PromptCallResponse,
    PromptCallStreamResponse,
)
from kibitz_collector.api.v5.models.files import FileResponse, PromptResponse
from kibitz_collector.api.v5.posted_logs import refuse_complete_trace
from kibitz_collector.calls import Labels, Piece, PromptCall, RunTool, Sample, Target
from kibitz_collector.evaluate.tools import tool_runner
from kibitz_collector.providers import ProviderError
from kibitz_collector.records import Json, Tokens
from kibitz_collector.store.queries import logs as log_queries

router = APIRouter(prefix="/v5", tags=["prompts"], route_class=ContractRoute)


@router.post(
    "/prompts/call",
    response_model=PromptCallResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
    operation_id="prompts.call",
)
async def call_prompt(
    caller: Owner,
    request: Request,
    body: PromptCallRequest,
    version_id: str | None = None,
    environment: str | None = None,
) -> Any:
    """Call a Prompt; with `stream` the answer comes as events."""
    run_tool = tool_runner(request.app.state.sandbox, caller.settings)
    call = await in_thread(lambda: to_call(caller, body, version_id, environment, run_tool))
    try:
        if body.stream:
            return await event_stream(_events(caller, call))
        return await in_thread(lambda: _answer(caller, body, call))
    except ProviderError as error:
        return provider_failure(error)


def to_call(
    caller: Context,
    body: PromptCallRequest,
    version_id: str | None,
    environment: str | None,
    run_tool: RunTool,
) -> PromptCall:
    """Return what is called and how.

    Raises: NotFound, Invalid, Conflict.
    """
    target = calls.find_target(
        caller,
        "prompt",
        file_id=body.id,
        path=body.path,
        version_id=version_id,
        environment=environment,
        content=None if body.prompt is None else read_kernel("prompt", body.prompt),
    )
    if body.trace_parent_id is not None:
        refuse_complete_trace(caller, body.trace_parent_id)
    keys = body.provider_api_keys
    return PromptCall(
        target=target,
        messages=[to_message(message) for message in body.messages or []],
        inputs=body.inputs or {},
        tool_choice=body.tool_choice,
        logprobs=body.logprobs,
        suffix=body.suffix,
        num_samples=body.num_samples or 1,
        keys=None if keys is None else keys.model_dump(exclude_none=True),
        labels=to_labels(body),
        run_tool=run_tool,
    )


def to_labels(body: CallRequest) -> Labels:
    """Return what a request says about the Log."""
    return Labels(
        log_id=body.log_id,
        trace_parent_id=body.trace_parent_id,
        environment=body.environment,
        user=body.user,
        source=body.source,
        metadata=body.metadata,
        datapoint_id=body.source_datapoint_id,
        start_ns=to_ns(body.start_time),
        end_ns=to_ns(body.end_time),
        is_incomplete=body.log_status == "incomplete",
        is_saved=body.save is not False,
    )


def sample_fields(sample: Sample) -> Json:
    """Return what the contract tells of a sample."""
    reply = sample.reply
    tokens = (reply.tokens if reply else None) or Tokens()
    return {
        "output": sample.output,
        "created_at": to_time(sample.start_ns),
        "error": None if sample.error is None else sample.error.message,
        "provider_latency": sample.latency_s,
        "output_message": None if reply is None else to_chat_message(reply.message),
        "prompt_tokens": _sum(tokens.input_uncached, tokens.cache_read, tokens.cache_write),
        "reasoning_tokens": tokens.reasoning,
        "output_tokens": _sum(tokens.output, tokens.reasoning),
        "prompt_cost": sample.prompt_cost_usd,
        "output_cost": sample.output_cost_usd,
        "finish_reason": None if reply is None else reply.finish_reason,
    }


def _answer(caller: Context, body: PromptCallRequest, call: PromptCall) -> PromptCallResponse:
    samples = calls.call_prompt(caller, call)
    errors = [sample.error for sample in samples if sample.error is not None]
    if len(errors) == len(samples):
        raise errors[0]
    log_id = samples[0].log_id
    return PromptCallResponse(
        start_time=body.start_time or to_time(min(sample.start_ns for sample in samples)),
        end_time=body.end_time or to_time(max(sample.end_ns for sample in samples)),
        messages=body.messages,
        tool_choice=body.tool_choice,
        prompt=cast(PromptResponse, file_of(caller, call.target)),
        inputs={} if body.return_inputs is False else call.inputs,
        source=body.source,
        metadata=body.metadata,
        log_status=body.log_status or "complete",
        source_datapoint_id=body.source_datapoint_id,
        trace_parent_id=body.trace_parent_id,
        user=body.user,
        environment=body.environment,
        save=body.save,
        log_id=log_id,
        id=log_id,
        trace_id=_trace_id(caller, log_id),
        logs=[PromptCallLogResponse(index=s.index, **sample_fields(s)) for s in samples],
    )


def _events(caller: Context, call: PromptCall) -> Generator[PromptCallStreamResponse, None, None]:
    """Yield one event per piece, and one with all the rest at the end of each sample.

    Raises: ProviderError: the only sample failed before its first piece.
    """
    target, has_begun = call.target, False
    with closing(calls.stream_prompt(caller, call)) as items:
        for item in items:
            told: Json = {"output": item.text} if isinstance(item, Piece) else sample_fields(item)
            if isinstance(item, Sample):
                if item.error is not None and not has_begun and call.num_samples == 1:
                    raise item.error
                told["output"] = None  # all of it was in the pieces
            has_begun = True
            yield PromptCallStreamResponse(
                index=item.index,
                id=item.log_id,
                prompt_id=target.file_id,
                version_id=target.version_id,
                **told,
            )


def _trace_id(caller: Context, log_id: str) -> str | None:
    with caller.store.read() as session:
        return log_queries.get_log(session, caller.workspace_id, log_id).summary.trace_id


def file_of(caller: Context, target: Target) -> FileResponse:
    """Return the answer for the File and Version that were called."""
    with caller.store.read() as session:
        return answer_file(session, caller.workspace_id, target.file_id, target.version_id)


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
