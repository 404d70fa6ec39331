"""The types of evaluators that judge by themselves: one module, one line in `EVALUATORS`.

Types without a line (`human`, `external`) are judged from outside.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kibitz_collector.evaluate.evaluators import code
from kibitz_collector.evaluate.sandbox import Sandbox, Verdict
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec

Judge = Callable[[EvaluatorSpec, Sequence[dict[str, Any]], Sandbox], list[Verdict]]
"""Judges Logs in order; fewer verdicts than Logs: the rest was not begun."""
EVALUATORS: Mapping[str, Judge] = {"code": code.judge}
