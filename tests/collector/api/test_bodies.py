"""What the API reads as JSON, and what it says of the rest."""

from typing import Any

import pytest

from kibitz_collector.api.bodies import parse
from kibitz_collector.errors import BadPayload


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null, "\xc3\xa4"]}', {"a": [1, 2.5, None, "ä"]}),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'{"\ud800": "a\ud800b"}', {"\ufffd": "a\ufffdb"}),
        (rb'["a\u0000b"]', ["a\ufffdb"]),
    ],
)
def test_json_is_read_and_what_no_database_holds_is_replaced(body: bytes, value: Any) -> None:
    assert parse(body) == value


@pytest.mark.parametrize(
    "body",
    [b"{", b"NaN", b"[1e400]", rb'["\ud800", NaN]', rb'["\ud800", 1e400]', b"\xff", b"[" * 10**5],
)
def test_what_is_not_json_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(BadPayload, match="JSON"):
        parse(body)
