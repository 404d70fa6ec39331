"""JSON bodies of the API: bounded, strict, and without the characters no database can hold."""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import anyio
import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from kibitz_collector.config import Settings
from kibitz_collector.errors import BadPayload, Busy, Unsupported
from kibitz_collector.receive.http import BODY_TIMEOUT_S
from kibitz_collector.receive.limits import inflate, read_body
from kibitz_collector.store.bodies import clean_json

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRoute(APIRoute):
    """A route whose body, if it has one, is read here: FastAPI's own reading has no bounds."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler, handed a request that is read already."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def read_and_handle(request: Request) -> Response:
            return await handle(await _read(request))

        return read_and_handle


class _ReadRequest(Request):
    """A request whose JSON is known."""

    def __init__(self, request: Request, body: bytes, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._known = body, value

    async def body(self) -> bytes:
        return self._known[0]

    async def json(self) -> Any:
        return self._known[1]


async def _read(request: Request) -> Request:
    """Raises: TooLarge, BadPayload, Unsupported. Busy: the body did not arrive in time."""
    settings: Settings = request.app.state.settings
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            packed = await read_body(request, settings)
    except TimeoutError:
        raise Busy(f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None
    if not packed:
        return _ReadRequest(request, b"", None)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise Unsupported(
            f"Content-Type {content_type!r} is not read here; send JSON as application/json"
        )
    encoding = request.headers.get("content-encoding", "")

    def decode() -> tuple[bytes, Any]:
        body = bytes(inflate(packed, encoding, settings))
        return body, parse(body)

    return _ReadRequest(request, *await run_in_threadpool(decode))


def parse(body: bytes) -> Any:
    """Parse strict JSON; NUL and lone surrogates in its texts become U+FFFD.

    Raises: BadPayload, with the place.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Lone surrogates are all that we take and orjson does not.
        if b"\\u" not in body:
            raise BadPayload(f"the body is not JSON: {error}") from None
        return clean_json(_parse_with_surrogates(body, str(error)))
    return clean_json(value) if b"\\u0000" in body else value


def _parse_with_surrogates(body: bytes, problem: str) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise BadPayload("the JSON is nested too deep") from None
    except ValueError:
        raise BadPayload(f"the body is not JSON: {problem}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is no number of 64 bits")
    return number
