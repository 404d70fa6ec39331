"""What a model call cost: rates from `genai-prices` (bundled, offline) and the user's own.

A model without a known price costs None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from kibitz_collector.errors import Invalid
from kibitz_collector.records import Tokens

_MILLION = 1_000_000
# Our provider names and those of genai-prices; others carry the same name in both.
_PRICE_PROVIDERS = {
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars per million tokens, one rate per bucket."""

    input: float
    output: float
    cache_read: float | None = None  # None: as input
    cache_write: float | None = None
    reasoning: float | None = None  # None: as output


UserPrices = Mapping[str, Rates]
"""Model, or `provider/model`, to its rates."""

NO_PRICES: UserPrices = {}


def read_prices(text: str | bytes) -> UserPrices:
    """Read a user's own prices.

    Shape: {"<model>" | "<provider>/<model>": {"input": USD per million tokens, "output": …,
    "cache_read": … | absent, "cache_write": … | absent, "reasoning": … | absent}}.
    Raises: Invalid, naming the model and the value.
    """
    try:
        models = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"prices are not JSON: {error}") from None
    if not isinstance(models, dict):
        raise Invalid("prices must be one JSON object: model to rates")
    return {model: _read_rates(model, rates) for model, rates in models.items()}


def _read_rates(model: str, rates: Any) -> Rates:
    names = [one.name for one in fields(Rates)]
    if not isinstance(rates, dict) or not {"input", "output"} <= rates.keys() <= set(names):
        raise Invalid(f"prices of {model!r} need input and output, and may have {', '.join(names)}")
    for name, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or rate < 0:
            raise Invalid(f"price {name} of {model!r} must be USD per million tokens, got {rate!r}")
    return Rates(**rates)


def cost_usd(
    tokens: Tokens | None,
    provider: str | None,
    models: tuple[str | None, ...],
    *,
    at_ns: int,
    prices: UserPrices = NO_PRICES,
) -> float | None:
    """Return what the call cost; the first of `models` with a known price decides."""
    if tokens is None or (tokens.input_uncached is None and tokens.output is None):
        return None
    for model in models:
        if not model:
            continue
        own = prices.get(f"{provider}/{model}") or prices.get(model) if prices else None
        rates = own or _known_rates(provider, model)
        if rates is None:
            continue
        if isinstance(rates, Rates):
            return _multiply(tokens, rates)
        return _ask(tokens, rates, model, at_ns)
    return None


def _multiply(tokens: Tokens, rates: Rates) -> float:
    input_rate, output_rate = rates.input, rates.output
    read_rate = input_rate if rates.cache_read is None else rates.cache_read
    write_rate = input_rate if rates.cache_write is None else rates.cache_write
    reasoning_rate = output_rate if rates.reasoning is None else rates.reasoning
    return (
        (tokens.input_uncached or 0) * input_rate
        + (tokens.cache_read or 0) * read_rate
        + (tokens.cache_write or 0) * write_rate
        + (tokens.output or 0) * output_rate
        + (tokens.reasoning or 0) * reasoning_rate
    ) / _MILLION


@dataclass(frozen=True, slots=True)
class _Asked:
    """A price that depends on the size or the time of the call: worked out each time."""

    provider: str


@lru_cache(maxsize=4096)
def _known_rates(provider: str | None, model: str) -> Rates | _Asked | None:
    """Look a model up once; a call to genai-prices takes 70 µs, the product above less than one."""
    from genai_prices import data_snapshot
    from genai_prices.types import ModelPrice, TieredPrices

    wanted = _PRICE_PROVIDERS.get(provider, provider) if provider else None
    try:
        found, info = data_snapshot.get_snapshot().find_provider_model(model, None, wanted, None)
    except (LookupError, ValueError):
        return None
    price = info.prices
    if not isinstance(price, ModelPrice):
        return _Asked(found.id)
    if any(isinstance(value, TieredPrices) for value in vars(price).values()):
        return _Asked(found.id)
    try:
        return _probe(found.id, model)
    except (LookupError, ValueError):
        return None


def _probe(provider: str, model: str) -> Rates:
    """Read the linear rates off the price function itself, so that its rules stay its own."""

    def ask(**counts: int) -> float:
        return _calc(model, provider, counts, datetime.now(UTC))

    rate_in, rate_out = ask(input_tokens=_MILLION), ask(output_tokens=_MILLION)
    return Rates(
        input=rate_in,
        output=rate_out,
        cache_read=ask(input_tokens=_MILLION, cache_read_tokens=_MILLION),
        cache_write=ask(input_tokens=_MILLION, cache_write_tokens=_MILLION),
        reasoning=ask(output_tokens=_MILLION, output_reasoning_tokens=_MILLION),
    )


def _ask(tokens: Tokens, asked: _Asked, model: str, at_ns: int) -> float | None:
    read, write = tokens.cache_read or 0, tokens.cache_write or 0
    reasoning = tokens.reasoning or 0
    counts = {
        "input_tokens": (tokens.input_uncached or 0) + read + write,
        "output_tokens": (tokens.output or 0) + reasoning,
    }
    if read:
        counts["cache_read_tokens"] = read
    if write:
        counts["cache_write_tokens"] = write
    if reasoning:
        counts["output_reasoning_tokens"] = reasoning
    try:
        when = datetime.fromtimestamp(at_ns / 1e9, UTC)
        return _calc(model, asked.provider, counts, when)
    except (LookupError, ValueError, OverflowError, OSError):
        return None


def _calc(model: str, provider: str, counts: dict[str, Any], when: datetime) -> float:
    from genai_prices import Usage, calc_price

    priced = calc_price(Usage(**counts), model, provider_id=provider, genai_request_timestamp=when)
    return float(priced.total_price)
