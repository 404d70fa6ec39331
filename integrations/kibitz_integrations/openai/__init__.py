"""OpenAI client (`openai>=1.40,<4`): chat completions, responses, embeddings, completions.

Patched: `create`, and where they exist `parse` and `stream`; sync, async, streamed, Azure, raw
responses, and every server that speaks OpenAI's wire. A version that lacks a method is no error.
"""

from __future__ import annotations

from dataclasses import replace

from kibitz import semconv as sc
from kibitz.patching import Endpoint, Library, patch, unpatch

from . import chat, responses, texts
from ._client import read_client

LIBRARY = Library("openai", oldest="1.40", below="4")


def instrument() -> None:
    """Record every call of the OpenAI client. Calling it again changes nothing."""
    patch(LIBRARY, ENDPOINTS)


def uninstrument() -> None:
    """Put the OpenAI client back as it was."""
    unpatch(ENDPOINTS)


_CHAT = Endpoint(
    "openai.resources.chat.completions:Completions.create",
    sc.OP_CHAT,
    chat.read_request,
    chat.read_response,
    chat.ChatStream,
    read_client=read_client,
    extend=chat.ask_for_usage,
    is_extra=chat.is_usage_chunk,
)
_CHAT_STREAM = replace(_CHAT, extend=chat.with_usage, is_manager=True)
_RESPONSES = Endpoint(
    "openai.resources.responses:Responses.create",
    sc.OP_CHAT,
    responses.read_request,
    responses.read_response,
    responses.ResponseStream,
    read_client=read_client,
)
_EMBEDDINGS = Endpoint(
    "openai.resources.embeddings:Embeddings.create",
    sc.OP_EMBEDDINGS,
    texts.read_embeddings_request,
    texts.read_embeddings_response,
    read_client=read_client,
)
_COMPLETIONS = Endpoint(
    "openai.resources.completions:Completions.create",
    sc.OP_TEXT_COMPLETION,
    texts.read_completion_request,
    texts.read_completion_response,
    texts.CompletionStream,
    read_client=read_client,
    extend=chat.ask_for_usage,
    is_extra=chat.is_usage_chunk,
)
_SYNC = [
    _CHAT,
    replace(_CHAT, target="openai.resources.chat.completions:Completions.parse"),
    replace(_CHAT_STREAM, target="openai.resources.chat.completions:Completions.stream"),
    # Where the two lived before they left beta.
    replace(_CHAT, target="openai.resources.beta.chat.completions:Completions.parse"),
    replace(_CHAT_STREAM, target="openai.resources.beta.chat.completions:Completions.stream"),
    _RESPONSES,
    replace(_RESPONSES, target="openai.resources.responses:Responses.parse"),
    replace(_RESPONSES, target="openai.resources.responses:Responses.stream", is_manager=True),
    _EMBEDDINGS,
    _COMPLETIONS,
]
ENDPOINTS = [*_SYNC, *(endpoint.in_class("Async") for endpoint in _SYNC)]
