"""OTLP protobuf written by hand: only what the load generator needs, and fast."""

import struct

Value = str | int | float


def varint(number: int) -> bytes:
    """Return a number in base 128."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def attribute(key: str, value: Value) -> bytes:
    """Return a KeyValue."""
    return field(1, key.encode()) + field(2, _any_value(value))


def _any_value(value: Value) -> bytes:
    if isinstance(value, int):
        return varint(3 << 3) + varint(value)
    if isinstance(value, float):
        return varint(4 << 3 | 1) + struct.pack("<d", value)
    return field(1, value.encode())
