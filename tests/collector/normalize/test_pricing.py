"""Costs agree with `genai-prices`; what is unknown costs None."""

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from kibitz_collector.normalize.pricing import Rates, cost_usd
from kibitz_collector.records import Tokens

COUNTS = st.integers(0, 500_000)
MODELS = st.sampled_from(
    [
        ("openai", "gpt-4o-mini", "openai"),
        ("openai", "gpt-5-mini", "openai"),
        ("anthropic", "claude-sonnet-4-20250514", "anthropic"),
        ("gcp.gemini", "gemini-2.5-pro", "google"),  # its price depends on the size of the call
        ("aws.bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0", "aws"),
    ]
)
NOW_NS = 1_795_188_615_000_000_000


@settings(max_examples=60, deadline=None)
@given(MODELS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_cost_is_what_the_price_library_says(
    model: tuple[str, str, str], uncached: int, read: int, write: int, output: int, reasoning: int
) -> None:
    provider, name, price_provider = model
    usage = Usage(
        input_tokens=uncached + read + write,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=output + reasoning,
        output_reasoning_tokens=reasoning,
    )
    expected = float(calc_price(usage, name, provider_id=price_provider).total_price)
    tokens = Tokens(
        input_uncached=uncached,
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=reasoning,
    )
    found = cost_usd(tokens, provider, (name,), at_ns=NOW_NS)
    assert found == pytest.approx(expected, abs=1e-12)


def test_unknown_is_none_and_never_zero() -> None:
    some = Tokens(input_uncached=10, output=10)
    assert cost_usd(some, "openai", ("no-such-model",), at_ns=NOW_NS) is None
    assert cost_usd(some, "ollama", ("gpt-4o",), at_ns=NOW_NS) is None
    assert cost_usd(some, "openai", (None, None), at_ns=NOW_NS) is None
    assert cost_usd(None, "openai", ("gpt-4o",), at_ns=NOW_NS) is None
    assert cost_usd(Tokens(), "openai", ("gpt-4o",), at_ns=NOW_NS) is None


def test_model_asked_for_is_tried_when_the_served_one_is_unknown() -> None:
    some = Tokens(input_uncached=1_000_000, output=0)
    found = cost_usd(some, "openai", ("house-build-7", "gpt-4o-mini"), at_ns=NOW_NS)
    assert found == pytest.approx(0.15)


def test_own_price_of_a_provider_beats_that_of_a_model() -> None:
    prices = {
        "m": Rates(input=1.0, output=1.0),
        "p/m": Rates(input=2.0, output=1.0, cache_read=0.5),
    }
    tokens = Tokens(input_uncached=1_000_000, cache_read=1_000_000)
    assert cost_usd(tokens, "p", ("m",), at_ns=NOW_NS, prices=prices) == 2.5
    assert cost_usd(tokens, "q", ("m",), at_ns=NOW_NS, prices=prices) == 2.0
