"""The types of evaluators that judge by themselves: one module, one line in `EVALUATORS`.

Types without a line (`human`, `external`) are judged from outside.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from kibitz_collector.access.http import Context
from kibitz_collector.evaluate.evaluators import code, llm
from kibitz_collector.evaluate.sandbox import Sandbox, Verdict
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec
from kibitz_collector.records import Json


class Judge(Protocol):
    """Judges Logs in order; fewer verdicts than Logs: the rest was not begun."""

    def __call__(
        self,
        spec: EvaluatorSpec,
        logs: Sequence[Json],
        sandbox: Sandbox | None = None,
        caller: Context | None = None,
    ) -> list[Verdict]:
        """Judge; code needs the sandbox, a model the caller whose keys are used.

        A Log is a dict as `evaluate.logs` makes it; its `testcase`, if there is one, is the
        datapoint it was made from.
        """
        ...


EVALUATORS: Mapping[str, Judge] = {"code": code.judge, "llm": llm.judge}
