"""Attributes read from their bytes are what the protobuf library makes of them."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from kibitz_collector.errors import BadPayload
from kibitz_collector.receive.bounds import Notes
from kibitz_collector.receive.otlp_attributes import read_attributes, read_encoded

LENGTHS = st.sampled_from([0, 1, 2, 125, 126, 127, 128, 129, 130, 131, 255, 16_379, 16_384, 17_000])
TEXTS = st.one_of(
    st.text(max_size=5).filter(str.isprintable),
    LENGTHS.map(lambda length: "a" * length),
    st.sampled_from(["\x00", "a\x00", "é" * 64]),
)
VALUES = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=TEXTS),
    st.builds(
        AnyValue,
        int_value=st.one_of(
            st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, 127, 128, 16_383, 16_384])
        ),
    ),
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=4)),
    st.just(AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)]))),
)
PAIRS = st.builds(KeyValue, key=TEXTS, value=VALUES)


def read_both(encoded: list[bytes]) -> tuple[Any, Any]:
    notes, expected = Notes(), Notes()
    from_messages = read_attributes([KeyValue.FromString(raw) for raw in encoded], expected)
    from_bytes = read_encoded(encoded, notes)
    return (
        (list(from_bytes.items()), notes.truncated, notes.replaced),
        (list(from_messages.items()), expected.truncated, expected.replaced),
    )


@given(st.lists(PAIRS, max_size=4))
def test_bytes_say_what_messages_say(pairs: list[KeyValue]) -> None:
    encoded = [pair.SerializeToString() for pair in pairs]
    for _ in range(2):  # the second time what is known is remembered
        found, expected = read_both(encoded)
        assert repr(found) == repr(expected)


@given(PAIRS, st.integers(0, 8), st.binary(max_size=3), st.integers(0, 3))
def test_whatever_is_no_attribute_is_refused_and_all_else_read_alike(
    pair: KeyValue, place: int, inserted: bytes, removed: int
) -> None:
    raw = pair.SerializeToString()
    raw = raw[:place] + inserted + raw[place + removed :]
    try:
        KeyValue.FromString(raw)
    except DecodeError:
        with pytest.raises(BadPayload):
            read_encoded([raw], Notes())
        return
    found, expected = read_both([raw])
    assert repr(found) == repr(expected)


def test_of_equal_keys_the_last_wins() -> None:
    pairs = [
        KeyValue(key="a", value=AnyValue(string_value="first")),
        KeyValue(key="b", value=AnyValue(bool_value=True)),
        KeyValue(key="a", value=AnyValue(int_value=300)),
    ]
    found = read_encoded([pair.SerializeToString() for pair in pairs], Notes())
    assert list(found.items()) == [("a", 300), ("b", True)]
