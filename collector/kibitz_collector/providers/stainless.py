"""What the official packages of OpenAI and Anthropic share: one generator made both of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from kibitz_collector.providers.types import Connection, ErrorType, ProviderError, error_type
from kibitz_collector.records import Json


@contextmanager
def translated(package: str, connection: Connection, body: Json) -> Iterator[None]:
    """Turn every error of a package, and of the network below it, into a ProviderError."""
    origin = connection.provider

    def failure(
        message: str, type: ErrorType, code: int, response: Json | None = None
    ) -> ProviderError:
        return ProviderError(
            message, type=type, code=code, origin=origin, request=body, response=response
        )

    errors = _load(package, origin)
    try:
        yield
    except errors.APITimeoutError:
        message = f"{origin} did not answer within {connection.timeout_s:g} s"
        raise failure(message, "timeout_error", 503) from None
    except errors.APIConnectionError as error:
        message = f"{origin} cannot be reached: {error.__cause__ or error}"
        raise failure(message, "connection_error", 503) from None
    except errors.APIStatusError as error:
        told = {"status": error.status_code, "error": error.body}
        message = _message(error.body) or error.message
        raise failure(message, error_type(error.status_code), error.status_code, told) from None
    except errors.APIError as error:  # told in the middle of a stream
        raise failure(error.message, "server_error", 502, {"error": error.body}) from None
    except (AttributeError, TypeError, LookupError, ValueError) as error:
        message = f"{origin} answered what is not of its API: {error}"
        raise failure(message, "server_error", 502) from None
    except Exception as error:
        if not _is_of_network(error):
            raise
        # The packages do not translate what breaks while a stream is read.
        message = f"{origin} broke off in the middle of its answer: {error}"
        raise failure(message, "connection_error", 503) from None


def first_and_rest(body: Json, *names: str) -> Json:
    """Return keyword arguments for `create`: these by name, all else put into the body as it is.

    So parameters that are newer than the installed package reach the provider all the same.
    """
    first: Json = {name: body[name] for name in names}
    return first | {"extra_body": {k: v for k, v in body.items() if k not in first}}


def _load(package: str, origin: str) -> Any:
    try:
        return import_module(package)
    except ImportError:
        raise ProviderError(
            f"calls to {origin} need a package: pip install 'kibitz[{package}]'",
            type="configuration_error",
            code=400,
            origin="kibitz",
        ) from None


def _message(body: Any) -> str | None:
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


def _is_of_network(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2")
