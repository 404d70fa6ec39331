"""Ids that sender and collector work out alike: pure, public."""

from hashlib import blake2b

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]
_FOUR = 62**4
_SPACE = 62**21


def log_id(trace_id: int, span_id: int) -> str:
    """Return the id of the Log that a span becomes."""
    return _log_id(trace_id.to_bytes(16, "big") + span_id.to_bytes(8, "big"))


def log_id_from_hex(trace_id: str, span_id: str) -> str:
    """Return the id of the Log of a span given by hexadecimal ids."""
    return _log_id(bytes.fromhex(trace_id) + bytes.fromhex(span_id))


def _log_id(key: bytes) -> str:
    number = int.from_bytes(blake2b(key, digest_size=16).digest(), "big") % _SPACE
    # Four digits at a time: each division of a number this long costs as much as ten short ones.
    high, low = divmod(number, 62**12)
    high, b = divmod(high, _FOUR)
    first, a = divmod(high, _FOUR)
    low, e = divmod(low, _FOUR)
    c, d = divmod(low, _FOUR)
    pairs = _PAIRS
    return (
        f"log_{_DIGITS[first]}{pairs[a // 3844]}{pairs[a % 3844]}{pairs[b // 3844]}"
        f"{pairs[b % 3844]}{pairs[c // 3844]}{pairs[c % 3844]}{pairs[d // 3844]}"
        f"{pairs[d % 3844]}{pairs[e // 3844]}{pairs[e % 3844]}"
    )
