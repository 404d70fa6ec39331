"""What commands share to reach a running collector over HTTP."""

import argparse
import os

import httpx

from kibitz_collector.errors import SetupError

DEFAULT_URL = "http://127.0.0.1:4318"


def add_collector(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which collector to talk to."""
    parser.add_argument(
        "--collector",
        default=os.environ.get("KIBITZ_COLLECTOR", DEFAULT_URL),
        help=f"address of the collector (default: {DEFAULT_URL}; env KIBITZ_COLLECTOR)",
    )
    parser.add_argument(
        "--api-key",
        default=os.environ.get("KIBITZ_API_KEY"),
        help="a key with role full, where the collector has keys (env KIBITZ_API_KEY)",
    )


def connect(arguments: argparse.Namespace) -> httpx.Client:
    """Return a client for the collector the flags name."""
    headers = {"X-API-KEY": arguments.api_key} if arguments.api_key else {}
    return httpx.Client(base_url=arguments.collector, headers=headers, timeout=30)


def read(client: httpx.Client, path: str, **parameters: str | int) -> dict[str, object]:
    """GET a JSON object.

    Raises: SetupError: nobody answers there, or the collector refuses; one line says why.
    """
    try:
        response = client.get(path, params=parameters)
    except httpx.HTTPError as error:
        raise SetupError(
            f"no collector answers at {client.base_url}: {error}; start one with `kibitz serve`"
        ) from None
    if response.is_error:
        raise SetupError(_reason(response))
    body: dict[str, object] = response.json()
    return body


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{response.request.url} answered {response.status_code}"
