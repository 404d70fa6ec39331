"""Runs the code of Tools in the sandbox of evaluators: arguments in, text out.

Evaluators are called with one Log; so a Tool's source gets a last function that takes one call and
passes its arguments on by name.
"""

import json
import re
from collections.abc import Mapping
from functools import partial

from kibitz_collector.calls import RunTool, ToolOutcome
from kibitz_collector.config import Settings
from kibitz_collector.errors import Busy, Invalid
from kibitz_collector.evaluate.sandbox import Limits, Sandbox, SandboxFailure
from kibitz_collector.records import Json

_FUNCTION = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_FUTURE = re.compile(r"^from[ \t]+__future__[ \t]+import[^\n]*\n", re.MULTILINE)
# The value becomes text inside: outside nothing of a Tool's making is ever looked into.
_ENTRY = """

{async_}def _kibitz_tool(call):
    import json
    value = {await_}{name}(**call["inputs"])
    return value if isinstance(value, str) else json.dumps(value{default})
"""


def tool_runner(sandbox: Sandbox | None, settings: Settings) -> RunTool:
    """Return what runs Tools in this process."""
    return partial(run_tool, sandbox, settings.tool_timeout_s)


def run_tool(
    sandbox: Sandbox | None,
    timeout_s: float,
    source: str,
    name: str | None,
    inputs: Json,
    variables: Mapping[str, str],
) -> ToolOutcome:
    """Call the function `name`, else the last one that the source defines.

    Raises: Invalid: there is no function. Busy: the sandbox does not work now.
    """
    if sandbox is None:
        raise Busy("this process runs no Tools: it was started without a sandbox (--evaluate)")
    program, added = write_program(source, name, variables, engine=sandbox.engine)
    limits = Limits(wall_s=timeout_s, batch_wall_s=timeout_s)
    try:
        (verdict,) = sandbox.run(program, [{"inputs": inputs}], return_type="text", limits=limits)
    except SandboxFailure as error:
        raise Busy(f"the sandbox does not work now: {error}", retry_after_s=5) from error
    if verdict.error is None:
        return ToolOutcome(output=verdict.value, stdout=verdict.stdout or None)
    line = verdict.error.line
    place = ""
    if line is not None and 0 < line - added <= source.count("\n") + 1:
        place = f" (line {line - added})"
    return ToolOutcome(
        error_type=verdict.error.type,
        error=f"{verdict.error.type}: {verdict.error.message}{place}",
        stdout=verdict.stdout or None,
    )


def write_program(
    source: str, name: str | None, variables: Mapping[str, str], *, engine: str = "jail"
) -> tuple[str, int]:
    """Return the source with its entry, and how many lines were put before it.

    Raises: Invalid: there is no such function.
    """
    found = {match[1]: match[0].startswith("async") for match in _FUNCTION.finditer(source)}
    if not found:
        raise Invalid("the Tool's source defines no function")
    chosen = name if name in found else list(found)[-1]
    is_async = found[chosen]
    entry = _ENTRY.format(
        name=chosen,
        async_="async " if is_async else "",
        await_="await " if is_async else "",
        default="" if engine == "monty" else ", default=str",
    )
    future = "".join(match[0] for match in _FUTURE.finditer(source))
    # Before the source, because many read their variables when they are loaded.
    setting = f"import os; os.environ.update({json.dumps(dict(variables))})\n" if variables else ""
    body = _FUTURE.sub("\n", source) if setting else source
    before = future + setting if setting else ""
    return before + body + entry, before.count("\n")
