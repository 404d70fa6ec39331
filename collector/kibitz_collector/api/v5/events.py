"""Calls that take long: run on threads of their own, answered whole or as server-sent events.

Source: Humanloop API v5, streaming: one JSON object per `data:` line, `[DONE]` at the end.
"""

from collections.abc import AsyncIterator, Callable, Generator
from itertools import chain
from typing import TypeVar

import anyio
from anyio.lowlevel import RunVar
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response, StreamingResponse

from kibitz_collector.providers import ProviderError

# Apart from the threads that serve everything else: models take minutes.
MAX_THREADS = 128
_threads: RunVar[anyio.CapacityLimiter] = RunVar("kibitz_call_threads")
_DONE = "data: [DONE]\n\n"
_STATUSES = {400, 401, 404, 409, 429}
T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Run a call on its own share of threads."""
    try:
        limiter = _threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(MAX_THREADS)
        _threads.set(limiter)
    return await anyio.to_thread.run_sync(function, limiter=limiter)


async def event_stream(events: Generator[BaseModel, None, None]) -> Response:
    """Answer with events as they come; one that leaves early ends the call.

    Raises: whatever happens before the first event, while the answer can still be an error.
    """
    first = await in_thread(lambda: next(events, None))

    async def write() -> AsyncIterator[str]:
        rest = chain(() if first is None else (first,), events)
        try:
            while (event := await in_thread(lambda: next(rest, None))) is not None:
                yield to_event(event)
            yield _DONE
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(events.close)

    return StreamingResponse(
        write(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


def to_event(event: BaseModel) -> str:
    """Write one event. Node's SDK ends at any line with `[DONE]` in it, also inside a text."""
    text = event.model_dump_json(exclude_none=True).replace("[DONE]", "\\u005bDONE]")
    return f"data: {text}\n\n"


def provider_failure(error: ProviderError) -> Response:
    """Answer with a provider's error, in the contract's form."""
    return JSONResponse({"detail": describe(error)}, _status(error.code))


def describe(error: ProviderError) -> dict[str, str | int]:
    """Return a provider's error as the contract shows it."""
    return {
        "type": error.type,
        "message": error.message,
        "code": error.code,
        "origin": error.origin,
    }


def _status(code: int) -> int:
    """Return the contract's status that is nearest; 422 would be read as ours."""
    if code in _STATUSES:
        return code
    if code == 403:
        return 401
    return 503 if code >= 500 else 400
