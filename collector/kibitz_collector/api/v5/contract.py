"""What every route of the v5 contract shares: bounded bodies, and its form of an error.

Source: Humanloop API v5, errors: `{"detail": …}`; 422 carries a list of `{loc, msg, type}`.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from kibitz_collector.access.http import Context, context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.errors import CollectorError
from kibitz_collector.store import Session
from kibitz_collector.store.writes.locks import lock_files

Sender = Annotated[Context, Depends(context)]
"""Who may send Logs: any key."""
Owner = Annotated[Context, Depends(full_context)]
"""Who may read and delete them: a key with role `full`."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NS = 2**63 - 1


class ContractRoute(JsonRoute):
    """A route whose errors have the contract's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler; what it raises becomes an answer here."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return JSONResponse({"detail": _problems(error.errors())}, 422)
            except CollectorError as error:
                return _failure(error)

        return answer


def _failure(error: CollectorError) -> Response:
    detail: Any = error.message
    if error.status == 422:
        detail = [{"loc": ["body"], "msg": error.message, "type": "value_error"}]
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse({"detail": detail}, error.status, headers)


def _problems(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]} for one in errors]


@contextmanager
def changing_files(caller: Context) -> Iterator[Session]:
    """Open a transaction that changes Files: one at a time in a workspace."""
    with caller.store.write() as session:
        lock_files(session, caller.workspace_id)
        yield session


def to_ns(when: datetime | None) -> int | None:
    """Return a time in nanoseconds; one without a zone is UTC."""
    if when is None:
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    time_ns = ((aware - _EPOCH) // timedelta(microseconds=1)) * 1000
    return max(0, min(time_ns, _MAX_NS))  # what the store can hold


def to_time(time_ns: int) -> datetime:
    """Return a time of the store as the contract writes it."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)
