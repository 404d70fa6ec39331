"""A user's own prices come first, and a wrong file says what is wrong."""

import json

import pytest

from kibitz_collector.errors import Invalid
from kibitz_collector.normalize import Rates, normalize, read_prices
from tests.collector.normalize.spans import span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
OWN = {"gpt-4o-mini": {"input": 1000.0, "output": 2000.0}}


def test_own_price_replaces_the_known_one() -> None:
    tokens = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500}
    prices = read_prices(json.dumps(OWN))
    assert normalize(span({**CHAT, **tokens}), prices=prices).cost_usd == pytest.approx(2.0)


def test_rates_may_name_every_bucket() -> None:
    rates = {"input": 1, "output": 2, "cache_read": 0.1, "cache_write": 1.2, "reasoning": 2}
    read = read_prices(json.dumps({"me/own": rates}))
    assert read == {
        "me/own": Rates(input=1, output=2, cache_read=0.1, cache_write=1.2, reasoning=2)
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[]", "one JSON object"),
        ('{"m": 1}', "'m'"),
        ('{"m": {"input": 1}}', "input and output"),
        ('{"m": {"input": 1, "output": 2, "other": 3}}', "'m'"),
        ('{"m": {"input": -1, "output": 2}}', "per million"),
        ('{"m": {"input": true, "output": 2}}', "per million"),
    ],
)
def test_a_wrong_price_names_the_model_and_the_value(text: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        read_prices(text)
