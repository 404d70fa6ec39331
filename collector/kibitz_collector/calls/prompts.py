"""Calls a Prompt: fills its template, asks the model as often as wanted, stores a Log each time."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from kibitz_collector import providers
from kibitz_collector.access.connections import Keys, find_connection
from kibitz_collector.access.http import Context
from kibitz_collector.calls.asking import SETTINGS, Piece, Question, Sample, ask, ask_streamed
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.targets import Target, tool_function
from kibitz_collector.calls.template_tools import TemplateTools
from kibitz_collector.calls.tools import RunTool
from kibitz_collector.errors import Invalid
from kibitz_collector.files import template
from kibitz_collector.providers import ModelRequest
from kibitz_collector.records import Json, Message

MAX_SAMPLES = 32
_AT_ONCE = 8
_NUMBERS = {"max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed"}


Filled = str | list[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCall:
    """One call of a Prompt. `keys` are the caller's own provider keys: used, never stored."""

    target: Target
    messages: list[Message] = field(default_factory=list)  # after the template's
    inputs: Json = field(default_factory=dict)
    tool_choice: str | Json | None = None
    logprobs: int | None = None
    suffix: str | None = None
    num_samples: int = 1
    keys: Keys | None = field(default=None, repr=False)
    labels: Labels = field(default_factory=Labels)
    run_tool: RunTool | None = None  # runs code of Tools that the template calls
    filled: Filled | None = None  # the template, when it is filled already


def call_prompt(caller: Context, call: PromptCall) -> list[Sample]:
    """Call and wait for all samples, in order; each one's Log is stored.

    Each sample is a request of its own, so that its tokens and cost are its own.
    Raises: Invalid: inputs are missing. NotFound: a linked Tool is gone.
    """
    question = to_question(caller, call)
    if call.num_samples == 1:
        return [ask(caller, question)]
    with ThreadPoolExecutor(min(_AT_ONCE, call.num_samples)) as pool:
        return list(pool.map(partial(ask, caller, question), range(call.num_samples)))


def stream_prompt(caller: Context, call: PromptCall) -> Generator[Piece | Sample, None, None]:
    """Call and hand on what comes: pieces of all samples as they come, each sample at its end.

    Raises: Invalid, NotFound: before anything is asked.
    """
    question = to_question(caller, call)
    if call.num_samples == 1:
        return ask_streamed(caller, question)
    return _merged([ask_streamed(caller, question, index) for index in range(call.num_samples)])


def to_question(caller: Context, call: PromptCall, functions: list[Json] | None = None) -> Question:
    """Fill the template and gather what the model is asked; `functions`: instead of its tools.

    Raises: Invalid: inputs are missing, or the content is not a Prompt's. NotFound.
    """
    content = call.target.content
    if not 1 <= call.num_samples <= MAX_SAMPLES:
        raise Invalid(f"num_samples must be 1 to {MAX_SAMPLES}")
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise Invalid(f"{call.target.path} names no model to call")
    endpoint = content.get("endpoint") or "chat"
    if endpoint not in ("chat", "complete"):
        raise Invalid(f"endpoint {endpoint!r} cannot be called; there are chat and complete")
    call = _with_id(call)
    filled = call.filled
    if filled is None:
        filled = fill_template(caller, call, call.labels.below(call.labels.choose_id()))
    request = ModelRequest(
        model=model,
        endpoint=endpoint,
        messages=_messages(filled) + call.messages if endpoint == "chat" else [],
        prompt=_text(filled) if endpoint == "complete" else None,
        tools=_tools(caller, content) if functions is None else functions,
        tool_choice=call.tool_choice,
        logprobs=call.logprobs,
        suffix=call.suffix,
        other=_object(content.get("other")),
        **_settings(content),
    )
    provider = str(content.get("provider") or "openai")
    providers.warm(provider)
    return Question(
        target=call.target,
        request=request,
        connection=find_connection(caller, provider, call.keys),
        inputs=call.inputs,
        messages=call.messages,
        labels=call.labels,
    )


def fill_template(caller: Context, call: PromptCall, labels: Labels) -> Filled:
    """Return the template with its inputs, and with what the Tools in it say; `labels`: theirs.

    Raises: Invalid: inputs are missing, or a Tool is or fails. Busy.
    """
    content = call.target.content
    found = content.get("template")
    if found is None:
        return []
    if not isinstance(found, str) and not _is_chat(found):
        raise Invalid("the template is neither a text nor a list of messages with roles")
    tools = TemplateTools(
        caller=caller,
        inputs=call.inputs,
        run_tool=call.run_tool,
        keys=call.keys,
        labels=labels,
    )
    return template.populate(
        found, call.inputs, language=content.get("template_language"), call_tool=tools.call
    )


def _with_id(call: PromptCall) -> PromptCall:
    """Choose the id of the Log now: the Tools in the template are Logs below it."""
    return replace(call, labels=replace(call.labels, log_id=call.labels.choose_id()))


def _settings(content: Json) -> Json:
    settings = {name: content[name] for name in SETTINGS if content.get(name) is not None}
    for name in _NUMBERS & settings.keys():
        if isinstance(settings[name], bool) or not isinstance(settings[name], int | float):
            raise Invalid(f"{name} must be a number, and is {settings[name]!r:.200}")
    return settings


def _is_chat(value: Any) -> bool:
    """Versions are also made of what spans say, and that may be anything."""
    return isinstance(value, list) and all(
        isinstance(message, dict) and isinstance(message.get("role"), str) for message in value
    )


def _messages(filled: str | list[Message]) -> list[Message]:
    if isinstance(filled, str):
        return [{"role": "user", "content": filled}] if filled else []
    return [_flat(message) for message in filled]


def _flat(message: Message) -> Message:
    """Return a template's message as Logs hold them: tool calls without their wrapping."""
    if not message.get("tool_calls"):
        return message
    calls = [{"id": one.get("id"), **(one.get("function") or one)} for one in message["tool_calls"]]
    return {**message, "tool_calls": calls}


def _text(filled: str | list[Message]) -> str:
    if isinstance(filled, str):
        return filled
    return "\n\n".join(str(message.get("content") or "") for message in filled)


def _tools(caller: Context, content: Json) -> list[Json]:
    functions = [_function(one) for one in _list(content.get("tools"))]
    linked = [_tool_id(one) for one in _list(content.get("linked_tools"))]
    if linked:
        with caller.store.read() as session:
            functions += [tool_function(session, caller.workspace_id, one) for one in linked]
    return functions


def _function(tool: Any) -> Json:
    """Read a function, flat or in the form that OpenAI takes it in."""
    inner = _object(tool).get("function")
    function = inner if isinstance(inner, dict) else _object(tool)
    if not isinstance(function.get("name"), str):
        raise Invalid(f"a tool of this Prompt has no name: {tool!r:.200}")
    return function


def _tool_id(linked: Any) -> str:
    return str(_object(linked).get("id") or linked)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


# --- several streams at once


def _merged(
    streams: list[Generator[Piece | Sample, None, None]],
) -> Generator[Piece | Sample, None, None]:
    """Read streams on a thread each; yields what comes in the order it comes.

    Raises: what a stream raised, after the others have ended.
    """
    queue: SimpleQueue[Piece | Sample | BaseException | None] = SimpleQueue()
    left = Event()

    def read(stream: Generator[Piece | Sample, None, None]) -> None:
        try:
            for item in _until(left, stream):
                queue.put(item)
        except BaseException as error:
            queue.put(error)
        finally:
            queue.put(None)

    threads = [Thread(target=read, args=(stream,), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    problem: BaseException | None = None
    try:
        running = len(threads)
        while running:
            item = queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                problem = item
            else:
                yield item
    finally:
        left.set()
    if problem is not None:
        raise problem


def _until(left: Event, stream: Generator[Piece | Sample, None, None]) -> Iterator[Piece | Sample]:
    for item in stream:
        yield item
        if left.is_set():
            stream.close()  # its Log says that it was abandoned
            return
