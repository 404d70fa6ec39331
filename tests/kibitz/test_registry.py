"""`kibitz.instrument()`: integrations by name, or all that are installed."""

from __future__ import annotations

from collections.abc import Iterator

import openai.resources.chat.completions as chat
import pytest

from kibitz._registry import instrument, uninstrument
from kibitz.errors import IntegrationError
from kibitz.patching import is_patched
from kibitz_integrations import anthropic as anthropic_integration
from kibitz_integrations import openai as openai_integration


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    yield
    uninstrument()


def test_named_integration_is_switched_on_alone() -> None:
    assert instrument("openai") == ("openai",)
    assert is_patched(openai_integration.ENDPOINTS[0])
    assert not is_patched(anthropic_integration.ENDPOINTS[0])


def test_without_names_all_installed_are_switched_on_and_off() -> None:
    original = vars(chat.Completions)["create"]
    assert set(instrument()) >= {"anthropic", "openai"}
    assert vars(chat.Completions)["create"] is not original
    uninstrument()
    assert vars(chat.Completions)["create"] is original


def test_unknown_name_lists_the_known_and_patches_nothing() -> None:
    with pytest.raises(
        IntegrationError, match=r"no integration 'opnai'; installed: anthropic.*openai"
    ):
        instrument("openai", "opnai")
    assert not is_patched(openai_integration.ENDPOINTS[0])
