"""kibitz: tracing, online evaluation and alerting for LLM apps. The whole public API."""

from typing import TYPE_CHECKING, Any

from kibitz._current import CurrentLog, current
from kibitz._decorators import ToolFunction, evaluator, flow, prompt, tool
from kibitz._handler import handler
from kibitz._judge import judge
from kibitz._otel import tracer_provider
from kibitz._record import VERSION as __version__
from kibitz._registry import instrument, uninstrument
from kibitz._session import extract, inject, session
from kibitz._setup import FlushResult, flush, init, shutdown
from kibitz._threads import propagate
from kibitz.errors import (
    ApiError,
    ChecksFailed,
    ConfigError,
    ExportError,
    IntegrationError,
    KibitzError,
)

if TYPE_CHECKING:
    from kibitz.client.calls import CallResult, CallStream, call
    from kibitz.client.evaluations import evaluate
    from kibitz.client.prompt import Prompt
    from kibitz.client.prompts import get_prompt
    from kibitz.client.results import EvaluationResult

# What asks the collector for something: an HTTP client takes longer to import than all the rest.
_LAZY = {
    "CallResult": "kibitz.client.calls",
    "CallStream": "kibitz.client.calls",
    "EvaluationResult": "kibitz.client.results",
    "Prompt": "kibitz.client.prompt",
    "call": "kibitz.client.calls",
    "evaluate": "kibitz.client.evaluations",
    "get_prompt": "kibitz.client.prompts",
}

__all__ = [
    "ApiError",
    "CallResult",
    "CallStream",
    "ChecksFailed",
    "ConfigError",
    "CurrentLog",
    "EvaluationResult",
    "ExportError",
    "FlushResult",
    "IntegrationError",
    "KibitzError",
    "Prompt",
    "ToolFunction",
    "__version__",
    "call",
    "current",
    "evaluate",
    "evaluator",
    "extract",
    "flow",
    "flush",
    "get_prompt",
    "handler",
    "init",
    "inject",
    "instrument",
    "judge",
    "prompt",
    "propagate",
    "session",
    "shutdown",
    "tool",
    "tracer_provider",
    "uninstrument",
]


def __getattr__(name: str) -> Any:
    """Import what is not needed by most apps when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_LAZY[name]), name)
    globals()[name] = found
    return found
