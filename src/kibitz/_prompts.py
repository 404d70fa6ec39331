"""The scope of a `@kibitz.prompt` call: provider calls inside it become the prompt's Logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kibitz._spans import Span


class PromptScope:
    """One running call of a prompt function; `claim` is how a provider call becomes its Log.

    The prompt's own span is opened but kept back. The first provider call takes over its id, so
    that `kibitz.current().id` inside the function already names that Log; if there is none, the
    kept span is ended itself.
    """

    __slots__ = ("is_claimed", "own")

    def __init__(self, own: Span) -> None:
        self.own = own
        self.is_claimed = False

    def claim(self, span: Span) -> None:
        """Make a provider's span the Log of this prompt."""
        own = self.own
        span.static = own.static
        span.path = own.path
        span.inputs = own.inputs
        span.capture = own.capture
        if own.metadata:
            span.metadata, span.has_more = {**own.metadata, **(span.metadata or {})}, True
        if not self.is_claimed:
            self.is_claimed = True
            span.span_id = own.span_id
            own.heir = span
