"""Makes the tool calls written in templates: `{{ tone("formal") }}`, `{{ google(question) }}`.

A Tool is called by the name of its File. Snippets are only read; all others are run, and are Logs.
What a Tool says is not part of a Prompt's Version.
"""

from dataclasses import dataclass, field

from kibitz_collector.access.connections import Keys
from kibitz_collector.access.http import Context
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.targets import Target
from kibitz_collector.calls.tools import RunTool, call_tool, read_snippet
from kibitz_collector.calls.tools import ToolCall as Call
from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import tool_type
from kibitz_collector.files.kinds.tool import check_tool, parameter_names
from kibitz_collector.files.template import ToolCall
from kibitz_collector.records import Json
from kibitz_collector.store import Session
from kibitz_collector.store.queries import files as file_queries
from kibitz_collector.store.queries.files import FileView

MAX_CALLS = 20


@dataclass(slots=True, kw_only=True)
class TemplateTools:
    """The tool calls of one template. Equal ones are made once."""

    caller: Context
    inputs: Json
    run_tool: RunTool | None = None
    keys: Keys | None = field(default=None, repr=False)
    labels: Labels = field(default_factory=Labels)
    said: dict[str, str] = field(default_factory=dict)

    def call(self, written: ToolCall) -> str:
        """Return what replaces a call.

        Raises: Invalid: there is no such Tool, it is called wrongly, or it fails. Busy.
        """
        target = _find(self.caller, written.name)
        values = written.values(self.inputs)
        if tool_type(target.content) == "snippet":
            return _read(target, values)
        inputs = _named(target, values)
        wanted = f"{written.name} {inputs!r}"
        if wanted not in self.said:
            if len(self.said) >= MAX_CALLS:
                raise Invalid(f"a template makes at most {MAX_CALLS} different tool calls")
            self.said[wanted] = self._run(target, inputs)
        return self.said[wanted]

    def _run(self, target: Target, inputs: Json) -> str:
        call = Call(target=target, inputs=inputs, keys=self.keys, labels=self.labels)
        outcome = call_tool(self.caller, call, self.run_tool).outcome
        if outcome.error is not None:
            raise Invalid(f"the Tool {target.path!r} in the template failed: {outcome.error}")
        return outcome.output or ""


def _read(target: Target, values: list[object]) -> str:
    if len(values) != 1:
        raise Invalid(f"{target.name}(…) in the template takes one key")
    check_tool(target.content)
    return read_snippet(target, values[0])


def _named(target: Target, values: list[object]) -> Json:
    names = parameter_names(target.content)
    if len(values) > len(names):
        takes = ", ".join(names) or "nothing"
        raise Invalid(
            f"{target.name}(…) in the template takes {takes}, and is given {values!r:.200}"
        )
    return dict(zip(names, values, strict=False))


def _find(caller: Context, name: str) -> Target:
    with caller.store.read() as session:
        file = _find_file(session, caller.workspace_id, name)
        if file.version_id is None:
            raise Invalid(f"the template calls the Tool {file.path!r}, which has no Version")
        version = file_queries.get_version(session, caller.workspace_id, file.version_id)
    return Target(
        kind="tool",
        file_id=file.id,
        path=file.path,
        version_id=version.id,
        content=version.content,
    )


def _find_file(session: Session, workspace_id: int, name: str) -> FileView:
    listed = file_queries.list_files(session, workspace_id, kind="tool", path=f"*{name}").items
    found = [file for file in listed if file.name == name]
    exact = [file for file in found if file.path == name]
    if not found:
        raise Invalid(f"the template calls the Tool {name!r}, and there is none of this name")
    if len(found) > 1 and not exact:
        paths = ", ".join(file.path for file in found)
        raise Invalid(f"the template calls the Tool {name!r}, and there are several: {paths}")
    return (exact or found)[0]
