"""Calls an Agent: model and Tools in turn, until it is done, or a call comes that the caller runs.

The Agent's Log is open from the first turn to the end. It holds the conversation, so a suspended
Agent is continued from its Log by any process. Turns and Tools are Logs below it.
"""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from kibitz_collector.access.connections import Keys
from kibitz_collector.access.http import Context
from kibitz_collector.calls.asking import Piece, Sample, ask, ask_streamed
from kibitz_collector.calls.callables import Callable, find_callables, run_callable
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.prompts import PromptCall, to_question
from kibitz_collector.calls.targets import Target
from kibitz_collector.calls.tools import RunTool
from kibitz_collector.errors import Conflict, Invalid
from kibitz_collector.providers import ProviderError
from kibitz_collector.records import Json, LogBody, LogRecord, Message, Tokens
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.writes.updates import LogPatch, update_log

DEFAULT_ITERATIONS = 10
MAX_ITERATIONS = 200
EventType = Literal[
    "agent_turn_start",
    "agent_turn_continue",
    "agent_turn_suspend",
    "agent_turn_end",
    "agent_start",
    "agent_update",
    "agent_end",
    "agent_generation_error",
    "tool_start",
    "tool_end",
]
_SUMS = ("prompt_tokens", "reasoning_tokens", "output_tokens", "prompt_cost", "output_cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvent:
    """Something that happened while an Agent ran."""

    type: EventType
    message: str
    text: str | None = None  # agent_update: what is new
    tool_call: Json | None = None  # tool_start, tool_end: {id, name, arguments}
    log_id: str | None = None  # tool_end: of the Tool's Log


@dataclass(slots=True, kw_only=True)
class AgentRun:
    """An Agent under way. `messages` is the conversation without the template."""

    target: Target
    log_id: str
    messages: list[Message]
    inputs: Json = field(default_factory=dict)
    tool_choice: str | Json | None = None  # of the first turn
    keys: Keys | None = field(default=None, repr=False)
    labels: Labels = field(default_factory=Labels)
    turns: int = 0
    sums: Json = field(default_factory=dict)
    finish_reason: str | None = None
    is_suspended: bool = False
    error: ProviderError | None = None

    @property
    def last_reply(self) -> Message | None:
        """Return what the model said last."""
        said = [one for one in self.messages if one.get("role") == "assistant"]
        return said[-1] if said else None


def start_agent(
    caller: Context,
    target: Target,
    *,
    messages: list[Message],
    inputs: Json,
    tool_choice: str | Json | None = None,
    keys: Keys | None = None,
    labels: Labels | None = None,
) -> AgentRun:
    """Open the Log of an Agent.

    Raises: Invalid: inputs are missing, or the content is not an Agent's.
    """
    labels = labels or Labels()
    run = AgentRun(
        target=target,
        log_id=labels.choose_id(),
        messages=messages,
        inputs=inputs,
        tool_choice=tool_choice,
        keys=keys,
        labels=labels,
    )
    to_question(caller, _to_call(run), [])  # before there is a Log of it
    (outcome,) = caller.store.ingest(caller.workspace_id, [_open_record(run)])
    if outcome.error is not None:
        raise Invalid(f"the Log could not be stored: {outcome.error}")
    return run


def resume_agent(
    caller: Context, log_id: str, messages: Sequence[Message], keys: Keys | None
) -> AgentRun:
    """Take up a suspended Agent with the results of the calls it waits for.

    Raises: NotFound. Conflict: it does not wait. Invalid: a result is missing.
    """
    with caller.store.read() as session:
        detail = log_queries.get_log(session, caller.workspace_id, log_id)
        summary, told = detail.summary, detail.body.api_fields or {}
        if summary.kind != "agent" or summary.file_id is None or summary.version_id is None:
            raise Invalid(f"Log {log_id!r} is not an Agent's")
        version = file_queries.get_version(session, caller.workspace_id, summary.version_id)
    if summary.status != "incomplete":
        raise Conflict(f"Log {log_id!r} is {summary.status}; only an incomplete one goes on")
    known = detail.body.messages or []
    if not _unanswered(known):
        raise Conflict(f"Log {log_id!r} waits for no result of a Tool")
    conversation = [*known, *_new_results(known, messages)]
    missing = _unanswered(conversation)
    if missing:
        wanted = ", ".join(f"{one['name']} ({one['id']})" for one in missing)
        raise Invalid(f"messages must begin with the results (role tool) of: {wanted}")
    path = summary.file_path or ""
    return AgentRun(
        target=Target(
            kind="agent",
            file_id=summary.file_id,
            path=path,
            version_id=version.id,
            content=version.content,
        ),
        log_id=log_id,
        messages=conversation,
        inputs=detail.body.inputs or {},
        keys=keys,
        labels=Labels(environment=summary.environment, user=summary.user),
        turns=int(told.get("turns") or 0),
        sums={name: told[name] for name in _SUMS if name in told},
    )


def run_agent(
    caller: Context, run: AgentRun, run_tool: RunTool, *, is_streamed: bool = False
) -> Generator[AgentEvent, None, None]:
    """Let an Agent run until it is done, fails, or waits; its Log says so when this ends.

    Who leaves early leaves an abandoned Log. Raises: Invalid, NotFound, Busy.
    """
    is_left = True
    try:
        yield from _turns(caller, run, run_tool, is_streamed=is_streamed)
        is_left = False
    finally:
        _close(caller, run, is_left=is_left)
    if run.is_suspended:
        yield AgentEvent(type="agent_turn_suspend", message="waits for results of Tools")
    else:
        yield AgentEvent(type="agent_turn_end", message=run.finish_reason or "done")


def _turns(
    caller: Context, run: AgentRun, run_tool: RunTool, *, is_streamed: bool
) -> Generator[AgentEvent, None, None]:
    tools = find_callables(caller, run.target)
    limit = _limit(run.target.content)
    yield AgentEvent(
        type="agent_turn_continue" if run.turns else "agent_turn_start", message=run.target.path
    )
    while True:
        if run.turns >= limit:
            run.finish_reason = "max_iterations"
            return
        yield AgentEvent(type="agent_start", message=f"turn {run.turns + 1}")
        sample = yield from _ask(caller, run, tools, is_streamed=is_streamed)
        run.turns += 1
        if sample.reply is None:
            run.error = sample.error
            reason = sample.error.message if sample.error else "no answer"
            yield AgentEvent(type="agent_generation_error", message=reason)
            return
        run.messages = [*run.messages, sample.reply.message]
        run.finish_reason = sample.reply.finish_reason
        _add(run.sums, sample)
        yield AgentEvent(type="agent_end", message=f"turn {run.turns}")
        asked = sample.reply.message.get("tool_calls") or []
        if not asked:
            return
        yield from _answer_calls(caller, run, tools, asked, run_tool)
        if run.is_suspended:
            return


def _ask(
    caller: Context, run: AgentRun, tools: dict[str, Callable], *, is_streamed: bool
) -> Generator[AgentEvent, None, Sample]:
    functions = [one.function for one in tools.values()]
    question = replace(to_question(caller, _to_call(run), functions), is_turn=True)
    if not is_streamed:
        return ask(caller, question)
    sample: Sample | None = None
    for item in ask_streamed(caller, question):
        if isinstance(item, Piece):
            yield AgentEvent(type="agent_update", message="", text=item.text)
        else:
            sample = item
    assert sample is not None
    return sample


def _answer_calls(
    caller: Context,
    run: AgentRun,
    tools: dict[str, Callable],
    asked: list[Json],
    run_tool: RunTool,
) -> Generator[AgentEvent, None, None]:
    """Run what can be run here; the rest is the caller's to run."""
    for one in asked:
        found = tools.get(one["name"])
        if found is not None and not found.is_run_here:
            run.is_suspended = True
            continue
        yield AgentEvent(type="tool_start", message=one["name"], tool_call=one)
        if found is None:
            log_id, said = None, f"there is no Tool {one['name']!r}"
        else:
            log_id, said = run_callable(
                caller, found, _arguments(one), _below(run), run.keys, run_tool
            )
        result: Message = {"role": "tool", "content": said, "tool_call_id": one["id"]}
        run.messages = [*run.messages, result]
        yield AgentEvent(type="tool_end", message=one["name"], tool_call=one, log_id=log_id)


def _arguments(tool_call: Json) -> Json:
    try:
        read = orjson.loads(tool_call.get("arguments") or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _to_call(run: AgentRun) -> PromptCall:
    return PromptCall(
        target=run.target,
        messages=run.messages,
        inputs=run.inputs,
        tool_choice=run.tool_choice if run.turns == 0 else None,
        keys=run.keys,
        labels=_below(run),
    )


def _below(run: AgentRun) -> Labels:
    return Labels(
        trace_parent_id=run.log_id,
        session_id=run.labels.session_id,
        environment=run.labels.environment,
        user=run.labels.user,
        is_saved=run.labels.is_saved,
    )


def _limit(content: Json) -> int:
    told = content.get("max_iterations")
    return min(told, MAX_ITERATIONS) if isinstance(told, int) and told > 0 else DEFAULT_ITERATIONS


def _unanswered(messages: Sequence[Message]) -> list[Json]:
    """Return the tool calls of the last reply that no message answers."""
    asked: list[Json] = []
    answered: set[str] = set()
    for message in messages:
        if message.get("role") == "assistant":
            asked, answered = message.get("tool_calls") or [], set()
        elif message.get("role") == "tool":
            answered.add(str(message.get("tool_call_id")))
    return [one for one in asked if one.get("id") not in answered]


def _new_results(known: Sequence[Message], given: Sequence[Message]) -> list[Message]:
    """Return what the caller adds, without results of calls that were run here."""
    waiting = {one["id"] for one in _unanswered(known)}
    return [m for m in given if m.get("role") != "tool" or m.get("tool_call_id") in waiting]


def _add(sums: Json, sample: Sample) -> None:
    tokens = (sample.reply.tokens if sample.reply else None) or Tokens()
    parts = {
        "prompt_tokens": (tokens.input_uncached, tokens.cache_read, tokens.cache_write),
        "reasoning_tokens": (tokens.reasoning,),
        "output_tokens": (tokens.output, tokens.reasoning),
        "prompt_cost": (sample.prompt_cost_usd,),
        "output_cost": (sample.output_cost_usd,),
    }
    for name, counts in parts.items():
        known = [count for count in counts if count is not None]
        if known:
            sums[name] = sums.get(name, 0) + sum(known)


# --- the Agent's own Log


def _open_record(run: AgentRun) -> LogRecord:
    labels = run.labels
    body = LogBody(api_fields={"save": False})
    if labels.is_saved:
        body = LogBody(
            inputs=run.inputs or None,
            messages=run.messages or None,
            metadata=labels.metadata,
            api_fields=_told(run),
        )
    return LogRecord(
        id=run.log_id,
        is_named=True,
        is_start=True,
        kind="agent",
        name=run.target.name,
        start_ns=labels.start_ns or time.time_ns(),
        trace_parent_id=labels.trace_parent_id,
        session_id=labels.session_id,
        file=run.target.reference,
        environment=labels.environment,
        source="api",
        user=labels.user,
        status="incomplete",
        model=run.target.content.get("model"),
        run_id=labels.run_id,
        datapoint_id=labels.datapoint_id,
        body=body,
    )


def _close(caller: Context, run: AgentRun, *, is_left: bool) -> None:
    patch = LogPatch()
    if run.is_suspended and not is_left:
        patch.columns["status"] = "incomplete"
    else:
        status = "abandoned" if is_left else "complete"
        patch.columns |= {"status": "error" if run.error else status, "end_ns": time.time_ns()}
        patch.columns["finish_reason"] = run.finish_reason
    if run.error is not None:
        patch.columns["error_type"] = run.error.type
        patch.body["error"] = {"type": run.error.type}
    if run.labels.is_saved:
        patch.api_fields = _told(run)
        patch.body |= _payload(run)
    with caller.store.write() as session:
        job_count = update_log(
            session,
            caller.workspace_id,
            run.log_id,
            patch,
            match_monitors=caller.settings.match_monitors,
        )
    caller.store.announce("logs")
    if job_count:
        caller.store.announce("jobs")


def _payload(run: AgentRun) -> Json:
    payload: Json = {"messages": run.messages}
    if run.error is not None:
        payload["error"] = {"type": run.error.type, "message": run.error.message}
    elif not run.is_suspended and run.last_reply is not None:
        payload["output_message"] = run.last_reply
        payload["output"] = run.last_reply.get("content")
    return payload


def _told(run: AgentRun) -> Json:
    told = {"turns": run.turns, "tool_choice": run.tool_choice, "source": run.labels.source}
    return {name: value for name, value in told.items() if value is not None} | run.sums
