"""API keys: made here, kept only as a hash.

A key is 256 bits of randomness, so one SHA-256 is enough: there is nothing to guess.
"""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Literal

Role = Literal["ingest", "full"]
ROLES: tuple[Role, ...] = ("ingest", "full")
COOKIE_DAYS = 30
_PREFIX = "kbz_sk_"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only moment its text exists on our side."""

    text: str
    hash: str
    hint: str  # first and last characters, to recognise it by


def make_key() -> NewKey:
    """Make a random key."""
    text = _PREFIX + secrets.token_urlsafe(32)
    return NewKey(text=text, hash=hash_key(text), hint=f"{text[:11]}…{text[-4:]}")


def hash_key(text: str) -> str:
    """Return what the store keeps of a key: 64 hex characters."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def make_cookie(key_id: str, key_hash: str, now_s: float | None = None) -> str:
    """Return a page cookie that stands for a key without containing it; dies with the key."""
    expires_s = int((now_s or time.time()) + COOKIE_DAYS * 86400)
    return f"{key_id}.{expires_s}.{_sign(key_hash, expires_s)}"


def cookie_key_id(cookie: str) -> str:
    """Return the id of the key a cookie speaks of; nothing is checked yet."""
    return cookie.partition(".")[0]


def cookie_is_valid(cookie: str, key_hash: str, now_s: float | None = None) -> bool:
    """Tell whether the cookie was made for this key and has not expired."""
    try:
        _key_id, expires, signature = cookie.split(".")
        expires_s = int(expires)
    except ValueError:
        return False
    return expires_s > (now_s or time.time()) and hmac.compare_digest(
        signature.encode(), _sign(key_hash, expires_s).encode()
    )


def _sign(key_hash: str, expires_s: int) -> str:
    return hmac.new(
        bytes.fromhex(key_hash), f"page.{expires_s}".encode(), hashlib.sha256
    ).hexdigest()
