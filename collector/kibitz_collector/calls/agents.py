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
from kibitz_collector.calls.callables import MESSAGE, Callable, find_callables, run_callable
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.prompts import Filled, PromptCall, fill_template, to_question
from kibitz_collector.calls.targets import Target
from kibitz_collector.calls.tools import RunTool
from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.files.template import as_text
from kibitz_collector.records import Json, Message, Tokens

DEFAULT_ITERATIONS = 10
MAX_ITERATIONS = 200
MAX_DEPTH = 8  # of Agents called by Agents
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
    run_tool: RunTool | None = None,
    above: tuple[str, ...] = (),
) -> AgentRun:
    """Begin with an Agent: its Log is open from now on. `above`: the Agents that it is called by.

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
        above=above,
    )
    # Refused before there is a Log of it.
    run.filled = _fill(caller, run, run_tool)
    to_question(caller, _to_call(run, run_tool), [])
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
    if run.filled is None:  # taken up again
        run.filled = _fill(caller, run, run_tool)
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


def _fill(caller: Context, run: AgentRun, run_tool: RunTool | None) -> Filled:
    """Fill the template once for all turns: the Tools in it are asked once."""
    return fill_template(caller, _to_call(run, run_tool), run.labels.below(run.log_id))


def _ask(
    caller: Context, run: AgentRun, tools: dict[str, Callable], *, is_streamed: bool
) -> Generator[AgentEvent, None, Sample]:
    functions = [one.function for one in tools.values()]
    question = replace(to_question(caller, _to_call(run, None), functions), is_turn=True)
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
        log_id, said = _answer_call(caller, run, found, one, run_tool)
        if said is None:
            run.is_suspended = True
            continue
        result: Message = {"role": "tool", "content": said, "tool_call_id": one["id"]}
        run.messages = [*run.messages, result]
        yield AgentEvent(type="tool_end", message=one["name"], tool_call=one, log_id=log_id)


def _answer_call(
    caller: Context, run: AgentRun, found: Callable | None, asked: Json, run_tool: RunTool
) -> tuple[str | None, str | None]:
    """Return the id of the Log, if there is one, and what the model is told; None: not yet."""
    if found is None or found.target is None:
        return None, f"there is no Tool {asked['name']!r}"
    arguments = _arguments(asked)
    try:
        if found.target.kind == "agent":
            return _run_below(caller, run, found.target, arguments, run_tool)
        below = run.labels.below(run.log_id)
        return run_callable(caller, found, arguments, below, run.keys, run_tool)
    except (Invalid, NotFound) as error:  # of what the model asks for; it may know better
        return None, f"error: {error.message}"


def _run_below(
    caller: Context, run: AgentRun, target: Target, arguments: Json, run_tool: RunTool
) -> tuple[str | None, str | None]:
    """Let an Agent call another one.

    One that waits makes this one wait: who continues it brings its answer here. Raises: Invalid.
    """
    above = (*run.above, run.target.file_id)
    if target.file_id in above:
        raise Invalid(f"{target.path!r} would be called by itself")
    if len(above) > MAX_DEPTH:
        raise Invalid(f"Agents call Agents to a depth of {MAX_DEPTH}")
    told = arguments.pop(MESSAGE, None)
    inner = start_agent(
        caller,
        target,
        messages=[] if told is None else [{"role": "user", "content": as_text(told)}],
        inputs=arguments,
        keys=run.keys,
        labels=run.labels.below(run.log_id),
        run_tool=run_tool,
        above=above,
    )
    for _event in run_agent(caller, inner, run_tool):
        pass
    if inner.is_suspended:
        return inner.log_id, None
    if inner.error is not None:
        return inner.log_id, f"error: {inner.error.message}"
    said = inner.last_reply.get("content") if inner.last_reply else None
    return inner.log_id, as_text(said or "")


def _arguments(tool_call: Json) -> Json:
    try:
        read = orjson.loads(tool_call.get("arguments") or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _to_call(run: AgentRun, run_tool: RunTool | None) -> PromptCall:
    return PromptCall(
        target=run.target,
        messages=run.messages,
        inputs=run.inputs,
        tool_choice=run.tool_choice if run.turns == 0 else None,
        keys=run.keys,
        labels=run.labels.below(run.log_id),
        run_tool=run_tool,
        filled=run.filled,
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
