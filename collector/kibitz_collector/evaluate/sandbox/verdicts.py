"""What every sandbox engine takes and gives: limits, verdicts, and the check of a value's type."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kibitz_collector.records import ReturnType

Log = dict[str, Any]
Options = Sequence[Any] | None
"""Choices of `select` and `multi_select`: texts, or objects with a `name`."""
MAX_SOURCE_CHARS = 200_000
MAX_TEXT_CHARS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one batch may take."""

    wall_s: float = 2.0  # one Log, and the loading of the source
    batch_wall_s: float = 10.0  # no further Log is begun after this long
    memory_bytes: int = 256 * 2**20
    stdout_chars: int = 16_384
    answer_bytes: int = 2**20
    answer_depth: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictError:
    """Why there is no judgment; `line` is a line of the evaluator's source."""

    type: str
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome for one Log: a value of the declared type (None: abstention), or an error.

    `is_fatal`: the evaluator had to be killed or killed itself. `is_refused`: it failed because it
    wanted what the sandbox does not give. Both count towards its suspension.
    """

    value: Any = None
    error: VerdictError | None = None
    stdout: str = ""
    duration_ms: float = 0.0
    is_fatal: bool = False
    is_refused: bool = False

    @property
    def is_strike(self) -> bool:
        """Tell whether this counts towards suspending the evaluator version."""
        return self.is_fatal or self.is_refused


class SandboxFailure(Exception):
    """The sandbox itself did not work; says nothing about the evaluator. Try again later."""


class Sandbox(Protocol):
    """Runs evaluator source on Logs, isolated. Thread-safe."""

    engine: str
    """`jail`, `monty` or `local-unsafe`."""
    reason: str
    """Why this engine: shown in the pages and by `doctor`."""

    def run(
        self,
        source: str,
        logs: Sequence[Log],
        *,
        return_type: ReturnType,
        options: Options = None,
        limits: Limits | None = None,
    ) -> list[Verdict]:
        """Judge the Logs in order with a clean copy of one evaluator.

        Fewer verdicts than Logs come back when the last verdict is fatal or the batch's time is up:
        the rest was not begun.
        Raises: SandboxFailure.
        """
        ...

    def check(self, source: str) -> VerdictError | None:
        """Compile without running; None: there is an evaluator in it.

        Raises: SandboxFailure.
        """
        ...

    def close(self) -> None:
        """End every process of the sandbox."""
        ...


def option_names(options: Options) -> list[str]:
    """Return the choices as texts."""
    return [str(o.get("name", "")) if isinstance(o, dict) else str(o) for o in options or ()]


def type_problem(value: Any, return_type: ReturnType, options: Options) -> str | None:
    """Say what is wrong with a value for its declared type; None: nothing. None abstains always."""
    if value is None:
        return None
    match return_type:
        case "boolean":
            ok, wanted = isinstance(value, bool), "True, False or None"
        case "number":
            ok, wanted = _is_number(value), "a finite number or None"
        case "select":
            names = option_names(options)
            ok = isinstance(value, str) and (not names or value in names)
            wanted = f"one of {', '.join(names)}, or None" if names else "a text or None"
        case "multi_select":
            names = option_names(options)
            ok = isinstance(value, list) and all(
                isinstance(item, str) and (not names or item in names) for item in value
            )
            wanted = f"a list out of {', '.join(names)}, or None" if names else "a list of texts"
        case "text":
            ok = isinstance(value, str) and len(value) <= MAX_TEXT_CHARS
            wanted = f"a text of at most {MAX_TEXT_CHARS} characters or None"
    if ok:
        return None
    shown = repr(value)
    shown = shown if len(shown) <= 100 else shown[:100] + "…"
    return f"return type {return_type} wants {wanted}, got {type(value).__name__} {shown}"


def typed(verdict: Verdict, return_type: ReturnType, options: Options) -> Verdict:
    """Return the verdict, as an error when its value is not of the declared type."""
    problem = type_problem(verdict.value, return_type, options) if verdict.error is None else None
    if problem is None:
        return verdict
    return Verdict(
        error=VerdictError(type="WrongType", message=problem),
        stdout=verdict.stdout,
        duration_ms=verdict.duration_ms,
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
