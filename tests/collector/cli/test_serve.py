"""What a served collector says on its error stream."""

import logging
from collections.abc import Iterator

import pytest

from kibitz_collector.cli.serve import start_logging
from kibitz_collector.cli.worker import _SETTINGS as WORKER_SETTINGS
from kibitz_collector.config import Settings


@pytest.fixture
def levels() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in ("", "openai", "botocore", "httpx")}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize("level", ["debug", "info"])
def test_packages_of_providers_say_nothing_of_prompts_and_keys(level: str) -> None:
    logging.root.setLevel(level.upper())
    start_logging(Settings(log_level=level))  # type: ignore[arg-type]  # one of the literals
    for package in ("openai", "botocore.endpoint", "httpx", "httpx2", "google_genai.models"):
        assert not logging.getLogger(package).isEnabledFor(logging.INFO)
    assert logging.getLogger("kibitz.collector").isEnabledFor(logging.INFO)


def test_workers_know_all_keys_and_addresses_of_providers() -> None:
    """They call models too: judges, and runs of evaluations."""
    names = {name for name in Settings.model_fields if name.endswith(("_api_key", "_base_url"))}
    assert names | {"provider_timeout_s", "tool_timeout_s", "allowed_hosts"} <= set(WORKER_SETTINGS)
