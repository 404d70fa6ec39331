"""Public ids: a prefix and 21 base62 characters, random or from content."""

import hashlib
import secrets

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = 21
_SPACE = 62**_LENGTH


def random_id(prefix: str) -> str:
    """Make an id nobody can guess."""
    return prefix + base62(secrets.randbelow(_SPACE))


def hashed_id(prefix: str, *parts: str) -> str:
    """Make the id these parts always have."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return prefix + base62(int.from_bytes(digest.digest(), "big") % _SPACE)


def base62(number: int) -> str:
    """Write a number in 21 base62 digits, most significant first."""
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
