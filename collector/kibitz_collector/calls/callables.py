"""What an Agent may call: functions the caller runs, and Files that are run here."""

import re
from dataclasses import dataclass
from typing import Any

from kibitz_collector.access.connections import Keys
from kibitz_collector.access.http import Context
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.prompts import PromptCall, call_prompt
from kibitz_collector.calls.targets import Target, find_target
from kibitz_collector.calls.tools import RunTool, ToolCall, call_tool, refuse_uncallable
from kibitz_collector.errors import Invalid
from kibitz_collector.files.kinds.tool import function_of
from kibitz_collector.files.template import find_inputs
from kibitz_collector.records import Json
from kibitz_collector.store.queries import files as file_queries

MESSAGE = "message"
"""The argument that becomes what a called Agent is told."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callable:
    """One function a model is told of, and what is run for it (None: the caller runs it)."""

    function: Json  # {name, description, parameters?, strict?}
    target: Target | None = None

    @property
    def is_run_here(self) -> bool:
        """Tell whether the Agent goes on by itself when it is called."""
        return self.target is not None


def find_callables(caller: Context, agent: Target) -> dict[str, Callable]:
    """Return what an Agent may call, by the name the model uses.

    Raises: Invalid: an entry is none, or two have one name. NotFound: a linked File is gone.
    """
    found: dict[str, Callable] = {}
    entries = agent.content.get("tools")
    for entry in entries if isinstance(entries, list) else []:
        one = _read_entry(caller, entry if isinstance(entry, dict) else {})
        name = one.function.get("name")
        if not isinstance(name, str) or not name:
            raise Invalid(f"a tool of {agent.path!r} has no name")
        if name in found:
            raise Invalid(f"two tools of {agent.path!r} are called {name!r}")
        found[name] = one
    return found


def run_callable(
    caller: Context,
    one: Callable,
    arguments: Json,
    labels: Labels,
    keys: Keys | None,
    run_tool: RunTool,
) -> tuple[str, str]:
    """Run a Tool or a Prompt for an Agent; returns the id of its Log and what the model is told.

    An error is told to the model too: it may know another way.
    """
    assert one.target is not None
    if one.target.kind == "prompt":
        call = PromptCall(target=one.target, inputs=arguments, labels=labels, keys=keys)
        (sample,) = call_prompt(caller, call)
        failure = f"error: {sample.error.message}" if sample.error is not None else ""
        return sample.log_id, failure or sample.output or ""
    tool_call = ToolCall(target=one.target, inputs=arguments, keys=keys, labels=labels)
    result = call_tool(caller, tool_call, run_tool)
    outcome = result.outcome
    return result.log_id, f"error: {outcome.error}" if outcome.error else outcome.output or ""


def _read_entry(caller: Context, entry: Json) -> Callable:
    if entry.get("type") != "file":
        function = entry.get("json_schema") or entry.get("function") or entry
        return Callable(function=function if isinstance(function, dict) else {})
    link = entry.get("link")
    if not isinstance(link, dict) or not isinstance(link.get("file_id"), str):
        raise Invalid("a tool of type file needs link.file_id")
    target, function = _linked(caller, link)
    is_left_to_caller = entry.get("on_agent_call") == "stop" or not _can_run(target)
    return Callable(function=function, target=None if is_left_to_caller else target)


def _linked(caller: Context, link: Json) -> tuple[Target, Json]:
    with caller.store.read() as session:
        file = file_queries.get_file(session, caller.workspace_id, link["file_id"])
    if file.kind not in ("tool", "prompt", "agent"):
        kind = file.kind.title()
        raise Invalid(f"{file.path!r} is a {kind}; Agents call Tools, Prompts and Agents")
    target = find_target(
        caller,
        file.kind,
        file_id=file.id,
        version_id=link.get("version_id"),
        environment=link.get("environment_id"),
    )
    if file.kind != "tool":
        return target, _function_of_template(target, file.description)
    function = function_of(target.content, target.name)
    if function is None:
        raise Invalid(f"the Tool {file.path!r} has no function that a model could call")
    return target, function


def _can_run(target: Target) -> bool:
    if target.kind != "tool":
        return True
    try:
        refuse_uncallable(target)
    except Invalid:
        return False
    return True


def _function_of_template(target: Target, description: str | None) -> Json:
    template: Any = target.content.get("template")
    names = find_inputs(template, target.content.get("template_language"))
    properties: Json = {name: {"type": "string"} for name in names}
    if target.kind == "agent":
        properties[MESSAGE] = {"type": "string", "description": "What the agent is asked to do."}
    return {
        "name": _NOT_IN_NAMES.sub("_", target.name)[:64],
        "description": description or f"Ask {target.name}.",
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
        },
    }
