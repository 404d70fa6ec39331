"""Ids that sender and collector work out alike: pure, public."""

from hashlib import blake2b

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]
_SPACE = 62**21


def log_id(trace_id: int, span_id: int) -> str:
    """Return the id of the Log that a span becomes."""
    return _log_id(trace_id.to_bytes(16, "big") + span_id.to_bytes(8, "big"))


def log_id_from_hex(trace_id: str, span_id: str) -> str:
    """Return the id of the Log of a span given by hexadecimal ids."""
    return _log_id(bytes.fromhex(trace_id) + bytes.fromhex(span_id))


def _log_id(key: bytes) -> str:
    number = int.from_bytes(blake2b(key, digest_size=16).digest(), "big") % _SPACE
    pairs = []
    for _ in range(10):
        number, rest = divmod(number, 3844)
        pairs.append(_PAIRS[rest])
    pairs.append(_DIGITS[number])
    return "log_" + "".join(reversed(pairs))
