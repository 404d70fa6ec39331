"""What an Evaluator's Version is made of, read from its content."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from kibitz_collector.errors import Invalid
from kibitz_collector.records import Json, ReturnType

EvaluatorType = Literal["code", "llm", "human", "external"]
Place = Literal["collector", "app"]
Arguments = Literal["target_free", "target_required"]
Valence = Literal["positive", "negative", "neutral"]
DEFAULT_EVALUATORS: Mapping[str, Json] = {
    "rating": {
        "evaluator_type": "human",
        "arguments_type": "target_free",
        "return_type": "select",
        "options": [
            {"name": "good", "valence": "positive"},
            {"name": "bad", "valence": "negative"},
        ],
    },
    "correction": {
        "evaluator_type": "human",
        "arguments_type": "target_free",
        "return_type": "text",
    },
}
"""What every Prompt is judged with by people, by path."""
MAX_OPTIONS = 200
MAX_OPTION_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberLimits:
    """Between which numbers an Evaluator judges, and in which steps; None: any."""

    min: float | None = None
    max: float | None = None
    step: float | None = None

    def problem(self, value: float) -> str | None:
        """Say why this number is none of those allowed; None: it is one."""
        low, high, step = self.min, self.max, self.step
        if low is not None and value < low:
            return f"{value:g} is under the least number allowed, {low:g}"
        if high is not None and value > high:
            return f"{value:g} is over the greatest number allowed, {high:g}"
        if step:
            steps = (value - (low or 0.0)) / step
            if abs(steps - round(steps)) > _STEP_TOLERANCE * max(1.0, abs(steps)):
                return f"{value:g} is not on the steps of {step:g} from {low or 0:g}"
        return None


ANY_NUMBER = NumberLimits()
_STEP_TOLERANCE = 1e-9  # 0.1 + 0.2 is on the steps of 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorSpec:
    """One Evaluator's content, checked."""

    evaluator_type: EvaluatorType
    return_type: ReturnType
    code: str = ""
    options: list[Any] = field(default_factory=list)
    where: Place = "collector"
    arguments_type: Arguments = "target_free"
    prompt: Json | None = None  # of type llm: what a Prompt's Version is made of
    limits: NumberLimits = ANY_NUMBER

    @property
    def is_run_here(self) -> bool:
        """Tell whether this collector judges by itself; else judgments come from elsewhere."""
        return self.evaluator_type in ("code", "llm") and self.where == "collector"

    @property
    def option_names(self) -> list[str]:
        """Return the choices as texts."""
        return [str(o.get("name", "")) if isinstance(o, dict) else str(o) for o in self.options]


def read_evaluator(content: Mapping[str, Any]) -> EvaluatorSpec:
    """Read an Evaluator's content.

    Shape: {"evaluator_type": "code", "code": str, "return_type": "boolean", "options": [str |
    {"name": str, "valence": str | absent}] | absent, "number_limits": {"min": float, "max": float,
    "step": float} | absent, "number_valence": str | absent, "prompt": object (of type llm),
    "arguments_type": str | absent, "where": "collector" | "app" | absent}.
    Raises: Invalid, naming the field.
    """
    kind = content.get("evaluator_type") or "code"
    if kind == "python":  # the contract's name for it
        kind = "code"
    code = content.get("code") or ""
    if not isinstance(code, str):
        raise Invalid("code must be the evaluator's source as text")
    evaluator_type = _one_of("evaluator_type", kind, EvaluatorType)
    where: Place = _one_of("where", content.get("where") or "collector", Place)
    if evaluator_type == "code" and where == "collector" and not code.strip():
        raise Invalid("an evaluator of type code needs its source as `code`")
    _one_of("number_valence", content.get("number_valence") or "neutral", Valence)
    arguments = content.get("arguments_type") or "target_free"
    return EvaluatorSpec(
        evaluator_type=evaluator_type,
        return_type=_one_of("return_type", content.get("return_type") or "boolean", ReturnType),
        code=code,
        options=_options(content.get("options")),
        where=where,
        arguments_type=_one_of("arguments_type", arguments, Arguments),
        prompt=_prompt(content.get("prompt")),
        limits=_limits(content.get("number_limits")),
    )


def _one_of(name: str, value: Any, literal: Any) -> Any:
    choices = get_args(literal)
    if value not in choices:
        raise Invalid(f"{name} {value!r} is not known; choose one of {', '.join(choices)}")
    return value


def _options(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_OPTIONS:
        raise Invalid(f"options must be a list of at most {MAX_OPTIONS} choices")
    for option in value:
        name = option.get("name") if isinstance(option, dict) else option
        if not isinstance(name, str) or not 0 < len(name) <= MAX_OPTION_CHARS:
            raise Invalid(f"option {option!r} is neither a text nor an object with a name")
        if isinstance(option, dict):
            _one_of(f"valence of option {name!r}", option.get("valence") or "neutral", Valence)
    return value


def _prompt(value: Any) -> Json | None:
    if value is not None and not isinstance(value, dict):
        raise Invalid("prompt must be an object: what a Prompt's Version is made of")
    return value


def _limits(value: Any) -> NumberLimits:
    if value is None:
        return ANY_NUMBER
    if not isinstance(value, dict):
        raise Invalid("number_limits must be an object with min, max and step")
    said = {name: value.get(name) for name in ("min", "max", "step")}
    for name, limit in said.items():
        if limit is not None and not is_number(limit):
            raise Invalid(f"number_limits.{name} {limit!r} is not a number")
    limits = NumberLimits(**said)
    if limits.min is not None and limits.max is not None and limits.min > limits.max:
        raise Invalid(f"number_limits: min {limits.min:g} is over max {limits.max:g}")
    if limits.step is not None and limits.step <= 0:
        raise Invalid(f"number_limits.step {limits.step:g} must be over 0")
    return limits


def is_number(value: Any) -> bool:
    """Tell whether this is a finite number (true and false are none)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
