"""kibitz: tracing, online evaluation and alerting for LLM apps. The whole public API."""

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
from kibitz.errors import ConfigError, ExportError, IntegrationError, KibitzError

__all__ = [
    "ConfigError",
    "CurrentLog",
    "ExportError",
    "FlushResult",
    "IntegrationError",
    "KibitzError",
    "ToolFunction",
    "__version__",
    "current",
    "evaluator",
    "extract",
    "flow",
    "flush",
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
