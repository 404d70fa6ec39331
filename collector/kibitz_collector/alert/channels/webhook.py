"""Webhook channel: JSON by POST, signed as Standard Webhooks says (https://www.standardwebhooks.com).

Headers `webhook-id` (the same at each attempt), `webhook-timestamp`, `webhook-signature`. Redirects
are never followed; the reply is read to a bound and its text never shown.
"""

import base64
import binascii
import secrets
import ssl
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit

import httpcore
import httpx
from standardwebhooks.webhooks import Webhook

from kibitz_collector.addresses import (
    AddressRefused,
    CheckedBackend,
    check_url,
)
from kibitz_collector.alert.channels.outgoing import (
    ChannelKind,
    Config,
    NotDelivered,
    Outgoing,
    Surroundings,
)
from kibitz_collector.errors import Invalid

TIMEOUT_S = 5.0
MAX_REPLY_BYTES = 64 * 1024
MAX_RETRY_AFTER_S = 3600.0
_PREFIX = "whsec_"


def read(config: Config, surroundings: Surroundings) -> Config:
    """Check URL and secret; a secret is made when none is given."""
    url = config.get("url")
    if not isinstance(url, str):
        raise Invalid("a webhook needs a url")
    try:
        check_url(url, surroundings.reach)
    except AddressRefused as refused:
        raise Invalid(str(refused)) from None
    secret = config.get("secret") or _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    if not isinstance(secret, str) or not 24 <= _secret_bytes(secret) <= 64:
        raise Invalid("secret must be whsec_ followed by 24 to 64 bytes in base64")
    return {"url": url, "secret": secret}


def show(config: Config) -> Config:
    """Return the URL without its query, which may hold a token."""
    parts = urlsplit(config["url"])
    return {"url": parts._replace(query="…" if parts.query else "", fragment="").geturl()}


def send(config: Config, outgoing: Outgoing, surroundings: Surroundings) -> None:
    """Post the message once."""
    status, headers = _post(config, outgoing, surroundings)
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        where = headers.get(b"location", b"").decode("ascii", "replace")[:200]
        raise NotDelivered(
            f"the receiver answered {status}, a redirect to {where!r}; redirects are not followed: "
            "put the final address into the channel"
        )
    raise NotDelivered(
        f"the receiver answered {status}",
        is_final=status == 410,  # Standard Webhooks: gone, do not come again
        retry_after_s=_retry_after_s(headers.get(b"retry-after", b"")),
    )


def sign(secret: str, outgoing: Outgoing, now: datetime) -> dict[bytes | str, bytes | str]:
    """Return the three headers a receiver verifies."""
    return {
        "webhook-id": outgoing.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(outgoing.id, now, outgoing.body().decode()),
    }


def _post(
    config: Config, outgoing: Outgoing, surroundings: Surroundings
) -> tuple[int, dict[bytes, bytes]]:
    headers: dict[bytes | str, bytes | str] = {
        "content-type": "application/json",
        "user-agent": "kibitz-webhook/1",
        **sign(config["secret"], outgoing, datetime.now(UTC)),
    }
    backend = CheckedBackend(surroundings.reach, TIMEOUT_S)
    pool = httpcore.ConnectionPool(ssl_context=_ssl_context(), network_backend=backend)
    try:
        check_url(
            config["url"], surroundings.reach
        )  # the settings may be stricter than at creation
        with (
            pool,
            pool.stream("POST", config["url"], headers=headers, content=outgoing.body()) as reply,
        ):
            size = 0
            for chunk in reply.iter_stream():
                size += len(chunk)
                if size > MAX_REPLY_BYTES:
                    break  # the status is known; nobody reads the rest
            return reply.status, {name.lower(): value for name, value in reply.headers}
    except AddressRefused as refused:
        raise NotDelivered(str(refused)) from None
    except httpcore.TimeoutException:
        raise NotDelivered(f"no answer within {TIMEOUT_S:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}"[:300]) from None


@lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # certifi, or what SSL_CERT_FILE names; 20 ms to make


def _secret_bytes(secret: str) -> int:
    try:
        return len(base64.b64decode(secret.removeprefix(_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        return 0


def _retry_after_s(value: bytes) -> float | None:
    return min(float(value), MAX_RETRY_AFTER_S) if value.isdigit() else None


KIND = ChannelKind(
    name="webhook",
    description="JSON by POST to a URL, signed (Standard Webhooks)",
    example={"url": "https://example.com/hooks/kibitz"},
    read=read,
    show=show,
    send=send,
)
