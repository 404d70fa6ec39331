"""Which key and address a call to a provider uses."""

from pathlib import Path

import pytest

from kibitz_collector.access import connections
from kibitz_collector.access.connections import find_connection, save_provider
from kibitz_collector.access.http import Context
from kibitz_collector.config import Settings
from kibitz_collector.errors import Invalid, NotFound
from kibitz_collector.normalize import NO_PRICES
from kibitz_collector.store import Store
from kibitz_collector.store.queries.secrets import PROVIDER, list_secrets


def caller_of(store: Store, tmp_path: Path, workspace_id: int = 1, **more: str) -> Context:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'k.db'}", **more)  # type: ignore[arg-type]  # a test's own keywords
    return Context(settings, store, workspace_id, "full", None, NO_PRICES)


def test_settings_come_from_the_packages_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://one")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-two")
    monkeypatch.setenv("KIBITZ_PROVIDER_TIMEOUT", "7")
    settings = Settings()
    assert settings.openai_base_url == "http://one"
    assert settings.anthropic_api_key == "sk-two"
    assert settings.provider_timeout_s == 7
    assert "sk-two" not in repr(settings)
    monkeypatch.setenv("KIBITZ_OPENAI_BASE_URL", "http://nearer")
    assert Settings().openai_base_url == "http://nearer"
    assert Settings(openai_base_url="http://nearest").openai_base_url == "http://nearest"


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai_azure", "AZURE_OPENAI_API_KEY"),
        ("deepseek", "DEEPSEEK_API_KEY"),
        ("groq", "GROQ_API_KEY"),
        ("mistral", "MISTRAL_API_KEY"),
        ("google", "GEMINI_API_KEY"),
        ("google", "GOOGLE_API_KEY"),
        ("cohere", "CO_API_KEY"),
        ("replicate", "REPLICATE_API_TOKEN"),
        ("bedrock", "AWS_BEARER_TOKEN_BEDROCK"),
        ("groq", "KIBITZ_GROQ_API_KEY"),
    ],
)
def test_keys_of_all_providers_come_from_their_variables(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "sk-from-outside")
    caller = caller_of(store, tmp_path)
    assert find_connection(caller, provider).api_key == "sk-from-outside"
    assert "sk-from-outside" not in repr(caller.settings)


def test_addresses_of_azure_and_own_servers_come_from_the_settings(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.azure.example")
    monkeypatch.setenv("KIBITZ_VLLM_BASE_URL", "http://gpu:8000/v1")
    caller = caller_of(store, tmp_path, ollama_base_url="http://box:11434/v1")
    assert find_connection(caller, "openai_azure").base_url == "https://mine.azure.example"
    assert find_connection(caller, "vllm").base_url == "http://gpu:8000/v1"
    assert find_connection(caller, "ollama").base_url == "http://box:11434/v1"


def test_hosts_an_admin_allows_go_along(store: Store, tmp_path: Path) -> None:
    caller = caller_of(store, tmp_path, allowed_hosts="Metadata.example, 169.254.1.1")
    reach = find_connection(caller, "openai").reach
    assert reach.hosts == {"metadata.example", "169.254.1.1"}
    assert (reach.private, reach.setting) == (True, "KIBITZ_ALLOWED_HOSTS=<the host>")


def test_callers_key_goes_before_the_saved_and_that_before_the_settings(
    store: Store, tmp_path: Path
) -> None:
    caller = caller_of(store, tmp_path, openai_api_key="sk-settings", openai_base_url="http://a")
    first = find_connection(caller, "openai")
    assert (first.api_key, first.base_url, first.timeout_s) == ("sk-settings", "http://a", 120)
    save_provider(caller, "openai", api_key="sk-saved", base_url=None)
    second = find_connection(caller, "openai")
    assert (second.api_key, second.base_url) == ("sk-saved", "http://a")
    third = find_connection(caller, "openai", {"openai": "sk-given", "anthropic": "other"})
    assert third.api_key == "sk-given"
    assert "sk-given" not in repr(third)
    azure = {"openai_azure": "k", "openai_azure_endpoint": "https://mine"}
    fourth = find_connection(caller, "openai_azure", azure)
    assert (fourth.api_key, fourth.base_url) == ("k", "https://mine")


def test_saved_keys_are_of_one_workspace_sealed_and_replaced(store: Store, tmp_path: Path) -> None:
    caller = caller_of(store, tmp_path)
    save_provider(caller, "groq", api_key="gsk-first-long-key", base_url=None)
    save_provider(caller, "groq", api_key="gsk-second-long-key", base_url="http://g")
    assert find_connection(caller, "groq").api_key == "gsk-second-long-key"
    assert find_connection(caller_of(store, tmp_path, 2), "groq").api_key is None
    (shown,) = connections.list_providers(caller)
    assert (shown.name, shown.base_url, shown.key_hint) == ("groq", "http://g", "…-key")
    with store.read() as session:
        (kept,) = list_secrets(session, 1, PROVIDER)
    assert "gsk" not in kept.sealed
    connections.forget_provider(caller, "groq")
    with pytest.raises(NotFound):
        connections.forget_provider(caller, "groq")


def test_what_cannot_be_a_provider_is_refused(store: Store, tmp_path: Path) -> None:
    caller = caller_of(store, tmp_path)
    with pytest.raises(Invalid, match="api_key, base_url or both"):
        save_provider(caller, "groq", api_key=None, base_url=None)
    with pytest.raises(Invalid, match="http://"):
        save_provider(caller, "groq", api_key=None, base_url="file:///etc")
    with pytest.raises(Invalid, match="no name of a provider"):
        save_provider(caller, "a b", api_key="k", base_url=None)
