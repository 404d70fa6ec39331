"""Cutting records: what is kept, and that the loss is told."""

import json
from typing import Any

from kibitz._slim import headers_only, shrink


def record(attributes: dict[str, Any]) -> bytes:
    pairs = [{"key": key, "value": value} for key, value in attributes.items()]
    span = {"traceId": "1" * 32, "spanId": "2" * 16, "name": "n", "attributes": pairs}
    return json.dumps({"scope": {}, "spans": [span]}).encode()


def attributes(payload: bytes | None) -> dict[str, Any]:
    assert payload is not None
    (span,) = json.loads(payload)["spans"]
    assert (span["traceId"], span["spanId"], span["name"]) == ("1" * 32, "2" * 16, "n")
    return {item["key"]: item["value"] for item in span["attributes"]}


def test_headers_keep_the_short_and_tell_the_size_of_what_went() -> None:
    many = {"arrayValue": {"values": [{"stringValue": "é" * 9}] * 100}}
    found = attributes(
        headers_only(
            record(
                {
                    "model": {"stringValue": "m"},
                    "tokens": {"intValue": "7"},
                    "input": {"stringValue": "é" * 500},
                    "list": many,
                }
            )
        )
    )
    truncated = json.loads(found.pop("kibitz.truncated")["stringValue"])
    assert found == {"model": {"stringValue": "m"}, "tokens": {"intValue": "7"}}
    assert truncated["input"] == 1000
    assert truncated["list"] > 1000


def test_a_long_text_is_shortened_with_a_mark_and_its_neighbours_stay() -> None:
    found = attributes(
        shrink(record({"a": {"stringValue": "x" * 3_000_000}, "b": {"stringValue": "y" * 1000}}))
    )
    assert found["b"] == {"stringValue": "y" * 1000}
    text = found["a"]["stringValue"]
    assert text.startswith("x" * 1000)
    assert text.endswith("…[cut, 3000000 characters]")
    assert json.loads(found["kibitz.truncated"]["stringValue"]) == {"a": 3_000_000}


def test_many_long_texts_are_taken_out_where_shortening_is_not_enough() -> None:
    texts = {f"a{n}": {"stringValue": "x" * 40_000} for n in range(100)}
    payload = shrink(record(texts))
    assert payload is not None
    assert len(payload) <= 2**20
    assert list(attributes(payload)) == ["kibitz.truncated"]


def test_what_is_no_record_is_not_cut() -> None:
    for payload in (b"", b"[1]", b"\xff\xfe", b'{"spans":[7]}', b'{"spans":[{"attributes":[{}]}]}'):
        assert headers_only(payload) is None
