"""Anthropic client (`anthropic>=0.40,<3`): messages and beta messages.

Patched: `create`, `parse` and `stream`; sync, async, streamed, raw responses, Bedrock and Vertex.
A version that lacks a method is no error.
"""

from __future__ import annotations

from dataclasses import replace

from kibitz import semconv as sc
from kibitz.patching import Endpoint, Library, patch, unpatch

from . import messages

LIBRARY = Library("anthropic", oldest="0.40", below="3")


def instrument() -> None:
    """Record every call of the Anthropic client. Calling it again changes nothing."""
    patch(LIBRARY, ENDPOINTS)


def uninstrument() -> None:
    """Put the Anthropic client back as it was."""
    unpatch(ENDPOINTS)


_CREATE = Endpoint(
    "anthropic.resources.messages:Messages.create",
    sc.OP_CHAT,
    messages.read_request,
    messages.read_response,
    messages.MessageStream,
    read_client=messages.read_client,
    stream_views={"text_stream": "__stream_text__"},
)
_STREAM = replace(_CREATE, is_manager=True)
_PLACES = (
    "anthropic.resources.messages",
    "anthropic.resources.beta.messages",
    # These two took their methods over when they were imported, before any patch.
    "anthropic.lib.bedrock._beta_messages",
    "anthropic.lib.vertex._beta_messages",
)
_SYNC = [
    replace(endpoint, target=f"{place}:Messages.{method}")
    for place in _PLACES
    for endpoint, method in ((_CREATE, "create"), (_CREATE, "parse"), (_STREAM, "stream"))
]
ENDPOINTS = [*_SYNC, *(endpoint.in_class("Async") for endpoint in _SYNC)]
