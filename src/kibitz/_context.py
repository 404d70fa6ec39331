"""OpenTelemetry's current context: the variable itself, where its own functions only wrap it.

Reading and setting it happens four times per recorded call and twice per step of a generator; each
of OpenTelemetry's two layers of functions costs as much as the variable.
"""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

get_current = otel_context.get_current
attach = otel_context.attach

_behind = getattr(otel_context, "_RUNTIME_CONTEXT", None)
if type(_behind) is ContextVarsRuntimeContext:  # not one of the host's own making
    _variable = getattr(_behind, "_current_context", None)
    if _variable is not None:
        get_current, attach = _variable.get, _variable.set

__all__ = ["attach", "get_current"]
