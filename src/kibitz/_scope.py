"""What is current: our own key in the OpenTelemetry context, and how it is entered and left.

No token is ever kept: a scope is left by putting back what was there, and only if the scope is
still the current one. So leaving from another task, thread or context does nothing instead of
failing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import create_key
from opentelemetry.context.context import Context
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from kibitz._context import attach, get_current
from kibitz._garbage import collecting, is_collecting

if TYPE_CHECKING:
    from kibitz._prompts import PromptScope
    from kibitz._spans import Span

KEY = create_key("kibitz")
OTEL_SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))


class Carried:
    """What a session gives to every span inside it; immutable."""

    __slots__ = ("encoded", "metadata", "session_id", "user")

    def __init__(
        self,
        session_id: str | None = None,
        user: str | None = None,
        metadata: dict[str, Any] | None = None,
        encoded: bytes = b"",
    ) -> None:
        self.session_id = session_id
        self.user = user
        self.metadata = metadata or {}
        self.encoded = encoded  # session and user as OTLP attributes, joined by commas


NOTHING_CARRIED = Carried()


class Scope:
    """One level of nesting. `trace_id` 0: no trace yet; `span_id` 0: a root is next.

    A span is the scope of what it calls; sessions, prompts and remote callers make others.
    """

    __slots__ = (
        "ambient_id",
        "carried",
        "is_dropped",
        "otel_span",
        "prompt",
        "span",
        "span_id",
        "trace_id",
    )

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        *,
        span: Span | None = None,
        carried: Carried = NOTHING_CARRIED,
        otel_span: Any = None,
        prompt: PromptScope | None = None,
        is_dropped: bool = False,
        ambient_id: int = 0,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.span = span
        self.carried = carried
        self.otel_span = otel_span  # OTel's current span when this scope was made
        self.prompt = prompt  # provider calls right here are this prompt's Logs
        self.is_dropped = is_dropped  # the trace is not in the sample
        self.ambient_id = ambient_id  # a remote span that is not ours

    def replace(self, **changes: Any) -> Scope:
        """Return a copy with some fields changed."""
        fields = {name: getattr(self, name) for name in Scope.__slots__}
        return Scope(**{**fields, **changes})


def current_scope() -> Scope | None:
    """The innermost scope, or None."""
    scope: Scope | None = get_current().get(KEY)  # type: ignore[assignment]  # only we set this key
    return scope


def enter(scope: Scope, context: Context, otel_span: Any = None) -> Context | None:
    """Make a scope current on top of `context`, which the caller keeps for `leave`.

    Returns what is current now, to be attached again on the same context; None: nothing changed.
    """
    if collecting and is_collecting():
        return None
    if otel_span is None:
        inside = Context({**context, KEY: scope})
    else:
        inside = Context({**context, KEY: scope, OTEL_SPAN_KEY: otel_span})
    attach(inside)
    return inside


def leave(scope: Scope, context: Context) -> None:
    """Go back to `context`, if the scope is still the current one."""
    if get_current().get(KEY) is scope:
        attach(context)
