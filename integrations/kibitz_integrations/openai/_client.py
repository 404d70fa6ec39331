"""Whom an OpenAI client talks to: the provider behind its base URL, for all endpoints."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from kibitz import semconv as sc
from kibitz.patching import Attributes

# Servers that speak OpenAI's wire, by the end of their host. Names: OpenTelemetry's provider list.
PROVIDERS = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "models.inference.ai.azure.com": "azure.ai.inference",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "api.anthropic.com": "anthropic",
    "openrouter.ai": "openrouter",
    "api.together.xyz": "together",
    "api.fireworks.ai": "fireworks",
}


# What was read of a client, and the URL it was read from: reading it takes as long as the messages
# of a short call. By the client itself, so that it goes with it, and beside it: it is not ours.
_known: WeakKeyDictionary[Any, tuple[Any, Attributes]] = WeakKeyDictionary()


def read_client(resource: Any) -> Attributes:
    """Read provider and server from the resource a method is called on (`client.embeddings`)."""
    client = resource._client
    url = client.base_url
    known = _known.get(client)
    if known is not None and known[0] is url:
        return known[1]
    attributes = _read(client, url)
    _known[client] = url, attributes
    return attributes


def _read(client: Any, url: Any) -> Attributes:
    host = url.host
    attributes: Attributes = {sc.PROVIDER: _provider(client, host), sc.SERVER_ADDRESS: host}
    if url.port is not None:
        attributes[sc.SERVER_PORT] = url.port
    return attributes


def _provider(client: Any, host: str) -> str:
    if host == "api.openai.com":
        return "openai"
    # By class name: importing the Azure client here would load it for everybody.
    if any(base.__name__ == "BaseAzureClient" for base in type(client).__mro__):
        return "azure.ai.openai"
    for end, name in PROVIDERS.items():
        if host == end or host.endswith("." + end):
            return name
    return "openai"
