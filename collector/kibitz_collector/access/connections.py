"""Which key and address a call to a model provider uses, and where saved ones are kept.

A key given with the call comes first and is never stored; then the saved one; then the settings.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kibitz_collector.access.http import Context
from kibitz_collector.access.reach import provider_reach
from kibitz_collector.access.seal import open_sealer
from kibitz_collector.config import Settings
from kibitz_collector.errors import Invalid
from kibitz_collector.providers import Connection
from kibitz_collector.store.queries import secrets as secret_queries
from kibitz_collector.store.queries.secrets import PROVIDER
from kibitz_collector.store.writes import secrets as secret_writes

Keys = Mapping[str, str | None]
"""Keys given with a call: `{openai: …, openai_azure_endpoint: …}`, the contract's form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedProvider:
    """A saved provider as it may be shown."""

    name: str
    base_url: str | None
    key_hint: str | None  # last characters, to recognise it by


def find_connection(caller: Context, provider: str, keys: Keys | None = None) -> Connection:
    """Return how this call reaches a provider.

    Raises: Invalid: a saved key was sealed with another secret key.
    """
    settings = caller.settings
    connection = Connection(
        provider=provider,
        timeout_s=settings.provider_timeout_s,
        reach=provider_reach(settings),
    )
    connection = _from_settings(connection, settings)
    saved = _read_saved(caller, provider)
    if saved is not None:
        connection = _overlay(connection, saved.get("api_key"), saved.get("base_url"))
    given = keys or {}
    return _overlay(connection, given.get(provider), given.get(f"{provider}_endpoint"))


def save_provider(
    caller: Context, name: str, *, api_key: str | None, base_url: str | None
) -> SavedProvider:
    """Save a provider's key, address, or both; what was saved under the name is replaced.

    Raises: Invalid: neither is given, the address is none, or there is no place for secrets.
    """
    if not api_key and not base_url:
        raise Invalid("give api_key, base_url or both")
    if base_url and not base_url.startswith(("http://", "https://")):
        raise Invalid(f"base_url {base_url!r} must begin with http:// or https://")
    if not name.replace("_", "").replace("-", "").isalnum():
        raise Invalid(f"{name!r} is no name of a provider: letters, digits, _ and -")
    content = {"api_key": api_key or None, "base_url": base_url or None}
    sealed = open_sealer(caller.settings).seal(json.dumps(content))
    with caller.store.write() as session:
        secret_writes.keep_secrets(session, caller.workspace_id, PROVIDER, {name: sealed})
    return _show(name, content)


def forget_provider(caller: Context, name: str) -> None:
    """Delete what was saved for a provider.

    Raises: NotFound.
    """
    with caller.store.write() as session:
        secret_writes.forget_secret(session, caller.workspace_id, PROVIDER, name)


def list_providers(caller: Context) -> list[SavedProvider]:
    """Return the saved providers, without their keys."""
    with caller.store.read() as session:
        found = secret_queries.list_secrets(session, caller.workspace_id, PROVIDER)
    if not found:
        return []
    sealer = open_sealer(caller.settings)
    return [_show(secret.name, json.loads(sealer.unseal(secret.sealed))) for secret in found]


def tool_variables(caller: Context, tool_id: str) -> dict[str, str]:
    """Return a Tool's environment variables.

    Raises: Invalid: they were sealed with another secret key.
    """
    with caller.store.read() as session:
        found = secret_queries.list_secrets(session, caller.workspace_id, tool_id)
    if not found:
        return {}
    sealer = open_sealer(caller.settings)
    return {secret.name: sealer.unseal(secret.sealed) for secret in found}


def keep_tool_variables(caller: Context, tool_id: str, variables: Mapping[str, str]) -> None:
    """Keep environment variables of a Tool, sealed.

    Raises: Invalid: there is no place for secrets.
    """
    sealer = open_sealer(caller.settings)
    sealed = {name: sealer.seal(value) for name, value in variables.items()}
    with caller.store.write() as session:
        secret_writes.keep_secrets(session, caller.workspace_id, tool_id, sealed)


def forget_tool_variable(caller: Context, tool_id: str, name: str) -> None:
    """Delete an environment variable of a Tool.

    Raises: NotFound.
    """
    with caller.store.write() as session:
        secret_writes.forget_secret(session, caller.workspace_id, tool_id, name)


def _read_saved(caller: Context, provider: str) -> dict[str, str | None] | None:
    with caller.store.read() as session:
        found = secret_queries.find_secret(session, caller.workspace_id, PROVIDER, provider)
    if found is None:
        return None
    saved: dict[str, str | None] = json.loads(open_sealer(caller.settings).unseal(found.sealed))
    return saved


def _from_settings(connection: Connection, settings: Settings) -> Connection:
    name = connection.provider
    return _overlay(
        connection,
        getattr(settings, f"{name}_api_key", None),
        getattr(settings, f"{name}_base_url", None),
    )


def _overlay(connection: Connection, api_key: str | None, base_url: str | None) -> Connection:
    return replace(
        connection,
        api_key=api_key or connection.api_key,
        base_url=base_url or connection.base_url,
    )


def _show(name: str, content: Mapping[str, str | None]) -> SavedProvider:
    key = content.get("api_key")
    hint = f"…{key[-4:]}" if key and len(key) >= 12 else ("…" if key else None)
    return SavedProvider(name=name, base_url=content.get("base_url"), key_hint=hint)
