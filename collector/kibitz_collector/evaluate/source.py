"""Checks an evaluator before it is saved: it must compile, and its settings must fit together."""

from collections.abc import Mapping
from typing import Any

from kibitz_collector.errors import Busy, Invalid
from kibitz_collector.evaluate.evaluators.code import program
from kibitz_collector.evaluate.sandbox import Sandbox, SandboxFailure
from kibitz_collector.files.kinds.evaluator import EvaluatorSpec, read_evaluator


def check_evaluator(content: Mapping[str, Any], sandbox: Sandbox | None) -> EvaluatorSpec:
    """Return the evaluator's settings when it can be saved.

    The source is compiled inside the sandbox: CPython's own compiler can be crashed from outside.
    Raises: Invalid, with the line. Busy: the sandbox does not work now.
    """
    spec = read_evaluator(content)
    if spec.return_type in ("select", "multi_select") and not spec.options:
        raise Invalid(f"return_type {spec.return_type} needs `options`, the choices there are")
    if spec.evaluator_type == "llm":
        _check_prompt(spec.prompt or {})
    if spec.evaluator_type == "code" and sandbox is not None:
        try:
            problem = sandbox.check(program(spec))
        except SandboxFailure as error:
            raise Busy(f"the sandbox does not work now: {error}", retry_after_s=5) from error
        if problem is not None:
            place = f"line {problem.line}: " if problem.line is not None else ""
            raise Invalid(f"the source is refused: {place}{problem.type}: {problem.message}")
    return spec


def _check_prompt(prompt: Mapping[str, Any]) -> None:
    if not isinstance(prompt.get("model"), str) or not prompt["model"]:
        raise Invalid("an evaluator of type llm needs a `prompt` that names its `model`")
    if not isinstance(prompt.get("template"), str | list) or not prompt["template"]:
        raise Invalid(
            "an evaluator of type llm needs a `template` in its prompt: a text, or messages, with "
            "places like {{ log.inputs.question }} and {{ log.output }}"
        )
