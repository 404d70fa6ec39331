"""Evaluators whose source runs in the sandbox."""

from collections.abc import Sequence
from typing import Any

from kibitz_collector.evaluate.sandbox import Sandbox, Verdict
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec


def judge(spec: EvaluatorSpec, logs: Sequence[dict[str, Any]], sandbox: Sandbox) -> list[Verdict]:
    """Run the source on the Logs.

    Raises: SandboxFailure.
    """
    return sandbox.run(spec.code, logs, return_type=spec.return_type, options=spec.options)
