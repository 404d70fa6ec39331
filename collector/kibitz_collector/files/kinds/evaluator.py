"""What an Evaluator's Version is made of, read from its content."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from kibitz_collector.errors import Invalid
from kibitz_collector.records import ReturnType

EvaluatorType = Literal["code", "llm", "human", "external"]
Place = Literal["collector", "app"]
MAX_OPTIONS = 200
MAX_OPTION_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorSpec:
    """One Evaluator's content, checked."""

    evaluator_type: EvaluatorType
    return_type: ReturnType
    code: str = ""
    options: list[Any] = field(default_factory=list)
    where: Place = "collector"

    @property
    def is_run_here(self) -> bool:
        """Tell whether this collector judges by itself; else judgments come from elsewhere."""
        return self.evaluator_type in ("code", "llm") and self.where == "collector"


def read_evaluator(content: Mapping[str, Any]) -> EvaluatorSpec:
    """Read an Evaluator's content.

    Shape: {"evaluator_type": "code", "code": str, "return_type": "boolean", "options": [str |
    {"name": str, "valence": str}] | absent, "where": "collector" | "app" | absent}.
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
    return EvaluatorSpec(
        evaluator_type=evaluator_type,
        return_type=_one_of("return_type", content.get("return_type") or "boolean", ReturnType),
        code=code,
        options=_options(content.get("options")),
        where=where,
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
    return value
