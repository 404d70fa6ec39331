"""How a call fails, in one form for every provider's package and the network below it."""

from importlib import import_module
from typing import Any

from kibitz_collector.providers.types import Connection, ErrorType, ProviderError, error_type
from kibitz_collector.records import Json

_NETWORK = ("httpx", "httpx2", "httpcore", "httpcore2")


def load(module: str, connection: Connection, *, extra: str) -> Any:
    """Import a provider's package.

    Raises: ProviderError: it is not installed; the message says how it is.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ProviderError(
            f"calls to {connection.provider} need a package: pip install 'kibitz[{extra}]'",
            type="configuration_error",
            code=400,
            origin="kibitz",
        ) from None


class Failures:
    """Makes the errors of one call, each with what was asked."""

    def __init__(self, connection: Connection, body: Json) -> None:
        self._origin = connection.provider
        self._timeout_s = connection.timeout_s
        self._body = body

    def refused(self, status: int, message: str, told: Any) -> ProviderError:
        """Return the error that a provider's status stands for."""
        response = {"status": status, "error": told}
        return self._make(message, error_type(status), status, response)

    def late(self) -> ProviderError:
        """Return the error of a provider that was silent for too long."""
        message = f"{self._origin} did not answer within {self._timeout_s:g} s"
        return self._make(message, "timeout_error", 503)

    def unreachable(self, error: object) -> ProviderError:
        """Return the error of a provider that is not there."""
        return self._make(f"{self._origin} cannot be reached: {error}", "connection_error", 503)

    def broken_off(self, error: object) -> ProviderError:
        """Return the error of an answer that ended before its end."""
        message = f"{self._origin} broke off in the middle of its answer: {error}"
        return self._make(message, "connection_error", 503)

    def of_stream(self, message: str, told: Any = None) -> ProviderError:
        """Return the error that a provider told in the middle of its answer."""
        return self._make(message, "server_error", 502, {"error": told})

    def unknown_answer(self, error: object) -> ProviderError:
        """Return the error of an answer that nobody can read."""
        message = f"{self._origin} answered what is not of its API: {error}"
        return self._make(message, "server_error", 502)

    def not_offered(self, what: str) -> ProviderError:
        """Return the error of a request that this provider has no words for."""
        message = f"{self._origin} {what}"
        return ProviderError(
            message, type="invalid_request_error", code=400, origin="kibitz", request=self._body
        )

    def of_network(self, error: Exception) -> ProviderError | None:
        """Return what an error of httpx means; None: it is none of the network's."""
        if not is_of_network(error):
            return None
        names = {one.__name__ for one in type(error).__mro__}
        if "TimeoutException" in names:
            return self.late()
        if names & {"ConnectError", "UnsupportedProtocol", "ProxyError"}:
            return self.unreachable(error)
        return self.broken_off(error)

    def _make(
        self, message: str, type: ErrorType, code: int, response: Json | None = None
    ) -> ProviderError:
        return ProviderError(
            message,
            type=type,
            code=code,
            origin=self._origin,
            request=self._body,
            response=response,
        )


def is_of_network(error: Exception) -> bool:
    """Tell whether an error is of httpx, whichever of its two names it has."""
    return type(error).__module__.partition(".")[0] in _NETWORK


def message_of(body: Any) -> str | None:
    """Return the message of `{message}`, `{error: {message}}` or `{error: str}`.

    The packages take some of these apart themselves.
    """
    if not isinstance(body, dict):
        return body if isinstance(body, str) and body else None
    inner = body.get("error")
    if isinstance(inner, str):
        return inner
    message = (inner if isinstance(inner, dict) else body).get("message")
    return message if isinstance(message, str) else None
