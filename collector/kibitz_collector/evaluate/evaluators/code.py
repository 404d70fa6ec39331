"""Evaluators whose source runs in the sandbox.

The sandbox calls the last function of a source with one Log. One that wants the test case too (of
arguments type `target_required`) gets a last function that hands it on.
"""

import re
from collections.abc import Sequence

from kibitz_collector.access.http import Context
from kibitz_collector.errors import Busy
from kibitz_collector.evaluate.sandbox import Sandbox, Verdict
from kibitz_collector.evaluate.values import within_limits
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.records import Json

_FUNCTION = re.compile(r"^(?P<async>async[ \t]+)?def[ \t]+(?P<name>\w+)", re.MULTILINE)
_ENTRY = """

{async_}def _kibitz_evaluator(log):
    testcase = log.pop("testcase", None)
    return {await_}{name}(log, testcase)
"""


def judge(
    spec: EvaluatorSpec,
    logs: Sequence[Json],
    sandbox: Sandbox | None = None,
    caller: Context | None = None,
) -> list[Verdict]:
    """Run the source on the Logs.

    Raises: SandboxFailure. Busy: this process has no sandbox.
    """
    if sandbox is None:
        raise Busy("this process runs no code: it was started without a sandbox (--evaluate)")
    verdicts = sandbox.run(program(spec), logs, return_type=spec.return_type, options=spec.options)
    return [within_limits(verdict, spec) for verdict in verdicts]


def program(spec: EvaluatorSpec) -> str:
    """Return the source with the entry that its arguments type needs; its lines keep their numbers.

    A source without a function stays as it is: the sandbox says so.
    """
    if spec.arguments_type != "target_required":
        return spec.code
    found = list(_FUNCTION.finditer(spec.code))
    if not found:
        return spec.code
    is_async = found[-1]["async"] is not None
    entry = _ENTRY.format(
        name=found[-1]["name"],
        async_="async " if is_async else "",
        await_="await " if is_async else "",
    )
    return spec.code + entry
