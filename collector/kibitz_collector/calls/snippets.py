"""Fills tool calls written in templates: `{{ tone(key) }}`, `{{ tone("formal") }}`.

Only Snippets stand in templates here: their pairs of key and text are the `setup_values` of a Tool
whose `tool_type` is `snippet`. What they say is not part of a Prompt's Version.
"""

from kibitz_collector.access.http import Context
from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import tool_type
from kibitz_collector.files.template import CallTool, ToolCall, as_text
from kibitz_collector.records import Json
from kibitz_collector.store import Session
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries.files import FileView


def snippet_reader(caller: Context, inputs: Json) -> CallTool:
    """Return what replaces the tool calls of one template by their texts.

    What it returns raises Invalid: there is no such Snippet, or no such key in it.
    """

    def read(call: ToolCall) -> str:
        if len(call.arguments) != 1:
            raise Invalid(f"{call.name}(…) in the template takes one key")
        (argument,) = call.arguments
        key = argument.strip('"') if argument.startswith('"') else as_text(inputs[argument])
        with caller.store.read() as session:
            pairs = _pairs(session, caller.workspace_id, call.name)
        if key not in pairs:
            known = ", ".join(sorted(pairs)) or "none"
            raise Invalid(f"the Snippet {call.name!r} has no key {key!r}; it has: {known}")
        return as_text(pairs[key])

    return read


def _pairs(session: Session, workspace_id: int, name: str) -> Json:
    file = _find(session, workspace_id, name)
    content: Json = {}
    if file.version_id is not None:
        content = file_queries.get_version(session, workspace_id, file.version_id).content
    pairs = content.get("setup_values")
    if tool_type(content) != "snippet" or not isinstance(pairs, dict):
        raise Invalid(
            f"the template calls the Tool {file.path!r}, which is of type {tool_type(content)}; "
            "only Snippets are called in templates"
        )
    return pairs


def _find(session: Session, workspace_id: int, name: str) -> FileView:
    listed = file_queries.list_files(session, workspace_id, kind="tool", path=f"*{name}").items
    found = [file for file in listed if file.name == name]
    exact = [file for file in found if file.path == name]
    if not found:
        raise Invalid(f"the template calls the Tool {name!r}, and there is none of this name")
    if len(found) > 1 and not exact:
        paths = ", ".join(file.path for file in found)
        raise Invalid(f"the template calls the Tool {name!r}, and there are several: {paths}")
    return (exact or found)[0]
