"""Calls an Agent: model and Tools in turn, until it is done, or a call comes that the caller runs.

The Agent's Log is open from the first turn to the end; turns and Tools are Logs below it.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from kibitz_collector.access.connections import Keys
from kibitz_collector.access.http import Context
from kibitz_collector.calls.agent_runs import AgentRun, close_log, open_log
from kibitz_collector.calls.asking import Piece, Sample, ask, ask_streamed
from kibitz_collector.calls.callables import Callable, find_callables, run_callable
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.prompts import PromptCall, to_question
from kibitz_collector.calls.targets import Target
from kibitz_collector.calls.tools import RunTool
from kibitz_collector.records import Json, Message, Tokens

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvent:
    """Something that happened while an Agent ran."""

    type: EventType
    message: str
    text: str | None = None  # agent_update: what is new
    tool_call: Json | None = None  # tool_start, tool_end: {id, name, arguments}
    log_id: str | None = None  # tool_end: of the Tool's Log


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
    """Begin with an Agent: its Log is open from now on.

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
    to_question(caller, _to_call(run), [])  # refused before there is a Log of it
    open_log(caller, run)
    return run


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
        close_log(caller, run, is_left=is_left)
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
