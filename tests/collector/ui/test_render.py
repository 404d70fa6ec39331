"""Numbers and times are written one way."""

import pytest

from kibitz_collector.records import Tokens
from kibitz_collector.ui.render import ago, clock, count, duration, money, percent, tokens_total


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "\u2013"), (0.42, "0.4 ms"), (12.3, "12 ms"), (1234, "1.23 s"), (125_000, "2 m 05 s")],
)
def test_durations(ms: float | None, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [(None, "\u2013"), (0, "$0"), (1.5, "$1.50"), (0.00025, "$0.00025"), (1e-9, "$1.0e-09")],
)
def test_unknown_cost_is_never_zero(usd: float | None, text: str) -> None:
    assert money(usd) == text


def test_tokens_add_up_only_what_is_known() -> None:
    assert tokens_total(Tokens()) is None
    assert tokens_total(Tokens(input_uncached=10, output=0, reasoning=5)) == 15


def test_shares_counts_and_times() -> None:
    assert (percent(0.5), percent(1), percent(None)) == ("50.0%", "100 %", "\u2013")
    assert count(12345) == "12\u202f345"
    assert ago(0, 90_000_000_000) == "1 min"
    assert clock(-(10**20)) == "0001-01-01 00:00:00"
    assert clock(0) == "1970-01-01 00:00:00"
