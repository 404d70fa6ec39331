"""What the official packages of OpenAI and Anthropic share: one generator made both of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from kibitz_collector.providers.failures import Failures, load, message_of
from kibitz_collector.providers.types import Connection
from kibitz_collector.records import Json


@contextmanager
def translated(package: str, connection: Connection, body: Json) -> Iterator[None]:
    """Turn every error of a package, and of the network below it, into a ProviderError."""
    failures = Failures(connection, body)
    errors = load(package, connection, extra=package)
    try:
        yield
    except errors.APITimeoutError:
        raise failures.late() from None
    except errors.APIConnectionError as error:
        raise failures.unreachable(error.__cause__ or error) from None
    except errors.APIStatusError as error:
        message = message_of(error.body) or error.message
        raise failures.refused(error.status_code, message, error.body) from None
    except errors.APIError as error:  # told in the middle of a stream
        raise failures.of_stream(error.message, error.body) from None
    except (AttributeError, TypeError, LookupError, ValueError) as error:
        raise failures.unknown_answer(error) from None
    except Exception as error:
        # The packages do not translate what breaks while a stream is read.
        failure = failures.of_network(error)
        if failure is None:
            raise
        raise failure from None


def first_and_rest(body: Json, *names: str) -> Json:
    """Return keyword arguments for `create`: these by name, all else put into the body as it is.

    So parameters that are newer than the installed package reach the provider all the same.
    """
    first: Json = {name: body[name] for name in names}
    return first | {"extra_body": {k: v for k, v in body.items() if k not in first}}
