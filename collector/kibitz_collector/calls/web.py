"""One HTTP request on behalf of a Tool: to checked addresses, bounded, following no redirect."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpcore

from kibitz_collector.addresses import AddressRefused, CheckedBackend, Reach, check_url
from kibitz_collector.providers.network import certificates

MAX_ANSWER_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRequest:
    """What is asked; neither address nor headers are ever shown: they may hold keys."""

    url: str = field(repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


class WebError(Exception):
    """A request failed; the message names no key."""


def fetch(request: WebRequest, reach: Reach, timeout_s: float) -> str:
    """Return the text of a successful answer.

    Raises: WebError.
    """
    headers = {
        "user-agent": "kibitz-tool/1",
        "accept": "application/json, text/*;q=0.9, */*;q=0.1",
        "accept-encoding": "identity",
    } | dict(request.headers)
    try:
        check_url(request.url, reach)
        backend = CheckedBackend(reach, timeout_s)
        with (
            httpcore.ConnectionPool(ssl_context=certificates(), network_backend=backend) as pool,
            pool.stream(
                request.method,
                request.url,
                headers=list(headers.items()),
                content=request.body,
            ) as answer,
        ):
            return _read(answer)
    except AddressRefused as refused:
        raise WebError(str(refused)) from None
    except httpcore.TimeoutException:
        raise WebError(f"no answer within {timeout_s:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
        raise WebError(f"{type(error).__name__}: {error}"[:300]) from None
    except (ValueError, TypeError):  # of a header: what it says would show it
        raise WebError("a header holds what no header may") from None


def _read(answer: httpcore.Response) -> str:
    size, pieces = 0, list[bytes]()
    for piece in answer.iter_stream():
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise WebError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
        pieces.append(piece)
    text = b"".join(pieces).decode("utf-8", "replace")
    if 200 <= answer.status < 300:
        return text
    if 300 <= answer.status < 400:
        raise WebError(f"it answered {answer.status}, a redirect; these are not followed")
    raise WebError(f"it answered {answer.status}: {text[:500]}")
