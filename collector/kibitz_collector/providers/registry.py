"""Which file speaks to which provider, and where each is found; others are OpenAI-compatible."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from typing import cast

from kibitz_collector.addresses import AddressRefused, check_host
from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    Provider,
    ProviderError,
    Reply,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One provider: its file, its address when its package does not know it."""

    module: str
    package: str | None = None  # None: it is called as the file is
    base_url: str | None = None
    needs_key: bool = True
    needs_base_url: bool = False
    key_variable: str | None = None  # the environment variable its own package reads


PROVIDERS: dict[str, Known] = {
    "openai": Known(module="openai", key_variable="OPENAI_API_KEY"),
    "openai_azure": Known(
        module="openai", needs_base_url=True, key_variable="AZURE_OPENAI_API_KEY"
    ),
    "anthropic": Known(module="anthropic", key_variable="ANTHROPIC_API_KEY"),
    "deepseek": Known(
        module="openai", base_url="https://api.deepseek.com/v1", key_variable="DEEPSEEK_API_KEY"
    ),
    "groq": Known(
        module="openai", base_url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY"
    ),
    "mistral": Known(
        module="openai", base_url="https://api.mistral.ai/v1", key_variable="MISTRAL_API_KEY"
    ),
    "google": Known(module="google", package="google.genai", key_variable="GEMINI_API_KEY"),
    "bedrock": Known(module="bedrock", package="boto3", needs_key=False),
    "cohere": Known(module="cohere", key_variable="CO_API_KEY"),
    "replicate": Known(module="replicate", key_variable="REPLICATE_API_TOKEN"),
    "ollama": Known(module="openai", base_url="http://127.0.0.1:11434/v1", needs_key=False),
    "vllm": Known(module="openai", base_url="http://127.0.0.1:8000/v1", needs_key=False),
    "mock": Known(module="mock", needs_key=False),
}
_LOOKUP_S = 2.0
_COMPATIBLE = Known(module="openai", needs_key=False, needs_base_url=True)


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Ask a model and wait for the whole answer.

    Raises: ProviderError.
    """
    provider, whole = _find(connection)
    return provider.call(request, whole)


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Ask a model; yields deltas as they come, and the whole reply last.

    Raises: ProviderError, also between deltas.
    """
    provider, whole = _find(connection)
    return provider.stream(request, whole)


def embed(model: str, text: str, connection: Connection) -> list[float]:
    """Return the vector of a text, of a model that OpenAI's API reaches.

    Raises: ProviderError.
    """
    provider, whole = _find(connection)
    way = getattr(provider, "embed", None)
    if way is None:
        raise _refusal(f"provider {connection.provider!r} is not asked for vectors here")
    vector: list[float] = way(model, text, whole)
    return vector


def warm(provider: str) -> None:
    """Load what calls of this provider need; the first time that takes a second of its own."""
    known = PROVIDERS.get(provider, _COMPATIBLE)
    import_module(f"kibitz_collector.providers.{known.module}")
    with suppress(ImportError):  # the call itself says what is missing
        import_module(known.package or known.module)


def _find(connection: Connection) -> tuple[Provider, Connection]:
    name = connection.provider
    known = PROVIDERS.get(name, _COMPATIBLE)
    base_url = connection.base_url or known.base_url
    if known.needs_base_url and not base_url:
        raise _refusal(
            f"where is provider {name!r}? Save its base URL with PUT /api/providers/{name}, "
            f"or use one of {', '.join(sorted(PROVIDERS))}"
        )
    if known.needs_key and not connection.api_key:
        raise _refusal(
            f"no key for provider {name!r}: save one with PUT /api/providers/{name}, start the "
            f"collector with {known.key_variable}, or send it as provider_api_keys.{name}"
        )
    if connection.base_url is not None:
        _check_address(connection)
    # Loaded here: one provider's package is nobody else's business.
    module = import_module(f"kibitz_collector.providers.{known.module}")
    return cast(Provider, module), replace(connection, base_url=base_url)


def _check_address(connection: Connection) -> None:
    """Refuse a base URL that leads to cloud metadata and the like."""
    try:
        check_host(connection.base_url or "", connection.reach, _LOOKUP_S)
    except AddressRefused as refused:
        raise _refusal(f"the base URL of {connection.provider!r} is refused: {refused}") from None


def _refusal(message: str) -> ProviderError:
    return ProviderError(message, type="configuration_error", code=400, origin="kibitz")
